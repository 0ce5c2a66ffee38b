//! Weights of experts, in each of the forms that checkpoints have them in.

use crate::error::Result;
use crate::ops::{Activation, Expert, ExpertWeights};

use super::WeightLoader;

/// What a family calls the three matrices of an expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertNames {
    /// The gate's.
    pub gate: &'static str,
    /// That of what the gate scales.
    pub up: &'static str,
    /// The closing one's.
    pub down: &'static str,
}

impl ExpertNames {
    /// Qwen's and DeepSeek's.
    pub const PROJ: Self = Self { gate: "gate_proj", up: "up_proj", down: "down_proj" };
    /// Mixtral's.
    pub const MIXTRAL: Self = Self { gate: "w1", up: "w3", down: "w2" };
}

impl WeightLoader<'_> {
    /// The experts `name.0`, `name.1`, …, each with three matrices, and as many biases when `bias`. A GGUF file's stacks
    /// are taken apart.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
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
