//! Loads weights of experts, in each of the forms in which checkpoints store them.

use crate::error::Result;
use crate::ops::{Activation, Expert, ExpertWeights};

use super::WeightLoader;

/// A family's names of the three matrices of an expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertNames {
    /// Name of the gate projection.
    pub gate: &'static str,
    /// Name of the up projection.
    pub up: &'static str,
    /// Name of the down projection.
    pub down: &'static str,
}

impl ExpertNames {
    /// Names of Qwen and DeepSeek.
    pub const PROJ: Self = Self { gate: "gate_proj", up: "up_proj", down: "down_proj" };
    /// Names of Mixtral.
    pub const MIXTRAL: Self = Self { gate: "w1", up: "w3", down: "w2" };
}

impl WeightLoader<'_> {
    /// Loads the experts `name.0`, `name.1`, …, each with three matrices and, if `bias` is set, three biases. Stacked
    /// tensors of GGUF files are split.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    #[allow(clippy::too_many_arguments)]
    pub fn experts(
        &mut self,
        name: &str,
        names: ExpertNames,
        num_experts: usize,
        hidden_size: usize,
        intermediate_size: usize,
        activation: Activation,
        bias: bool,
    ) -> Result<ExpertWeights> {
        let mut experts = Vec::with_capacity(num_experts);
        for i in 0..num_experts {
            let [gate, up, down] =
                [names.gate, names.up, names.down].map(|matrix| format!("{name}.{i}.{matrix}"));
            let gate_up = [(gate.as_str(), intermediate_size), (up.as_str(), intermediate_size)];
            experts.push(Expert {
                gate_up_proj: self.linear(&gate_up, hidden_size, bias)?,
                down_proj: self.linear(&[(&down, hidden_size)], intermediate_size, bias)?,
            });
        }
        ExpertWeights::new(experts, activation)
    }
}
