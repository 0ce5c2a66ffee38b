//! The steps around the matrix products of a mixture-of-experts layer: gathering rows by expert, and adding the
//! experts' results up by token.

use crate::error::{KernelError, Result, check_len};
use crate::pool::ThreadPool;
use crate::simd::{Isa, Kernel, Math, Simd, dispatch, load_part, store_part};
use crate::split::{for_parts, rows_per_part};

/// Copies row `order[i]` of `x` to row `i` of `out`; rows are `cols` long.
///
/// # Errors
/// A slice does not consist of whole rows, or an index in `order` is out of range.
pub fn gather_rows(pool: &ThreadPool, x: &[f32], cols: usize, order: &[u32], out: &mut [f32]) -> Result<()> {
    let rows = whole_rows("the input of gather_rows", x.len(), cols)?;
    check_len(
        "the output of gather_rows",
        out.len(),
        order.len().saturating_mul(cols),
        "rows times columns",
    )?;
    check_indices(order, rows)?;
    let part = rows_per_part(pool, order.len(), cols);
    let parts = order.chunks(part).zip(out.chunks_mut((part * cols).max(1))).collect();
    for_parts(pool, parts, &|(order, out): (&[u32], &mut [f32])| {
        for (&row, out) in order.iter().zip(out.chunks_exact_mut(cols)) {
            let start = row as usize * cols;
            if let Some(from) = x.get(start..start + cols) {
                out.copy_from_slice(from);
            }
        }
    })
}

/// Row `t` of `out` becomes the sum over `j < k` of `weights[t * k + j]` times row `at[t * k + j]` of `rows`, added in
/// the order of `j`. `k`, the experts per token, follows from the lengths.
///
/// # Errors
/// A slice does not consist of whole rows, `at` and `weights` do not have `k` entries per row, or an index in `at` is
/// out of range.
pub fn combine_rows(
    pool: &ThreadPool,
    rows: &[f32],
    cols: usize,
    at: &[u32],
    weights: &[f32],
    out: &mut [f32],
) -> Result<()> {
    let have = whole_rows("the input of combine_rows", rows.len(), cols)?;
    let tokens = whole_rows("the output of combine_rows", out.len(), cols)?;
    let k = at.len().checked_div(tokens).unwrap_or(0);
    check_len("the indices of combine_rows", at.len(), k * tokens, "as many for every row of output")?;
    check_len("the weights of combine_rows", weights.len(), at.len(), "one per index")?;
    check_indices(at, have)?;
    if tokens == 0 {
        return Ok(());
    }
    if k == 0 {
        out.fill(0.0);
        return Ok(());
    }
    let part = rows_per_part(pool, tokens, cols.saturating_mul(k));
    let parts = at.chunks(part * k).zip(weights.chunks(part * k)).zip(out.chunks_mut(part * cols)).collect();
    for_parts(pool, parts, &|((at, weights), out): ((&[u32], &[f32]), &mut [f32])| {
        for ((at, weights), out) in at.chunks(k).zip(weights.chunks(k)).zip(out.chunks_exact_mut(cols)) {
            dispatch(Isa::best(), Combine { rows, at, weights, out });
        }
    })
}

/// `y += sigmoid(gate) * x` with one gate per row: the gated output of a shared expert.
///
/// # Errors
/// `x` and `y` differ in length, or do not consist of one whole row per gate.
pub fn add_gated(pool: &ThreadPool, x: &[f32], gate: &[f32], y: &mut [f32]) -> Result<()> {
    check_len("the output of add_gated", y.len(), x.len(), "as many as the input")?;
    let cols = x.len().checked_div(gate.len()).unwrap_or(0);
    check_len("the input of add_gated", x.len(), cols * gate.len(), "whole rows, one per gate")?;
    if x.is_empty() {
        return Ok(());
    }
    let part = rows_per_part(pool, gate.len(), cols);
    let parts = x.chunks(part * cols).zip(gate.chunks(part)).zip(y.chunks_mut(part * cols)).collect();
    for_parts(pool, parts, &|((x, gate), y): ((&[f32], &[f32]), &mut [f32])| {
        for ((x, gate), y) in x.chunks_exact(cols).zip(gate).zip(y.chunks_exact_mut(cols)) {
            dispatch(Isa::best(), AddGated { x, gate: *gate, y });
        }
    })
}

fn whole_rows(name: &'static str, len: usize, cols: usize) -> Result<usize> {
    let rows = len.checked_div(cols).unwrap_or(0);
    check_len(name, len, rows * cols, "whole rows")?;
    Ok(rows)
}

fn check_indices(indices: &[u32], rows: usize) -> Result<()> {
    match indices.iter().find(|&&i| i as usize >= rows) {
        Some(&i) => {
            Err(KernelError::Value { name: "a row's index", got: i as usize, want: format!("below {rows}") })
        }
        None => Ok(()),
    }
}

struct Combine<'a> {
    rows: &'a [f32],
    at: &'a [u32],
    weights: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let cols = self.out.len();
        let mut i = 0;
        while i < cols {
            let mut sum = s.splat(0.0);
            for (&row, &weight) in self.at.iter().zip(self.weights) {
                let start = row as usize * cols;
                let row = self.rows.get(start..start + cols).unwrap_or(&[]);
                sum = s.fma(load_part(s, row, i), s.splat(weight), sum);
            }
            store_part(s, self.out, i, sum);
            i += S::LANES;
        }
    }
}

struct AddGated<'a> {
    x: &'a [f32],
    gate: f32,
    y: &'a mut [f32],
}

impl Kernel for AddGated<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let gate = s.sigmoid(s.splat(self.gate));
        let mut i = 0;
        while i < self.y.len() {
            let v = s.fma(load_part(s, self.x, i), gate, load_part(s, self.y, i));
            store_part(s, self.y, i, v);
            i += S::LANES;
        }
    }
}
