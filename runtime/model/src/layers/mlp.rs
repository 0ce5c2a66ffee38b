//! Feed-forward blocks.

use tch::Tensor;

use crate::error::Result;
use crate::loader::WeightLoader;
use crate::ops::{Activation, ForwardContext, LinearWeight, Ops};

/// The feed-forward block of a decoder layer.
pub trait FeedForward: Send + std::fmt::Debug {
    /// Runs the block on `[tokens, hidden]`.
    ///
    /// # Errors
    /// An error of the backend.
    fn forward(&self, ops: &dyn Ops, x: &Tensor, ctx: &ForwardContext<'_>) -> Result<Tensor>;
}

impl FeedForward for Box<dyn FeedForward> {
    fn forward(&self, ops: &dyn Ops, x: &Tensor, ctx: &ForwardContext<'_>) -> Result<Tensor> {
        self.as_ref().forward(ops, x, ctx)
    }
}

/// `down(activation(gate(x)) * up(x))` with gate and up merged (Shazeer, 2020).
#[derive(Debug)]
pub struct GatedMLP {
    gate_up_proj: LinearWeight,
    down_proj: LinearWeight,
    activation: Activation,
}

/// Sizes, activation and biases of a feed-forward block.
#[derive(Clone, Copy, Debug)]
pub struct MlpShape {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the block.
    pub intermediate_size: usize,
    /// Activation of the gate.
    pub activation: Activation,
    /// Whether all projections have biases.
    pub bias: bool,
}

impl GatedMLP {
    /// Loads `gate_proj`, `up_proj` and `down_proj` of the module `name`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(weights: &mut WeightLoader<'_>, name: &str, shape: MlpShape) -> Result<Self> {
        let parts = ["gate_proj", "up_proj"].map(|part| format!("{name}.{part}"));
        let parts = parts.each_ref().map(|part| (part.as_str(), shape.intermediate_size));
        Self::with_projection(weights, name, &parts, shape)
    }

    /// Like [`GatedMLP::load`], for checkpoints that store gate and up as one `gate_up_proj`.
    ///
    /// # Errors
    /// Same as [`GatedMLP::load`].
    pub fn load_merged(weights: &mut WeightLoader<'_>, name: &str, shape: MlpShape) -> Result<Self> {
        let merged = format!("{name}.gate_up_proj");
        Self::with_projection(weights, name, &[(&merged, 2 * shape.intermediate_size)], shape)
    }

    fn with_projection(
        weights: &mut WeightLoader<'_>,
        name: &str,
        parts: &[(&str, usize)],
        shape: MlpShape,
    ) -> Result<Self> {
        let gate_up_proj = weights.adaptable(parts, shape.hidden_size, shape.bias)?;
        let down = format!("{name}.down_proj");
        let down_proj =
            weights.adaptable(&[(&down, shape.hidden_size)], shape.intermediate_size, shape.bias)?;
        Ok(Self { gate_up_proj, down_proj, activation: shape.activation })
    }
}

impl FeedForward for GatedMLP {
    fn forward(&self, ops: &dyn Ops, x: &Tensor, ctx: &ForwardContext<'_>) -> Result<Tensor> {
        let gate_up = ctx.linear(ops, x, &self.gate_up_proj)?;
        ctx.linear(ops, &ops.act_and_mul(&gate_up, self.activation)?, &self.down_proj)
    }
}
