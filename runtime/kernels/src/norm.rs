//! Root mean square normalisation (Zhang and Sennrich, 2019).

use crate::error::{Result, check_len};
use crate::pool::ThreadPool;
use crate::rows::RowsMut;
use crate::simd::{Isa, Kernel, Simd, dispatch, load_part, store_part};
use crate::split::{for_parts, rows_per_part};

/// `out = x / sqrt(mean(x²) + eps) * weight` for every row; rows are as long as `weight`.
///
/// # Errors
/// `x` does not consist of whole rows, or `out` has another length.
pub fn rms_norm(pool: &ThreadPool, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) -> Result<()> {
    let cols = weight.len();
    let rows = check_rows(x.len(), cols)?;
    check_len("the output of rms_norm", out.len(), x.len(), "as many as the input")?;
    if rows == 0 {
        return Ok(());
    }
    let part = rows_per_part(pool, rows, cols) * cols;
    let parts = x.chunks(part).zip(out.chunks_mut(part)).collect();
    for_parts(pool, parts, &|(x, out): (&[f32], &mut [f32])| {
        for (x, out) in x.chunks_exact(cols).zip(out.chunks_exact_mut(cols)) {
            dispatch(Isa::best(), Norm { x, weight, eps, out });
        }
    })
}

/// `residual += x`, then `out = rms_norm(residual)`.
///
/// # Errors
/// Same as [`rms_norm`]; `residual` differs in length from `x`.
pub fn fused_add_rms_norm(
    pool: &ThreadPool,
    x: &[f32],
    residual: &mut [f32],
    weight: &[f32],
    eps: f32,
    out: &mut [f32],
) -> Result<()> {
    let cols = weight.len();
    let rows = check_rows(x.len(), cols)?;
    check_len("the residual of fused_add_rms_norm", residual.len(), x.len(), "as many as the input")?;
    check_len("the output of fused_add_rms_norm", out.len(), x.len(), "as many as the input")?;
    if rows == 0 {
        return Ok(());
    }
    let part = rows_per_part(pool, rows, cols) * cols;
    let parts = x.chunks(part).zip(residual.chunks_mut(part)).zip(out.chunks_mut(part)).collect();
    for_parts(pool, parts, &|((x, residual), out): ((&[f32], &mut [f32]), &mut [f32])| {
        for (r, x) in residual.iter_mut().zip(x) {
            *r += *x;
        }
        for (x, out) in residual.chunks_exact(cols).zip(out.chunks_exact_mut(cols)) {
            dispatch(Isa::best(), Norm { x, weight, eps, out });
        }
    })
}

/// Normalises every head of every row in place (query and key norms); heads are as long as `weight`.
///
/// # Errors
/// A row does not consist of whole heads.
pub fn rms_norm_heads(pool: &ThreadPool, x: RowsMut<'_>, weight: &[f32], eps: f32) -> Result<()> {
    let dim = weight.len();
    check_rows(x.cols(), dim)?;
    let block = rows_per_part(pool, x.rows(), x.cols());
    for_parts(pool, x.into_blocks(block), &|mut rows| {
        rows.for_each_row(|row| {
            for head in row.chunks_exact_mut(dim.max(1)) {
                dispatch(Isa::best(), NormInPlace { x: head, weight, eps });
            }
        });
    })
}

/// Number of rows of `cols` numbers in `len` numbers.
fn check_rows(len: usize, cols: usize) -> Result<usize> {
    let rows = len.checked_div(cols).unwrap_or(0);
    check_len("the input of a norm", len, rows * cols, "whole rows as long as the weight")?;
    Ok(rows)
}

struct Norm<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

struct NormInPlace<'a> {
    x: &'a mut [f32],
    weight: &'a [f32],
    eps: f32,
}

/// The factor that normalises a row: `1 / sqrt(mean(x²) + eps)`.
#[inline(always)]
fn inverse_rms<S: Simd>(s: S, x: &[f32], eps: f32) -> S::V {
    let mut squares = s.splat(0.0);
    let mut i = 0;
    while i < x.len() {
        let v = load_part(s, x, i);
        squares = s.fma(v, v, squares);
        i += S::LANES;
    }
    s.splat(1.0 / (s.sum(squares) / x.len() as f32 + eps).sqrt())
}

impl Kernel for Norm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let factor = inverse_rms(s, self.x, self.eps);
        let mut i = 0;
        while i < self.x.len() {
            let v = s.mul(s.mul(load_part(s, self.x, i), factor), load_part(s, self.weight, i));
            store_part(s, self.out, i, v);
            i += S::LANES;
        }
    }
}

impl Kernel for NormInPlace<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let factor = inverse_rms(s, self.x, self.eps);
        let mut i = 0;
        while i < self.x.len() {
            let v = s.mul(s.mul(load_part(s, self.x, i), factor), load_part(s, self.weight, i));
            store_part(s, self.x, i, v);
            i += S::LANES;
        }
    }
}
