//! Multi-head latent attention (DeepSeek-AI, 2024; reference: `DeepseekV2AttentionMLA` in `srt/models/deepseek_v2.py`).

use tch::Tensor;

use crate::error::Result;
use crate::loader::WeightLoader;
use crate::ops::{AttentionOptions, LatentLayout, LatentWeights, LinearWeight, Ops, RotaryColumns};

use super::attention::rope_table;
use super::{LayerStep, NormKind, RMSNorm, SelfAttention};

/// Sizes and options of a latent attention block.
#[derive(Clone, Copy, Debug)]
pub struct LatentAttentionShape {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Norms of the compressed rows.
    pub norm: NormKind,
    /// Sizes of heads and compressed rows.
    pub layout: LatentLayout,
    /// Width of compressed queries; `None` if queries are not compressed.
    pub q_lora_rank: Option<usize>,
    /// Whether the projections from and to the residual stream have biases.
    pub bias: bool,
    /// Whether the rotation is interleaved (GPT-J) rather than split-half (NeoX).
    pub rope_interleave: bool,
    /// Factor of the query-key products.
    pub scale: f64,
}

/// How queries are computed.
#[derive(Debug)]
enum Query {
    Direct(LinearWeight),
    Compressed { q_a_proj: LinearWeight, q_a_layernorm: RMSNorm, q_b_proj: LinearWeight },
}

/// Attention in which the keys and values of all heads are computed from one compressed row per token, plus one rotated
/// key that all heads share. The cache holds only these two.
#[derive(Debug)]
pub struct MultiHeadLatentAttention {
    query: Query,
    kv_a_proj_with_mqa: LinearWeight,
    kv_a_layernorm: RMSNorm,
    kv_b_proj: LatentWeights,
    o_proj: LinearWeight,
    options: AttentionOptions,
    rope_interleave: bool,
}

impl MultiHeadLatentAttention {
    /// Loads the module `name`. Queries and keys are rotated with the first table of [`LayerStep::ropes`].
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(weights: &mut WeightLoader<'_>, name: &str, shape: LatentAttentionShape) -> Result<Self> {
        let (hidden, layout) = (shape.hidden_size, shape.layout);
        let of = |module: &str| format!("{name}.{module}");
        let q_size = layout.num_heads * layout.qk_head_dim();
        let query = match shape.q_lora_rank {
            None => Query::Direct(weights.linear(&[(&of("q_proj"), q_size)], hidden, false)?),
            Some(rank) => Query::Compressed {
                q_a_proj: weights.linear(&[(&of("q_a_proj"), rank)], hidden, shape.bias)?,
                q_a_layernorm: shape.norm.load(weights, &of("q_a_layernorm"), rank)?,
                q_b_proj: weights.linear(&[(&of("q_b_proj"), q_size)], rank, false)?,
            },
        };
        let latent = [(&*of("kv_a_proj_with_mqa"), layout.latent_dim())];
        let values = layout.num_heads * layout.v_head_dim;
        Ok(Self {
            query,
            kv_a_proj_with_mqa: weights.linear(&latent, hidden, shape.bias)?,
            kv_a_layernorm: shape.norm.load(weights, &of("kv_a_layernorm"), layout.kv_lora_rank)?,
            kv_b_proj: weights.latent(name, layout)?,
            o_proj: weights.linear(&[(&of("o_proj"), hidden)], values, shape.bias)?,
            options: AttentionOptions::new(shape.scale),
            rope_interleave: shape.rope_interleave,
        })
    }

    fn queries(&self, ops: &dyn Ops, x: &Tensor) -> Result<Tensor> {
        match &self.query {
            Query::Direct(q_proj) => ops.linear(x, q_proj),
            Query::Compressed { q_a_proj, q_a_layernorm, q_b_proj } => {
                let compressed = ops.linear(x, q_a_proj)?;
                ops.linear(&q_a_layernorm.forward(ops, &compressed)?, q_b_proj)
            }
        }
    }
}

impl SelfAttention for MultiHeadLatentAttention {
    fn forward(&self, ops: &dyn Ops, x: &Tensor, step: &LayerStep<'_>) -> Result<Tensor> {
        let layout = self.kv_b_proj.layout();
        let rope = rope_table(step.ropes, 0)?;
        let columns = |head_dim: usize, first: usize| RotaryColumns {
            head_dim,
            first,
            interleaved: self.rope_interleave,
        };
        let mut q = self.queries(ops, x)?;
        ops.rotary_columns(&mut q, columns(layout.qk_head_dim(), layout.qk_nope_head_dim), rope)?;
        let mut latent = ops.linear(x, &self.kv_a_proj_with_mqa)?;
        self.kv_a_layernorm.forward_columns(ops, &mut latent, 0..layout.kv_lora_rank)?;
        ops.rotary_columns(&mut latent, columns(layout.latent_dim(), layout.kv_lora_rank), rope)?;
        let attended =
            ops.latent_attention(&q, &latent, &self.kv_b_proj, &self.options, step.kv, step.ctx)?;
        ops.linear(&attended, &self.o_proj)
    }
}
