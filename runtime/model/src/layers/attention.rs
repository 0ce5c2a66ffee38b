//! Self-attention over the paged KV pool.

use tch::Tensor;

use crate::error::{ModelError, Result};
use crate::loader::WeightLoader;
use crate::ops::{AttentionOptions, ForwardContext, HeadLayout, LayerKv, LinearWeight, Ops, RopeTable};

use super::RMSNorm;

/// Sizes and biases of an attention block.
#[derive(Clone, Copy, Debug)]
pub struct AttentionShape {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number and width of heads.
    pub heads: HeadLayout,
    /// Whether the query, key and value projections have biases.
    pub qkv_bias: bool,
    /// Whether the output projection has a bias.
    pub out_bias: bool,
}

/// Inputs of a layer other than the residual stream.
#[derive(Clone, Copy, Debug)]
pub struct LayerStep<'a> {
    /// Context of the step.
    pub ctx: &'a ForwardContext<'a>,
    /// Cosines and sines of the step's positions, one table for each kind of layer of the model.
    pub ropes: &'a [RopeTable],
    /// KV cache of the layer.
    pub kv: LayerKv<'a>,
}

/// The table at `index`.
///
/// # Errors
/// The model has no such table.
pub(super) fn rope_table(ropes: &[RopeTable], index: usize) -> Result<&RopeTable> {
    let missing = || ModelError::Kernel(format!("rotation table {index} of {}", ropes.len()));
    ropes.get(index).ok_or_else(missing)
}

/// The attention block of a decoder layer.
pub trait SelfAttention: Send + std::fmt::Debug {
    /// Runs the block on `[tokens, hidden]` and writes the step's keys and values to the layer's pool.
    ///
    /// # Errors
    /// An error of the backend.
    fn forward(&self, ops: &dyn Ops, x: &Tensor, step: &LayerStep<'_>) -> Result<Tensor>;
}

impl SelfAttention for Attention {
    fn forward(&self, ops: &dyn Ops, x: &Tensor, step: &LayerStep<'_>) -> Result<Tensor> {
        self.forward(ops, x, step)
    }
}

/// Attention with merged query, key and value projections and rotary positions. It is grouped-query attention if there
/// are fewer key heads than query heads (Ainslie et al., 2023).
#[derive(Debug)]
pub struct Attention {
    qkv_proj: LinearWeight,
    qk_norm: Option<(RMSNorm, RMSNorm)>,
    rope: Option<usize>,
    o_proj: LinearWeight,
    heads: HeadLayout,
    options: AttentionOptions,
}

impl Attention {
    /// Loads `q_proj`, `k_proj`, `v_proj` and `o_proj` of the module `name`. Scores are scaled by `head_dim^-0.5`, and
    /// queries and keys are rotated with the first table of [`LayerStep::ropes`].
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(weights: &mut WeightLoader<'_>, name: &str, shape: AttentionShape) -> Result<Self> {
        let heads = shape.heads;
        let rows = [("q_proj", heads.q_size()), ("k_proj", heads.kv_size()), ("v_proj", heads.kv_size())];
        let parts = rows.map(|(part, rows)| (format!("{name}.{part}"), rows));
        let parts = parts.each_ref().map(|(part, rows)| (part.as_str(), *rows));
        Self::with_projection(weights, name, &parts, shape)
    }

    /// Like [`Attention::load`], for checkpoints that store the three projections as one `qkv_proj`.
    ///
    /// # Errors
    /// Same as [`Attention::load`].
    pub fn load_merged(weights: &mut WeightLoader<'_>, name: &str, shape: AttentionShape) -> Result<Self> {
        Self::with_projection(weights, name, &[(&format!("{name}.qkv_proj"), shape.heads.qkv_size())], shape)
    }

    fn with_projection(
        weights: &mut WeightLoader<'_>,
        name: &str,
        parts: &[(&str, usize)],
        shape: AttentionShape,
    ) -> Result<Self> {
        let (hidden, heads) = (shape.hidden_size, shape.heads);
        let qkv_proj = weights.adaptable(parts, hidden, shape.qkv_bias)?;
        let out = [(format!("{name}.o_proj"), hidden)];
        let out = out.each_ref().map(|(part, rows)| (part.as_str(), *rows));
        let o_proj = weights.adaptable(&out, heads.q_size(), shape.out_bias)?;
        let options = AttentionOptions::new((heads.head_dim as f64).powf(-0.5));
        Ok(Self { qkv_proj, qk_norm: None, rope: Some(0), o_proj, heads, options })
    }

    /// Normalises queries and keys before rotation: each head if the norms are as wide as a head, all heads together if
    /// they are as wide as the projections.
    #[must_use]
    pub fn with_qk_norm(self, q_norm: RMSNorm, k_norm: RMSNorm) -> Self {
        Self { qk_norm: Some((q_norm, k_norm)), ..self }
    }

    /// Uses another table of [`LayerStep::ropes`], or no rotation.
    #[must_use]
    pub fn with_rope(self, rope: Option<usize>) -> Self {
        Self { rope, ..self }
    }

    /// Changes the attention options.
    #[must_use]
    pub fn with_options(mut self, change: impl FnOnce(&mut AttentionOptions)) -> Self {
        change(&mut self.options);
        self
    }

    /// Sets the most positions that a query sees.
    #[must_use]
    pub fn with_sliding_window(self, window: Option<usize>) -> Self {
        self.with_options(|options| options.sliding_window = window)
    }

    /// Runs the block on `[tokens, hidden]` and writes the step's keys and values to the layer's pool.
    ///
    /// # Errors
    /// An error of the backend.
    pub fn forward(&self, ops: &dyn Ops, x: &Tensor, step: &LayerStep<'_>) -> Result<Tensor> {
        let mut qkv = step.ctx.linear(ops, x, &self.qkv_proj)?;
        if let Some((q_norm, k_norm)) = &self.qk_norm {
            let (q, kv) = (self.heads.q_size(), self.heads.kv_size());
            q_norm.forward_columns(ops, &mut qkv, 0..q)?;
            k_norm.forward_columns(ops, &mut qkv, q..q + kv)?;
        }
        if let Some(rope) = self.rope {
            ops.rotary(&mut qkv, self.heads, rope_table(step.ropes, rope)?)?;
        }
        let attended = ops.paged_attention(&qkv, self.heads, &self.options, step.kv, step.ctx)?;
        step.ctx.linear(ops, &attended, &self.o_proj)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn a_layer_without_its_rope_table_fails_instead_of_skipping_the_rotation() {
        let table = || Tensor::zeros([1, 2], (Kind::Float, Device::Cpu));
        let ropes = [RopeTable { cos: table(), sin: table() }];
        assert!(rope_table(&ropes, 0).is_ok());
        let error = rope_table(&ropes, 1).unwrap_err().to_string();
        assert_eq!(error, "kernel: rotation table 1 of 1");
    }
}
