//! A mixture-of-experts layer on the project's CPU kernels.

use std::ops::Range;

use sglang_kernels::{Product, ThreadPool};
use tch::Tensor;

use crate::error::Result;

use super::experts::{Dispatch, Expert, ExpertWeights, TopKOutput};
use super::native_matrix::{activate, native};
use super::raw::{empty, floats, floats_mut};
use super::weight::LinearWeight;

/// Tokens that are processed together. This limits the memory between the products, which is `top_k` rows per token,
/// and still gives every expert enough rows.
const TOKENS_AT_ONCE: usize = 1024;

/// See [`super::Ops::fused_experts`].
pub(super) fn fused_experts(
    pool: &ThreadPool,
    x: &Tensor,
    weights: &ExpertWeights,
    topk: &TopKOutput,
) -> Result<Tensor> {
    let (tokens, hidden) = (x.size2()?.0 as usize, weights.hidden_size());
    let mut out = empty(tokens, hidden)?;
    let chunk = (TOKENS_AT_ONCE * hidden).max(1);
    let chunks = floats(x)?.chunks(chunk).zip(floats_mut(&mut out)?.chunks_mut(chunk));
    for (i, (x, out)) in chunks.enumerate() {
        let first = i * TOKENS_AT_ONCE;
        let part = topk.tokens(first..first + x.len().checked_div(hidden).unwrap_or(0));
        run(pool, x, weights, &part, out)?;
    }
    Ok(out)
}

fn run(
    pool: &ThreadPool,
    x: &[f32],
    weights: &ExpertWeights,
    topk: &TopKOutput,
    out: &mut [f32],
) -> Result<()> {
    let (hidden, inner) = (weights.hidden_size(), weights.intermediate_size());
    let dispatch = Dispatch::new(topk, weights.experts().len())?;
    let rows = dispatch.tokens.len();
    let mut input = empty(rows, hidden)?;
    sglang_kernels::gather_rows(pool, x, hidden, &dispatch.tokens, floats_mut(&mut input)?)?;
    let mut gate_up = empty(rows, 2 * inner)?;
    let input_rows = floats(&input)?;
    products(pool, input_rows, weights, &dispatch.groups, |e| &e.gate_up_proj, floats_mut(&mut gate_up)?)?;
    let mut activated = empty(rows, inner)?;
    activate(pool, floats(&gate_up)?, inner, weights.activation(), floats_mut(&mut activated)?)?;
    // The gathered rows are no longer needed; the results overwrite them.
    let results = floats_mut(&mut input)?;
    products(pool, floats(&activated)?, weights, &dispatch.groups, |e| &e.down_proj, results)?;
    Ok(sglang_kernels::combine_rows(pool, results, hidden, &dispatch.rows, &topk.topk_weights, out)?)
}

/// Applies the same projection of every chosen expert to its rows.
fn products(
    pool: &ThreadPool,
    x: &[f32],
    weights: &ExpertWeights,
    groups: &[(usize, Range<usize>)],
    projection: impl Fn(&Expert) -> &LinearWeight,
    out: &mut [f32],
) -> Result<()> {
    let mut rest = out;
    let mut all = Vec::with_capacity(groups.len());
    for (id, rows) in groups {
        let Some(expert) = weights.experts().get(*id) else { continue };
        let weight = projection(expert);
        let (columns, width) = (weight.in_features(), weight.out_features());
        let (out, after) =
            std::mem::take(&mut rest).split_at_mut_checked(rows.len() * width).unwrap_or_default();
        rest = after;
        all.push(Product {
            x: x.get(rows.start * columns..rows.end * columns).unwrap_or_default(),
            parts: weight.parts().iter().map(native).collect::<Result<_>>()?,
            bias: weight.bias().map(floats).transpose()?,
            out,
        });
    }
    Ok(sglang_kernels::linear_products(pool, &mut all)?)
}
