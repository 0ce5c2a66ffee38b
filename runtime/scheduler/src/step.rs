//! A summary of a step of the model.

use serde_json::{Value, json};
use sglang_proto::forward::{ForwardBatch, ForwardMode};

/// Summary of a batch, for logs, counters and traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepInfo {
    /// Id of the step.
    pub forward_id: u64,
    /// Forward mode.
    pub mode: ForwardMode,
    /// Number of requests.
    pub num_reqs: usize,
    /// Number of new tokens.
    pub num_tokens: usize,
}

impl StepInfo {
    /// The summary of `batch`.
    pub fn of(batch: &ForwardBatch) -> Self {
        Self {
            forward_id: batch.forward_id,
            mode: batch.mode,
            num_reqs: batch.num_reqs(),
            num_tokens: batch.num_tokens(),
        }
    }

    /// The reference's name of the forward mode.
    pub fn stage(&self) -> &'static str {
        match self.mode {
            ForwardMode::Extend => "EXTEND",
            ForwardMode::Decode => "DECODE",
            ForwardMode::Mixed => "MIXED",
        }
    }

    /// Arguments of the step's spans in a trace.
    pub fn to_json(self) -> Value {
        json!({
            "step": self.forward_id,
            "mode": self.stage(),
            "batch_size": self.num_reqs,
            "num_tokens": self.num_tokens,
        })
    }
}
