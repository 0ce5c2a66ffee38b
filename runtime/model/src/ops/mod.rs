//! The interface between models and hardware. Models only call [`Ops`]. [`NativeOps`] implements it with the project's
//! CPU kernels, [`TorchOps`] with libtorch on a CPU or a GPU.
//!
//! Activations are row-major tensors `[tokens, features]` in the format [`Ops::kind`] on [`Ops::device`].

mod attention_options;
mod context;
mod cuda;
mod experts;
mod index;
mod latent;
mod lora;
mod native;
mod native_experts;
mod native_latent;
mod native_lora;
mod native_matrix;
pub(crate) mod raw;
#[cfg(test)]
mod tests;
mod torch;
mod torch_attention;
mod torch_latent;
mod weight;

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use crate::error::Result;
use crate::memory::KvCacheShape;

pub use attention_options::AttentionOptions;
pub use context::{ExpertObserver, ForwardContext, StepAdapters};
pub use experts::{Expert, ExpertWeights, TopKOutput};
pub use latent::{LatentForm, LatentLayout, LatentWeights};
pub use lora::{LoraPart, LoraRows, LoraSegment};
pub use native::NativeOps;
pub use sglang_kernels::RotaryColumns;
pub use torch::TorchOps;
pub use weight::{LinearWeight, Matrix};

/// The layout of the columns of a merged query-key-value row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLayout {
    /// Query heads.
    pub num_heads: usize,
    /// Key and value heads; a divisor of `num_heads`.
    pub num_kv_heads: usize,
    /// Columns of a head.
    pub head_dim: usize,
}

impl HeadLayout {
    /// Columns of all query heads.
    pub fn q_size(&self) -> usize {
        self.num_heads * self.head_dim
    }

    /// Columns of all key (or value) heads.
    pub fn kv_size(&self) -> usize {
        self.num_kv_heads * self.head_dim
    }

    /// Columns of a merged row.
    pub fn qkv_size(&self) -> usize {
        self.q_size() + 2 * self.kv_size()
    }

    /// What the KV cache holds per token.
    pub fn kv_cache_shape(&self) -> KvCacheShape {
        KvCacheShape::Heads { kv_heads: self.num_kv_heads, head_dim: self.head_dim }
    }
}

/// Cosines and sines of a step's positions, `[tokens, rotary_dim / 2]` in float32 on the device.
#[derive(Debug)]
pub struct RopeTable {
    /// Cosines, times the attention factor.
    pub cos: Tensor,
    /// Sines, times the attention factor.
    pub sin: Tensor,
}

/// A layer's keys and values, `[slots + 1, kv_heads, head_dim]`. With latent attention the values are the first columns of
/// the keys.
#[derive(Clone, Copy, Debug)]
pub struct LayerKv<'a> {
    /// Keys.
    pub k: &'a Tensor,
    /// Values.
    pub v: &'a Tensor,
}

/// The activation of a gated feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// GELU in its tanh approximation (Hendrycks and Gimpel, 2016).
    GeluTanh,
    /// gpt-oss's activation: clamps the gate to at most `limit` and `up` to `-limit..limit`, then computes `gate *
    /// sigmoid(alpha * gate) * (up + 1)`.
    ClampedSwiglu {
        /// Steepness of the sigmoid.
        alpha: f64,
        /// Bound.
        limit: f64,
    },
}

/// Hardware operations. After an error, operands are in an unspecified but valid state.
pub trait Ops: Send + std::fmt::Debug {
    /// Device of the tensors.
    fn device(&self) -> Device;

    /// Number format of activations.
    fn kind(&self) -> Kind;

    /// Number format of the KV cache.
    fn kv_kind(&self) -> Kind;

    /// Rows of an embedding matrix for the step's token ids.
    fn embedding(&self, weight: &LinearWeight, ctx: &ForwardContext<'_>) -> Result<Tensor>;

    /// `x · weightᵀ + bias`, `[tokens, out_features]`.
    fn linear(&self, x: &Tensor, weight: &LinearWeight) -> Result<Tensor>;

    /// Adds LoRA deltas to the output of a layer: `y[rows, columns] += scaling * (x · Aᵀ) · Bᵀ` for each part of every
    /// segment, or `scaling * x · Bᵀ` for a part without `A`. Rows outside all segments stay unchanged.
    fn add_lora(&self, x: &Tensor, y: &mut Tensor, segments: &[LoraSegment<'_>]) -> Result<()>;

    /// Root mean square normalisation of every row (Zhang and Sennrich, 2019).
    fn rms_norm(&self, x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor>;

    /// `residual += x`, then the normalised `residual`.
    fn fused_add_rms_norm(
        &self,
        x: &Tensor,
        residual: &mut Tensor,
        weight: &Tensor,
        eps: f64,
    ) -> Result<Tensor>;

    /// Normalises each group of `weight.len()` columns within `columns` separately and in place: query or key heads of
    /// merged rows, or all heads at once.
    fn rms_norm_columns(
        &self,
        x: &mut Tensor,
        columns: Range<usize>,
        weight: &Tensor,
        eps: f64,
    ) -> Result<()>;

    /// Rotates the query and key heads of merged rows in place (RoPE, Su et al., 2021), split-half (NeoX): column `i`
    /// of a head is paired with column `i + rotary_dim / 2`.
    fn rotary(&self, qkv: &mut Tensor, heads: HeadLayout, rope: &RopeTable) -> Result<()>;

    /// Rotates some columns of every head of a row in place.
    fn rotary_columns(&self, x: &mut Tensor, columns: RotaryColumns, rope: &RopeTable) -> Result<()>;

    /// Writes the step's keys and values to their slots, then computes causal attention of every query over its
    /// request's positions. Returns `[tokens, num_heads * head_dim]`.
    fn paged_attention(
        &self,
        qkv: &Tensor,
        heads: HeadLayout,
        options: &AttentionOptions,
        kv: LayerKv<'_>,
        ctx: &ForwardContext<'_>,
    ) -> Result<Tensor>;

    /// Multi-head latent attention (DeepSeek-AI, 2024): writes the step's rows of `latent`, normalised and rotated, to
    /// their slots, then computes causal attention of the queries `q`, `[tokens, num_heads * qk_head_dim]`, over the
    /// compressed rows of their requests. Returns `[tokens, num_heads * v_head_dim]`.
    fn latent_attention(
        &self,
        q: &Tensor,
        latent: &Tensor,
        weights: &LatentWeights,
        options: &AttentionOptions,
        kv: LayerKv<'_>,
        ctx: &ForwardContext<'_>,
    ) -> Result<Tensor>;

    /// `activation(gate) * up` of rows that hold `gate` and `up` side by side.
    fn act_and_mul(&self, gate_up: &Tensor, activation: Activation) -> Result<Tensor>;

    /// `sum += x`.
    fn add(&self, sum: &mut Tensor, x: &Tensor) -> Result<()>;

    /// `x *= factor`.
    fn scale(&self, x: &mut Tensor, factor: f64) -> Result<()>;

    /// Runs every token through its chosen experts and adds up their weighted outputs (Shazeer et al., 2017; reference:
    /// `layers/moe`). Experts that no token chose cost nothing.
    fn fused_experts(&self, x: &Tensor, weights: &ExpertWeights, topk: &TopKOutput) -> Result<Tensor>;

    /// `y += sigmoid(gate) * x`, where `gate` is `[tokens, 1]`.
    fn add_gated(&self, y: &mut Tensor, gate: &Tensor, x: &Tensor) -> Result<()>;

    /// The given rows of `x`, in order.
    fn select_rows(&self, x: &Tensor, rows: &[usize]) -> Result<Tensor>;

    /// Logits: products with the output matrix, as contiguous float32 `[rows, vocab]` on the device.
    fn lm_head(&self, x: &Tensor, weight: &LinearWeight) -> Result<Tensor>;

    /// The most likely of the first `vocab_size` tokens for each row of [`Self::lm_head`]'s logits (the first among
    /// equals), computed on the device; `None` for rows that the host must process.
    fn argmax(&self, logits: &Tensor, _vocab_size: usize) -> Result<Vec<Option<u32>>> {
        Ok(vec![None; logits.size2()?.0 as usize])
    }
}
