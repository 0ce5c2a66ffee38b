//! Options of attention.

use tch::Tensor;

/// How scores, the query-key products, become attention weights.
#[derive(Debug)]
pub struct AttentionOptions {
    /// Factor of the scores.
    pub scale: f64,
    /// Most positions that a query sees, its own included; at least 1.
    pub sliding_window: Option<usize>,
    /// `cap * tanh(score / cap)` in place of the scaled product (Gemma 2).
    pub logit_cap: Option<f64>,
    /// One logit per query head that takes part in the softmax but has no value (gpt-oss), as float32 on the device.
    pub sinks: Option<Tensor>,
}

impl AttentionOptions {
    /// Options with only a scale.
    pub fn new(scale: f64) -> Self {
        Self { scale, sliding_window: None, logit_cap: None, sinks: None }
    }
}
