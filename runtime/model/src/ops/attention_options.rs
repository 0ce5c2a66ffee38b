//! How a layer's scores become weights.

use tch::Tensor;

/// What attention does beside weighing earlier positions by the products of queries and keys.
#[derive(Debug)]
pub struct AttentionOptions {
    /// Multiplies the products.
    pub scale: f64,
    /// Number of positions that a query sees at most, its own included; at least 1.
    pub sliding_window: Option<usize>,
    /// `cap * tanh(score / cap)` in place of the scaled product (Gemma 2).
    pub logit_cap: Option<f64>,
    /// Per query head, a logit that takes part in the softmax and has no value (gpt-oss), as float32 on the device.
    pub sinks: Option<Tensor>,
}

impl AttentionOptions {
    /// Nothing but a factor.
    pub fn new(scale: f64) -> Self {
        Self { scale, sliding_window: None, logit_cap: None, sinks: None }
    }
}
