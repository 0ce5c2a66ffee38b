//! Exchanging the weights of a running server (reference: `managers/scheduler_components/weight_updater.py`).
//!
//! New weights are read on a thread of their own while the old ones serve. When they are there and have been checked,
//! running requests come to their end, waiting ones wait, and between two steps the model takes the new weights. A
//! paused server exchanges them at once. Whatever goes wrong before that moment leaves the old weights as they were.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};
use sglang_proto::messages::{
    CheckWeightsReqInput, CheckWeightsReqOutput, GetWeightsByNameReqInput, GetWeightsByNameReqOutput,
    UpdateWeightFromDiskReqInput, UpdateWeightFromDiskReqOutput,
};
use sglang_proto::worker::{MemoryTag, StageError, StagedWeights, WorkerError};
use sglang_sched::PauseMode;
use sha2::{Digest, Sha256};

use crate::EngineError;
use crate::event_loop::EventLoop;
use crate::links::Incoming;
use crate::worker_thread::panic_text;

const SUCCEEDED: &str = "Succeeded to update model weights.";
const NOT_FLUSHED: &str = "Weights were updated, but the cache was not flushed because requests are still running or \
                           queued. Retract or finish them, then call /flush_cache.";
/// Numbers that one answer may hold, so that a whole embedding does not become one message.
const MAX_ROWS: i64 = 100_000;

/// What weights are read for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// An exchange.
    Update(Box<UpdateWeightFromDiskReqInput>),
    /// Taking released memory again, the weights among it.
    Resume {
        /// Id of the call.
        rid: Option<String>,
        /// Every part that comes back.
        tags: Vec<MemoryTag>,
    },
}

/// An exchange under way.
#[derive(Debug)]
pub struct WeightUpdate {
    purpose: Purpose,
    /// The new weights, once they are read.
    staged: Option<StagedWeights>,
}

impl WeightUpdate {
    /// Whether the new weights wait to be served.
    pub(crate) fn is_staged(&self) -> bool {
        self.staged.is_some()
    }
}

impl EventLoop<'_> {
    /// Starts to read new weights.
    pub(crate) fn update_weights_from_disk(&mut self, request: UpdateWeightFromDiskReqInput) {
        if self.weight_update.is_some() {
            return self.updated(request.rid, false, "Another update of the weights is in progress.", 0);
        }
        tracing::info!("Update engine weights online from disk begin: {}", request.model_path);
        let (path, format) = (request.model_path.clone(), request.load_format.clone());
        let format = format.unwrap_or_else(|| "auto".to_owned());
        let rid = request.rid.clone();
        if let Err(error) = self.read_weights(Purpose::Update(Box::new(request)), path, format, false) {
            self.updated(rid, false, &error.to_string(), 0);
        }
    }

    /// Has a thread read weights; what comes of it is a message to the loop. With `again` they are the served ones.
    pub(crate) fn read_weights(
        &mut self,
        purpose: Purpose,
        path: String,
        format: String,
        again: bool,
    ) -> Result<(), StageError> {
        let stager =
            self.worker.stager().ok_or_else(|| StageError::Loader("this worker has no weights".into()))?;
        let inject = self.links.inject.clone();
        let read = move || {
            let read = AssertUnwindSafe(|| match again {
                true => stager.reload(&path, &format),
                false => stager.stage(&path, &format),
            });
            let staged =
                catch_unwind(read).unwrap_or_else(|cause| Err(StageError::Load(panic_text(cause.as_ref()))));
            // The loop may have ended meanwhile.
            let _ = inject.send(Incoming::Weights(staged));
        };
        let thread = std::thread::Builder::new().name("weights".into()).spawn(read);
        thread.map_err(|error| StageError::Load(error.to_string()))?;
        self.weight_update = Some(WeightUpdate { purpose, staged: None });
        Ok(())
    }

    /// New weights have been read, or could not be.
    pub(crate) fn on_weights(&mut self, result: Result<StagedWeights, StageError>) {
        match (result, self.weight_update.take()) {
            (Ok(staged), Some(update)) => {
                self.weight_update = Some(WeightUpdate { staged: Some(staged), ..update });
                self.hold_or_admit();
            }
            (Err(error), Some(WeightUpdate { purpose: Purpose::Update(request), .. })) => {
                self.updated(request.rid, false, &error.to_string(), 0);
            }
            (Err(error), Some(WeightUpdate { purpose: Purpose::Resume { rid, tags }, .. })) => {
                // Nothing is rolled back here, as the error's own text would say.
                let (StageError::Loader(why) | StageError::Iterator(why) | StageError::Load(why)) = error;
                self.finish_resume(rid, &tags, Err(format!("'weights' stays released: {why}")));
            }
            (_, None) => tracing::warn!("Weights were read that nobody asked for"),
        }
    }

    /// Exchanges the weights if new ones are there and nothing runs that needs the old ones.
    pub(crate) fn finish_weight_update(&mut self) -> Result<(), EngineError> {
        let ready = match self.scheduler.is_paused() {
            true => self.scheduler.num_in_flight() == 0,
            false => self.scheduler.is_drained(),
        };
        if !ready || self.weight_update.as_ref().is_none_or(|u| u.staged.is_none()) {
            return Ok(());
        }
        let Some(WeightUpdate { purpose, staged: Some(staged) }) = self.weight_update.take() else {
            return Ok(());
        };
        let swapped =
            self.worker.call(self.settings.watchdog_timeout, move |worker| worker.swap_weights(staged))?;
        match purpose {
            Purpose::Update(request) => self.finish_update(*request, swapped),
            Purpose::Resume { rid, tags } => {
                self.finish_resume(rid, &tags, swapped.map_err(|error| error.to_string()));
            }
        }
        Ok(())
    }

    /// Everything after the model has taken new weights, or has not.
    fn finish_update(&mut self, request: UpdateWeightFromDiskReqInput, swapped: Result<(), WorkerError>) {
        let held = self.scheduler.num_live() as u64;
        let (mut success, mut message) = match swapped {
            Ok(()) => (true, SUCCEEDED.to_owned()),
            Err(error) => (false, StageError::Load(error.to_string()).to_string()),
        };
        if success {
            self.memory.weights_are_back();
            let format = request.load_format.unwrap_or_else(|| "auto".to_owned());
            self.served_checkpoint = (request.model_path, format);
            if let Some(version) = &request.weight_version {
                self.versions.change(version, self.scheduler.live_outputs());
            }
            if request.flush_cache && !self.scheduler.flush_cache() {
                (success, message) = (false, NOT_FLUSHED.to_owned());
            }
            if request.keep_pause && !self.scheduler.is_paused() {
                self.scheduler.pause(PauseMode::InPlace);
            }
        }
        self.hold_or_admit();
        self.updated(request.rid, success, &message, held);
    }

    /// Reads some numbers of a weight out of the model.
    pub(crate) fn get_weights_by_name(&self, request: GetWeightsByNameReqInput) {
        let rows = usize::try_from(request.truncate_size.min(MAX_ROWS)).unwrap_or(0);
        let name = request.name;
        let limit = self.settings.watchdog_timeout;
        let parameter = self.worker.call(limit, move |worker| worker.get_weights_by_name(&name, rows));
        let parameter = parameter.unwrap_or_else(|error| {
            tracing::error!("Cannot read a weight: {error}");
            None
        });
        self.reply(GetWeightsByNameReqOutput {
            rid: request.rid,
            http_worker_ipc: None,
            parameter: parameter.unwrap_or_default(),
        });
    }

    /// Tells the checksums of the weights, keeps them, or compares them with those that were kept.
    pub(crate) fn check_weights(&mut self, request: CheckWeightsReqInput) {
        let checked = self.checked_weights(&request);
        let (success, message, payload) = match checked {
            Ok(payload) => (true, "Success.".to_owned(), payload),
            Err(message) => {
                tracing::warn!("check_weights see error: {message}");
                (false, message, None)
            }
        };
        let rid = request.rid;
        self.reply(CheckWeightsReqOutput { rid, http_worker_ipc: None, success, message, payload });
    }

    fn checked_weights(&mut self, request: &CheckWeightsReqInput) -> Result<Option<Value>, String> {
        match request.selector.as_str() {
            "target" | "all" => {}
            "draft" => return Ok(None),
            other => return Err(format!("invalid selector '{other}'; expected 'target', 'draft', or 'all'")),
        }
        let action = request.action.as_str();
        if !["checksum", "snapshot", "compare"].contains(&action) {
            return Err(format!("Unsupported action='{action}'; expected checksum, snapshot or compare"));
        }
        if action == "compare" && self.weight_snapshot.is_none() {
            return Err("there is no snapshot to compare with".to_owned());
        }
        let limit = self.settings.watchdog_timeout;
        let checksums = self.worker.call(limit, |worker| worker.weight_checksums());
        let checksums = checksums.flatten().map_err(|error| error.to_string())?;
        let skipped = |name: &str| request.skip_tensor_list.iter().flatten().any(|part| name.contains(part));
        match action {
            "snapshot" => self.weight_snapshot = Some(checksums),
            "compare" => {
                let before = self.weight_snapshot.take().unwrap_or_default();
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

    fn updated(&self, rid: Option<String>, success: bool, message: &str, num_paused_requests: u64) {
        match success {
            true => tracing::info!("Update weights end."),
            false => tracing::error!("{message}"),
        }
        self.reply(UpdateWeightFromDiskReqOutput {
            rid,
            http_worker_ipc: None,
            success,
            message: message.to_owned(),
            num_paused_requests,
        });
    }
}

/// The reference's `ChecksumInfo` of the one rank that there is.
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
