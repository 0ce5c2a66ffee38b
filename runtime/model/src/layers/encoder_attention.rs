//! Self-attention of encoders: every position sees the whole prompt, and no KV is cached.

use tch::Tensor;

use crate::error::Result;
use crate::ops::{ForwardContext, HeadLayout, LinearWeight, Ops};

/// Bidirectional attention with merged query, key and value projections over packed prompts. Rows attend only to rows
/// of the same prompt, so no padding is needed.
#[derive(Debug)]
pub struct EncoderAttention {
    qkv_proj: LinearWeight,
    heads: HeadLayout,
    scale: f64,
}

impl EncoderAttention {
    /// A block with this projection. Scores are scaled by `head_dim^-0.5`.
    pub fn new(qkv_proj: LinearWeight, heads: HeadLayout) -> Self {
        Self { qkv_proj, heads, scale: (heads.head_dim as f64).powf(-0.5) }
    }

    /// Runs the block on `[tokens, hidden]`. Returns the outputs of the heads side by side, without output projection.
    ///
    /// # Errors
    /// An error of the backend.
    pub fn forward(&self, ops: &dyn Ops, x: &Tensor, ctx: &ForwardContext<'_>) -> Result<Tensor> {
        let (h, d) = (self.heads.num_heads as i64, self.heads.head_dim as i64);
        let tokens = ctx.plan.num_tokens() as i64;
        // [3, heads, tokens, head_dim]
        let qkv = ops.linear(x, &self.qkv_proj)?.f_view([tokens, 3, h, d])?.f_permute([1, 2, 0, 3])?;
        let (q, k, v) = (qkv.f_select(0, 0)?, qkv.f_select(0, 1)?, qkv.f_select(0, 2)?);
        let mut outputs = Vec::with_capacity(ctx.plan.seqs.len());
        for seq in &ctx.plan.seqs {
            let (first, len) = (seq.first_token as i64, seq.extend_len as i64);
            let own = |t: &Tensor| -> Result<Tensor> { Ok(t.f_narrow(1, first, len)?.f_unsqueeze(0)?) };
            let attended = Tensor::f_scaled_dot_product_attention(
                &own(&q)?,
                &own(&k)?,
                &own(&v)?,
                None::<&Tensor>,
                0.0,
                false,
                self.scale,
                false,
            )?;
            outputs.push(attended.f_squeeze_dim(0)?.f_transpose(0, 1)?.f_reshape([len, h * d])?);
        }
        Ok(Tensor::f_cat(&outputs, 0)?)
    }
}
