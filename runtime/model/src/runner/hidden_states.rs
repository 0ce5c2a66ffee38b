//! Returns hidden states to requests that want them: the rows from which logits are computed.

use sglang_proto::forward::{ForwardBatch, HiddenStateRows};
use tch::Tensor;

use crate::error::Result;
use crate::models::embedding::host_rows;
use crate::plan::ForwardPlan;

use super::ModelRunner;

impl ModelRunner {
    /// The rows that the batch requests, copied to the host at once.
    pub(super) fn wanted_hidden_states(
        &self,
        batch: &ForwardBatch,
        plan: &ForwardPlan,
        hidden: &Tensor,
    ) -> Result<Vec<HiddenStateRows>> {
        if batch.hidden_states.is_empty() {
            return Ok(Vec::new());
        }
        let _guard = tch::no_grad_guard();
        let mut wanted = Vec::new();
        let mut counts = Vec::with_capacity(batch.hidden_states.len());
        for spec in &batch.hidden_states {
            let Some(seq) = plan.seqs.get(spec.req_index as usize) else { continue };
            let rows = seq.first_token + spec.row_start as usize..seq.first_token + seq.extend_len;
            counts.push((spec.req_index, rows.len()));
            wanted.extend(rows);
        }
        let mut rows = host_rows(&self.ops.select_rows(hidden, &wanted)?)?.into_iter();
        let of_request =
            |(req_index, count)| HiddenStateRows { req_index, rows: rows.by_ref().take(count).collect() };
        Ok(counts.into_iter().map(of_request).collect())
    }
}
