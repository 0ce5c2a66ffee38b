//! Products of each head's columns with that head's matrix.
#![allow(unsafe_code)]

use crate::error::{KernelError, Result, check_len};
use crate::pool::ThreadPool;
use crate::rows::Rows;
use crate::simd::Isa;
use crate::weight::WeightMatrix;

use super::Tasks;
use super::block::rows_per_task;

/// Where heads are within a row: the columns of head `h` begin at column `h * step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadColumns {
    /// Columns from one row to the next.
    pub stride: usize,
    /// Columns from one head to the next.
    pub step: usize,
}

impl HeadColumns {
    /// Heads without gaps.
    pub fn dense(heads: usize, columns: usize) -> Self {
        Self { stride: heads * columns, step: columns }
    }
}

/// For each head `h` and each of `m` rows, multiplies the first columns of the head in `x` with `weights[h]ᵀ` and
/// writes the first columns of the head in `out`. Other columns of `out` stay unchanged. The numbers are those of
/// [`super::linear`].
///
/// # Errors
/// The matrices differ in shape, heads overlap, or a slice is too short.
pub fn linear_heads(
    pool: &ThreadPool,
    m: usize,
    (x, from): (&[f32], HeadColumns),
    weights: &[WeightMatrix],
    (out, to): (&mut [f32], HeadColumns),
) -> Result<()> {
    heads_with(Isa::best(), pool, m, (x, from), weights, (out, to))
}

pub(crate) fn heads_with(
    isa: Isa,
    pool: &ThreadPool,
    m: usize,
    (x, from): (&[f32], HeadColumns),
    weights: &[WeightMatrix],
    (out, to): (&mut [f32], HeadColumns),
) -> Result<()> {
    let Some(first) = weights.first() else { return Ok(()) };
    let (n, k) = (first.rows(), first.cols());
    if let Some(w) = weights.iter().find(|w| (w.rows(), w.cols()) != (n, k)) {
        return Err(KernelError::Value {
            name: "columns of a head's weight",
            got: w.cols(),
            want: format!("{n} rows and {k} columns as for the first head"),
        });
    }
    check_heads("the input of linear_heads", x.len(), m, weights.len(), k, from)?;
    check_heads("the output of linear_heads", out.len(), m, weights.len(), n, to)?;
    if m == 0 || n == 0 {
        return Ok(());
    }
    let rows_per_task = rows_per_task(pool.threads(), n * weights.len(), m);
    let mut tasks = Tasks::default();
    let out = out.as_mut_ptr();
    for (h, weight) in weights.iter().enumerate() {
        let columns = x.get(h * from.step..).unwrap_or_default();
        let input = tasks.whole_vectors(isa, Rows::strided(columns, m, k, from.stride)?);
        // SAFETY: the head's columns are inside `out`, whose length was checked.
        let at = unsafe { out.add(h * to.step) };
        tasks.divide(weight, input, (at, to.stride), std::ptr::null(), rows_per_task)?;
    }
    // SAFETY: `x`, `weights` and `out` are borrowed and were checked; heads do not overlap in `out`.
    unsafe { tasks.run(isa, pool) }
}

/// Returns an error if heads overlap, or if their rows reach past `len` numbers.
fn check_heads(
    name: &'static str,
    len: usize,
    m: usize,
    heads: usize,
    columns: usize,
    at: HeadColumns,
) -> Result<()> {
    if at.step < columns || at.stride < heads.saturating_mul(at.step) {
        return Err(KernelError::Value {
            name: "columns from one head to the next",
            got: at.step,
            want: format!("at least {columns}, and {heads} heads within {} columns", at.stride),
        });
    }
    check_len(name, len, m.saturating_mul(at.stride), "rows times columns")
}
