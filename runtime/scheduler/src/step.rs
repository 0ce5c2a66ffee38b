//! What a step of the model works on.

use serde_json::{Value, json};
use sglang_proto::forward::{ForwardBatch, ForwardMode};

/// A batch without its contents, for logs, counters and traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepInfo {
    /// Number of the step.
    pub forward_id: u64,
    /// Its kind.
    pub mode: ForwardMode,
    /// Requests in it.
    pub num_reqs: usize,
    /// New tokens in it.
    pub num_tokens: usize,
}

impl StepInfo {
    /// What `batch` is.
    pub fn of(batch: &ForwardBatch) -> Self {
        Self {
            forward_id: batch.forward_id,
            mode: batch.mode,
            num_reqs: batch.num_reqs(),
            num_tokens: batch.num_tokens(),
        }
    }

    /// The reference's word for the kind of step.
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
