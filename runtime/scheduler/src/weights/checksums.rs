//! Inspects weights: checksums, and numbers by name (reference: `check_weights`, `get_weights_by_name`).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sglang_proto::messages::{
    CheckWeightsReqInput, CheckWeightsReqOutput, GetWeightsByNameReqInput, GetWeightsByNameReqOutput,
};
use sha2::{Digest, Sha256};

use super::Weights;
use crate::worker_thread::WorkerThread;

/// Most rows per answer, so that a message never contains a whole embedding.
const MAX_ROWS: i64 = 100_000;

/// Returns some numbers of a weight.
pub(super) fn get_by_name(
    request: GetWeightsByNameReqInput,
    worker: &WorkerThread,
) -> GetWeightsByNameReqOutput {
    let rows = usize::try_from(request.truncate_size.min(MAX_ROWS)).unwrap_or(0);
    let name = request.name;
    let parameter = worker.call(move |worker| worker.get_weights_by_name(&name, rows));
    let parameter = parameter.unwrap_or_else(|error| {
        tracing::error!("Cannot read a weight: {error}");
        None
    });
    let parameter = parameter.unwrap_or_default();
    GetWeightsByNameReqOutput { rid: request.rid, parameter }
}

impl Weights {
    /// Reports the checksums of the weights, stores them, or compares them with the stored ones.
    pub(super) fn check(
        &mut self,
        request: CheckWeightsReqInput,
        worker: &WorkerThread,
    ) -> CheckWeightsReqOutput {
        let (success, message, payload) = match self.checked(&request, worker) {
            Ok(payload) => (true, "Success.".to_owned(), payload),
            Err(message) => {
                tracing::warn!("check_weights see error: {message}");
                (false, message, None)
            }
        };
        CheckWeightsReqOutput { rid: request.rid, success, message, payload }
    }

    fn checked(
        &mut self,
        request: &CheckWeightsReqInput,
        worker: &WorkerThread,
    ) -> Result<Option<Value>, String> {
        match request.selector.as_str() {
            "target" | "all" => {}
            "draft" => return Ok(None),
            other => return Err(format!("invalid selector '{other}'; expected 'target', 'draft', or 'all'")),
        }
        let action = request.action.as_str();
        if !["checksum", "snapshot", "compare"].contains(&action) {
            return Err(format!("Unsupported action='{action}'; expected checksum, snapshot or compare"));
        }
        if action == "compare" && self.snapshot.is_none() {
            return Err("there is no snapshot to compare with".to_owned());
        }
        let checksums = worker.call(|worker| worker.weight_checksums());
        let checksums = checksums.flatten().map_err(|error| error.to_string())?;
        let skipped = |name: &str| request.skip_tensor_list.iter().flatten().any(|part| name.contains(part));
        match action {
            "snapshot" => self.snapshot = Some(checksums),
            "compare" => {
                let before = self.snapshot.take().unwrap_or_default();
                let differs = |name: &&String| before.get(*name) != checksums.get(*name) && !skipped(name);
                let changed: Vec<&String> = before.keys().filter(differs).collect();
                if let Some(first) = changed.first() {
                    return Err(format!(
                        "{} weights are not what they were, the first is {first}",
                        changed.len()
                    ));
                }
            }
            _ => {
                let kept = checksums.into_iter().filter(|(name, _)| !skipped(name)).collect();
                return Ok(Some(json!([checksum_info(&kept)])));
            }
        }
        Ok(None)
    }
}
/// The reference's `ChecksumInfo` for the single rank.
fn checksum_info(checksums: &BTreeMap<String, String>) -> Value {
    let mut all = Sha256::new();
    for (name, checksum) in checksums {
        all.update(name.as_bytes());
        all.update(checksum.as_bytes());
    }
    json!({
        "checksums": checksums,
        "per_gpu_checksum": hex(&all.finalize()),
        "parallelism_info": [{
            "role": "target", "tp_rank": 0, "tp_size": 1, "dp_rank": 0, "dp_size": 1, "pp_rank": 0, "pp_size": 1,
            "rank": 0, "size": 1,
        }],
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
