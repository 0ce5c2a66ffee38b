//! The feed-forward block of Llama-like models.

use tch::Tensor;

use crate::error::Result;
use crate::ops::{LinearWeight, Ops};

/// `down(silu(gate(x)) * up(x))` with gate and up merged (SwiGLU, Shazeer 2020).
#[derive(Debug)]
pub struct GatedMLP {
    gate_up_proj: LinearWeight,
    down_proj: LinearWeight,
}

impl GatedMLP {
    /// A block from its merged and its closing projection.
    pub fn new(gate_up_proj: LinearWeight, down_proj: LinearWeight) -> Self {
        Self { gate_up_proj, down_proj }
    }

    /// Runs the block on `[tokens, hidden]`.
    ///
    /// # Errors
    /// The backend's.
    pub fn forward(&self, ops: &dyn Ops, x: &Tensor) -> Result<Tensor> {
        let gate_up = ops.linear(x, &self.gate_up_proj)?;
        ops.linear(&ops.silu_and_mul(&gate_up)?, &self.down_proj)
    }
}
