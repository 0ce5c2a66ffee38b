//! The mixture-of-experts feed-forward block (reference: `layers/moe`).

use tch::{Device, Tensor};

use crate::error::Result;
use crate::ops::{ExpertWeights, ForwardContext, LinearWeight, Ops};

use super::{FeedForward, GatedMLP, TopK};

/// An expert that processes every token.
#[derive(Debug)]
pub struct SharedExpert {
    /// The expert.
    pub mlp: GatedMLP,
    /// `[1, hidden]`: the sigmoid of its product is the weight of the expert (Qwen2-MoE). Without it the weight is 1.
    pub gate: Option<LinearWeight>,
}

/// A router, the routed experts, and optionally a shared expert.
#[derive(Debug)]
pub struct SparseMoeBlock {
    /// Index of the layer, for the recorder of chosen experts.
    pub layer_idx: usize,
    /// The router's matrix, `[experts, hidden]`.
    pub gate: LinearWeight,
    /// The rule of the router.
    pub topk: TopK,
    /// The routed experts.
    pub experts: ExpertWeights,
    /// The shared expert, if there is one.
    pub shared_expert: Option<SharedExpert>,
}

impl SparseMoeBlock {
    /// Adds a shared expert.
    #[must_use]
    pub fn with_shared_expert(self, shared_expert: SharedExpert) -> Self {
        Self { shared_expert: Some(shared_expert), ..self }
    }
}

impl FeedForward for SparseMoeBlock {
    fn forward(&self, ops: &dyn Ops, x: &Tensor, ctx: &ForwardContext<'_>) -> Result<Tensor> {
        let logits = ops.lm_head(x, &self.gate)?;
        let logits = Vec::<f32>::try_from(&logits.f_to(Device::Cpu)?.f_flatten(0, -1)?)?;
        let topk = self.topk.select_experts(&logits, self.experts.experts().len());
        ctx.on_select_experts(self.layer_idx, &topk);
        let mut out = ops.fused_experts(x, &self.experts, &topk)?;
        let Some(shared) = &self.shared_expert else { return Ok(out) };
        let everyone = shared.mlp.forward(ops, x, ctx)?;
        match &shared.gate {
            Some(gate) => ops.add_gated(&mut out, &ops.linear(x, gate)?, &everyone)?,
            None => ops.add(&mut out, &everyone)?,
        }
        Ok(out)
    }
}
