//! Self-attention over the paged KV pool.

use tch::Tensor;

use crate::error::Result;
use crate::ops::{ForwardContext, HeadLayout, LayerKv, LinearWeight, Ops, RopeTable};

/// Attention with merged query, key and value projections and rotary positions; grouped-query when there are fewer key
/// heads than query heads (Ainslie et al., 2023).
#[derive(Debug)]
pub struct Attention {
    qkv_proj: LinearWeight,
    o_proj: LinearWeight,
    heads: HeadLayout,
    scale: f64,
}

impl Attention {
    /// A block from its projections. Products are scaled by `head_dim^-0.5`.
    pub fn new(qkv_proj: LinearWeight, o_proj: LinearWeight, heads: HeadLayout) -> Self {
        Self { qkv_proj, o_proj, heads, scale: (heads.head_dim as f64).powf(-0.5) }
    }

    /// Runs the block on `[tokens, hidden]`, writing the step's keys and values to the layer's pool.
    ///
    /// # Errors
    /// The backend's.
    pub fn forward(
        &self,
        ops: &dyn Ops,
        x: &Tensor,
        rope: &RopeTable,
        kv: LayerKv<'_>,
        ctx: &ForwardContext<'_>,
    ) -> Result<Tensor> {
        let mut qkv = ops.linear(x, &self.qkv_proj)?;
        ops.rotary(&mut qkv, self.heads, rope)?;
        let attended = ops.paged_attention(&qkv, self.heads, self.scale, kv, ctx)?;
        ops.linear(&attended, &self.o_proj)
    }
}
