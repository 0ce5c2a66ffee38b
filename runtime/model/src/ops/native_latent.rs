//! Multi-head latent attention on the project's CPU kernels.
//!
//! Always uses the absorbed form: results must not depend on whether a token comes in a prompt, in a chunk or alone,
//! and the expanded form would give prompts other bits than later steps.
#![allow(unsafe_code)]

use std::ops::Range;

use sglang_kernels::{
    AttentionRequest, HeadColumns, KvLayout, PagedKv, Rows, ThreadPool, Values, WeightMatrix,
};
use tch::Tensor;

use crate::error::{ModelError, Result};

use super::context::ForwardContext;
use super::latent::{LatentForm, LatentLayout, LatentWeights};
use super::raw::{empty, floats, floats_mut, pool_slice, pool_slice_mut};
use super::{AttentionOptions, LayerKv};

/// Most elements of absorbed queries in memory at once; such queries are several times as wide as the residual stream.
pub(super) const NUMBERS_AT_ONCE: usize = 1 << 24;

/// See [`super::Ops::latent_attention`]. `at_once` is [`NUMBERS_AT_ONCE`]; results do not depend on it.
#[allow(clippy::too_many_arguments)]
pub(super) fn latent_attention(
    pool: &ThreadPool,
    at_once: usize,
    q: &Tensor,
    latent: &Tensor,
    weights: &LatentWeights,
    options: &AttentionOptions,
    kv: LayerKv<'_>,
    ctx: &ForwardContext<'_>,
) -> Result<Tensor> {
    let LatentForm::Native { w_kc, w_vc } = weights.form() else {
        return Err(ModelError::Kernel("a libtorch matrix reached the native kernels".to_owned()));
    };
    let layout = weights.layout();
    let tokens = ctx.plan.num_tokens();
    let cache = KvLayout { slots: kv.k.size3()?.0 as usize, kv_heads: 1, head_dim: layout.latent_dim() };
    store(latent, cache, kv, &ctx.plan.out_cache_loc)?;
    let paged = PagedKv { layout: cache, k: pool_slice(kv.k)?, v: Values::OfKeys(layout.kv_lora_rank) };
    let options = sglang_kernels::AttentionOptions {
        scale: options.scale as f32,
        causal: true,
        sliding_window: options.sliding_window,
        logit_cap: options.logit_cap.map(|cap| cap as f32),
        sinks: options.sinks.as_ref().map(floats).transpose()?,
    };
    let q_size = layout.num_heads * layout.qk_head_dim();
    let out_size = layout.num_heads * layout.v_head_dim;
    let mut out = empty(tokens, out_size)?;
    let (q, y) = (floats(q)?, floats_mut(&mut out)?);
    let step = (at_once / (layout.num_heads * layout.latent_dim()).max(1)).max(16);
    for start in (0..tokens).step_by(step) {
        let range = start..tokens.min(start + step);
        let part = |x: &[f32], width: usize| range.start * width..(range.end * width).min(x.len());
        let q = q.get(part(q, q_size)).unwrap_or_default();
        let bounds = part(y, out_size);
        let y = y.get_mut(bounds).unwrap_or_default();
        let absorbed = absorb(pool, layout, q, range.len(), w_kc)?;
        let requests = requests_within(ctx, &range);
        let width = layout.num_heads * layout.latent_dim();
        let q = Rows::dense(floats(&absorbed)?, range.len(), width)?;
        let mut gathered = empty(range.len(), layout.num_heads * layout.kv_lora_rank)?;
        let to = floats_mut(&mut gathered)?;
        sglang_kernels::paged_attention(pool, q, layout.num_heads, &paged, &requests, &options, to)?;
        let from = HeadColumns::dense(layout.num_heads, layout.kv_lora_rank);
        let to = HeadColumns::dense(layout.num_heads, layout.v_head_dim);
        sglang_kernels::linear_heads(pool, range.len(), (floats(&gathered)?, from), w_vc, (y, to))?;
    }
    Ok(out)
}

fn store(latent: &Tensor, layout: KvLayout, kv: LayerKv<'_>, slots: &[u32]) -> Result<()> {
    let rows = Rows::dense(floats(latent)?, slots.len(), layout.head_dim)?;
    // SAFETY: no other slice of the pool exists: one thread runs the batch, and `latent_attention` takes its slice
    // after this function has returned. The values of `kv` are a view that is not used.
    let mut cache = unsafe { pool_slice_mut(kv.k)? };
    Ok(sglang_kernels::store_latent(rows, slots, layout, &mut cache)?)
}

/// Absorbed queries, `[tokens, num_heads * latent_dim]`: products with their heads' key matrices, then the rotated
/// columns unchanged.
fn absorb(
    pool: &ThreadPool,
    layout: LatentLayout,
    q: &[f32],
    tokens: usize,
    w_kc: &[WeightMatrix],
) -> Result<Tensor> {
    let (qk, latent) = (layout.qk_head_dim(), layout.latent_dim());
    let mut out = empty(tokens, layout.num_heads * latent)?;
    let to = floats_mut(&mut out)?;
    let columns = HeadColumns::dense(layout.num_heads, qk);
    let absorbed = HeadColumns::dense(layout.num_heads, latent);
    sglang_kernels::linear_heads(pool, tokens, (q, columns), w_kc, (to, absorbed))?;
    for (from, to) in q.chunks_exact(qk.max(1)).zip(to.chunks_exact_mut(latent.max(1))) {
        let from = from.get(layout.qk_nope_head_dim..).unwrap_or_default();
        to.get_mut(layout.kv_lora_rank..).unwrap_or_default().copy_from_slice(from);
    }
    Ok(out)
}

/// The requests' parts within a range of the step's tokens.
fn requests_within<'a>(ctx: &'a ForwardContext<'_>, range: &Range<usize>) -> Vec<AttentionRequest<'a>> {
    let part = |(seq, slots): (&crate::plan::PlannedSeq, &&'a [u32])| {
        let first = seq.first_token.max(range.start);
        let end = (seq.first_token + seq.extend_len).min(range.end);
        (first < end).then(|| AttentionRequest {
            q_start: first - range.start,
            q_len: end - first,
            seq_len: seq.prefix_len + end - seq.first_token,
            slots,
        })
    };
    ctx.plan.seqs.iter().zip(&ctx.slot_tables).filter_map(part).collect()
}
