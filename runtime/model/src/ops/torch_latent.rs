//! Multi-head latent attention with libtorch's operators.

use sglang_kernels::RotaryColumns;
use tch::{Kind, Tensor};

use crate::error::{ModelError, Result};

use super::context::ForwardContext;
use super::latent::{LatentForm, LatentLayout, LatentWeights};
use super::torch_attention::{Group, Mask, attend_step_by_step, scaled_dot_product};
use super::{AttentionOptions, LayerKv, RopeTable};

/// See [`super::Ops::rotary_columns`].
pub(super) fn rotary_columns(x: &Tensor, columns: RotaryColumns, rope: &RopeTable) -> Result<()> {
    let (tokens, half) = rope.cos.size2()?;
    let heads = x.size2()?.1 / (columns.head_dim.max(1) as i64);
    let rows = x.f_view([tokens, heads, columns.head_dim as i64])?;
    let mut part = rows.f_narrow(2, columns.first as i64, 2 * half)?;
    let wide = part.f_to_kind(Kind::Float)?;
    let (first, second) = if columns.interleaved {
        let pairs = wide.f_reshape([tokens, heads, half, 2])?;
        (pairs.f_select(3, 0)?, pairs.f_select(3, 1)?)
    } else {
        (wide.f_narrow(2, 0, half)?, wide.f_narrow(2, half, half)?)
    };
    let (cos, sin) = (rope.cos.f_unsqueeze(1)?, rope.sin.f_unsqueeze(1)?);
    let rotated =
        [first.f_mul(&cos)?.f_sub(&second.f_mul(&sin)?)?, second.f_mul(&cos)?.f_add(&first.f_mul(&sin)?)?];
    let rotated = if columns.interleaved {
        Tensor::f_stack(&rotated, 3)?.f_reshape([tokens, heads, 2 * half])?
    } else {
        Tensor::f_cat(&rotated, 2)?
    };
    Ok(part.f_copy_(&rotated)?)
}

/// See [`super::Ops::latent_attention`].
pub(super) fn latent_attention(
    ctx: &ForwardContext<'_>,
    q: &Tensor,
    latent: &Tensor,
    weights: &LatentWeights,
    options: &AttentionOptions,
    kv: LayerKv<'_>,
) -> Result<Tensor> {
    let LatentForm::Torch(kv_b) = weights.form() else {
        return Err(ModelError::Kernel("a matrix in the native form reached libtorch".to_owned()));
    };
    let layout = weights.layout();
    let rows = latent.f_unsqueeze(1)?;
    let _ = kv.k.shallow_clone().f_index_copy_(0, &ctx.torch()?.out_cache_loc, &rows)?;
    let masks = ctx.attention_plan()?.masks(options.sliding_window)?;
    let mut outputs = Vec::new();
    for (group, mask) in ctx.attention_plan()?.groups().iter().zip(masks.iter()) {
        let (n, queries) = (group.requests, group.queries);
        let (heads, width) = (layout.num_heads as i64, layout.qk_head_dim() as i64);
        let q = q.f_narrow(0, group.first_token, n * queries)?.f_view([n, queries, heads, width])?;
        let q = q.f_transpose(1, 2)?;
        let rows = group.gather(kv.k)?;
        let out = if expanding_is_cheaper(layout, group) {
            let (k, v) = expand(layout, &rows, kv_b)?;
            scaled_dot_product(&q, &k, &v, mask, options)?
        } else {
            let q = absorb(layout, &q, kv_b)?;
            let values = rows.f_narrow(3, 0, layout.kv_lora_rank as i64)?;
            let gathered = attend_to_one_head(&q, &rows, &values, mask, options)?;
            let w_vc = kv_b.f_narrow(1, layout.qk_nope_head_dim as i64, layout.v_head_dim as i64)?;
            gathered.f_matmul(&w_vc.f_transpose(1, 2)?)?
        };
        outputs.push(out.f_transpose(1, 2)?.f_reshape([n * queries, heads * layout.v_head_dim as i64])?);
    }
    Ok(Tensor::f_cat(&outputs, 0)?)
}

/// Whether expanding keys and values takes fewer multiplications than the absorbed form, whose compressed rows are
/// wider. Compares them per position and head: products with all queries, plus the expansion.
fn expanding_is_cheaper(layout: LatentLayout, group: &Group) -> bool {
    let compressed = (layout.latent_dim() + layout.kv_lora_rank) as i64;
    let expanded = (layout.qk_head_dim() + layout.v_head_dim) as i64;
    let expansion = (layout.kv_b_head_rows() * layout.kv_lora_rank) as i64;
    group.queries * (compressed - expanded) > expansion
}

/// Attention of all heads over one KV head. Unlike libtorch's operator, does not copy the KV head for every query head.
fn attend_to_one_head(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: &Mask,
    options: &AttentionOptions,
) -> Result<Tensor> {
    let (n, heads, queries, columns) = q.size4()?;
    if queries > 1 {
        return attend_step_by_step(q, k, v, mask, options);
    }
    // Treats the heads of a single query as queries of one head: all of them see the same positions.
    let q = q.f_reshape([n, 1, heads, columns])?;
    Ok(scaled_dot_product(&q, k, v, mask, options)?.f_transpose(1, 2)?)
}

/// Absorbed queries: products with their heads' key matrices, then the rotated columns unchanged.
fn absorb(layout: LatentLayout, q: &Tensor, kv_b: &Tensor) -> Result<Tensor> {
    let nope = layout.qk_nope_head_dim as i64;
    let absorbed = q.f_narrow(3, 0, nope)?.f_matmul(&kv_b.f_narrow(1, 0, nope)?)?;
    Ok(Tensor::f_cat(&[absorbed, q.f_narrow(3, nope, layout.qk_rope_head_dim as i64)?], 3)?)
}

/// Keys and values of every head, `[requests, heads, positions, columns]`, from `[requests, 1, positions, latent_dim]`.
fn expand(layout: LatentLayout, rows: &Tensor, kv_b: &Tensor) -> Result<(Tensor, Tensor)> {
    let (n, _, positions, _) = rows.size4()?;
    let (nope, rope, rank) =
        (layout.qk_nope_head_dim as i64, layout.qk_rope_head_dim as i64, layout.kv_lora_rank as i64);
    let expanded = rows.f_narrow(3, 0, rank)?.f_matmul(&kv_b.f_transpose(1, 2)?)?;
    let shared =
        rows.f_narrow(3, rank, rope)?.f_expand([n, layout.num_heads as i64, positions, rope], false)?;
    let k = Tensor::f_cat(&[expanded.f_narrow(3, 0, nope)?, shared], 3)?;
    Ok((k, expanded.f_narrow(3, nope, layout.v_head_dim as i64)?))
}
