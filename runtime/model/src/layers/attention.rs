//! Self-attention over the paged KV pool.

use tch::Tensor;

use crate::error::{ModelError, Result};
use crate::loader::WeightLoader;
use crate::ops::{AttentionOptions, ForwardContext, HeadLayout, LayerKv, LinearWeight, Ops, RopeTable};

use super::RMSNorm;

/// Sizes and biases of an attention block.
#[derive(Clone, Copy, Debug)]
pub struct AttentionShape {
    /// Columns of the residual stream.
    pub hidden_size: usize,
    /// Heads.
    pub heads: HeadLayout,
    /// Whether the query, key and value projections have biases.
    pub qkv_bias: bool,
    /// Whether the output projection has one.
    pub out_bias: bool,
}

/// What a layer is run on, beside the residual stream.
#[derive(Clone, Copy, Debug)]
pub struct LayerStep<'a> {
    /// The step.
    pub ctx: &'a ForwardContext<'a>,
    /// Rotations of the step's positions, one table for each of the model's kinds of layer.
    pub ropes: &'a [RopeTable],
    /// The layer's keys and values.
    pub kv: LayerKv<'a>,
}

/// The table of one kind of layer.
///
/// # Errors
/// The model has no such table.
pub(super) fn rope_table(ropes: &[RopeTable], index: usize) -> Result<&RopeTable> {
    let missing = || ModelError::Kernel(format!("rotation table {index} of {}", ropes.len()));
    ropes.get(index).ok_or_else(missing)
}

/// The first half of a decoder layer: what tokens get from those before them.
pub trait SelfAttention: Send + std::fmt::Debug {
    /// Runs the block on `[tokens, hidden]`, writing what the step's tokens leave for later ones to the layer's pool.
    ///
    /// # Errors
    /// The backend's.
    fn forward(&self, ops: &dyn Ops, x: &Tensor, step: &LayerStep<'_>) -> Result<Tensor>;
}

impl SelfAttention for Attention {
    fn forward(&self, ops: &dyn Ops, x: &Tensor, step: &LayerStep<'_>) -> Result<Tensor> {
        self.forward(ops, x, step)
    }
}

/// Attention with merged query, key and value projections and rotary positions; grouped-query when there are fewer key
/// heads than query heads (Ainslie et al., 2023).
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
    /// Loads `q_proj`, `k_proj`, `v_proj` and `o_proj` of the module `name`. Products are scaled by `head_dim^-0.5`, and
    /// queries and keys are rotated by the first table of [`LayerStep::ropes`].
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn load(weights: &mut WeightLoader<'_>, name: &str, shape: AttentionShape) -> Result<Self> {
        let heads = shape.heads;
        let rows = [("q_proj", heads.q_size()), ("k_proj", heads.kv_size()), ("v_proj", heads.kv_size())];
        let parts = rows.map(|(part, rows)| (format!("{name}.{part}"), rows));
        let parts = parts.each_ref().map(|(part, rows)| (part.as_str(), *rows));
        Self::with_projection(weights, name, &parts, shape)
    }

    /// As [`Attention::load`], from a checkpoint that stores the three projections as one `qkv_proj`.
    ///
    /// # Errors
    /// As of [`Attention::load`].
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

    /// Normalises queries and keys before they are rotated: each head when the norms are as wide as a head, all heads
    /// together when they are as wide as the projections.
    #[must_use]
    pub fn with_qk_norm(self, q_norm: RMSNorm, k_norm: RMSNorm) -> Self {
        Self { qk_norm: Some((q_norm, k_norm)), ..self }
    }

    /// Rotates by another table of [`LayerStep::ropes`], or not at all.
    #[must_use]
    pub fn with_rope(self, rope: Option<usize>) -> Self {
        Self { rope, ..self }
    }

    /// Changes how scores become weights.
    #[must_use]
    pub fn with_options(mut self, change: impl FnOnce(&mut AttentionOptions)) -> Self {
        change(&mut self.options);
        self
    }

    /// Sets the number of positions that a query sees at most.
    #[must_use]
    pub fn with_sliding_window(self, window: Option<usize>) -> Self {
        self.with_options(|options| options.sliding_window = window)
    }

    /// Runs the block on `[tokens, hidden]`, writing the step's keys and values to the layer's pool.
    ///
    /// # Errors
    /// The backend's.
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
    fn a_layer_whose_table_is_missing_fails_instead_of_leaving_its_columns_as_they_are() {
        let table = || Tensor::zeros([1, 2], (Kind::Float, Device::Cpu));
        let ropes = [RopeTable { cos: table(), sin: table() }];
        assert!(rope_table(&ropes, 0).is_ok());
        let error = rope_table(&ropes, 1).unwrap_err().to_string();
        assert_eq!(error, "kernel: rotation table 1 of 1");
    }
}
