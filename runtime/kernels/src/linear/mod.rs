//! `y = x · Wᵀ + b`.
//!
//! Every output number is a sum over chunks of [`CHUNK`] columns, in order; a chunk's sum is that of the lanes of
//! [`tile::dot_tile`]. Weights that are not plain float32 are first written out as float32 for a few rows and one chunk,
//! which stays in a near cache while all rows of `x` pass over it.
#![allow(unsafe_code)]

mod block;
mod few;
pub(crate) mod tile;

use crate::error::{KernelError, Result, check_len};
use crate::pool::ThreadPool;
use crate::simd::{Isa, Scratch};
use crate::weight::WeightMatrix;

use block::{Block, PANEL};

/// `out = x · weightᵀ + bias`: `x` is `[m, cols]`, `out` is `[m, rows]`, `bias` is `[rows]`.
///
/// # Errors
/// A slice has another length than the shapes need.
pub fn linear(
    pool: &ThreadPool,
    x: &[f32],
    weight: &WeightMatrix,
    bias: Option<&[f32]>,
    out: &mut [f32],
) -> Result<()> {
    linear_parts(pool, x, &[weight], bias, out)
}

/// [`linear`] with a matrix that is stacked from `parts`, whose storage may differ.
///
/// # Errors
/// As for [`linear`]; the parts have different numbers of columns, or there are none.
pub fn linear_parts(
    pool: &ThreadPool,
    x: &[f32],
    parts: &[&WeightMatrix],
    bias: Option<&[f32]>,
    out: &mut [f32],
) -> Result<()> {
    linear_with(Isa::best(), pool, x, parts, bias, out)
}

/// Memory that the tasks of a product share, each writing columns of its own.
struct Shared {
    x: *const f32,
    out: *mut f32,
}

// SAFETY: `x` is only read, and no two tasks write the same element of `out`.
unsafe impl Sync for Shared {}

pub(crate) fn linear_with(
    isa: Isa,
    pool: &ThreadPool,
    x: &[f32],
    parts: &[&WeightMatrix],
    bias: Option<&[f32]>,
    out: &mut [f32],
) -> Result<()> {
    let k = parts.first().map_or(0, |w| w.cols());
    if let Some(w) = parts.iter().find(|w| w.cols() != k || k == 0) {
        return Err(KernelError::Value {
            name: "columns of a part of a weight",
            got: w.cols(),
            want: format!("{k} as in the first part"),
        });
    }
    let n: usize = parts.iter().map(|w| w.rows()).sum();
    let m = x.len().checked_div(k).unwrap_or(0);
    check_len("the input of linear", x.len(), m * k, "whole rows of the weight's columns")?;
    check_len("the output of linear", out.len(), m.saturating_mul(n), "input rows times weight rows")?;
    if let Some(bias) = bias {
        check_len("the bias of linear", bias.len(), n, "the weight's rows")?;
    }
    if m == 0 || n == 0 {
        return Ok(());
    }
    // Whole vectors are read: rows of `x` that are not are copied, with zeros after them.
    let lanes = isa.lanes();
    let ldx = k.next_multiple_of(lanes);
    let mut padded = Scratch::take(if ldx == k { 0 } else { m * ldx });
    let mut source = x.as_ptr();
    if ldx != k {
        let base = padded.as_mut_ptr();
        for (i, row) in x.chunks_exact(k).enumerate() {
            // SAFETY: row `i` of the copy is inside the scratch of `m * ldx` floats.
            unsafe {
                std::ptr::copy_nonoverlapping(row.as_ptr(), base.add(i * ldx), k);
                std::ptr::write_bytes(base.add(i * ldx + k), 0, ldx - k);
            }
        }
        source = base;
    }

    let rows_per_task = rows_per_task(pool.threads(), n, m);
    let mut blocks = Vec::new();
    let mut first_col = 0;
    for weight in parts {
        let bytes = weight.checked_bytes()?;
        for start in (0..weight.rows()).step_by(rows_per_task) {
            let rows = start..weight.rows().min(start + rows_per_task);
            blocks.push((*weight, bytes, rows, first_col + start));
        }
        first_col += weight.rows();
    }
    let shared = Shared { x: source, out: out.as_mut_ptr() };
    let shared = &shared;
    pool.run(blocks.len(), &|i| {
        let Some((weight, bytes, rows, col)) = blocks.get(i) else { return };
        // SAFETY: `x` is `m` rows of `ldx` floats; the rows' bytes are inside the checked bytes of the weight; the task
        // alone writes columns `col..col + rows` of the `m` rows of `out`, which has `n` columns, and the bias too.
        unsafe {
            block::run(
                isa,
                Block {
                    x: shared.x,
                    ldx,
                    m,
                    k,
                    quant: weight.quant(),
                    weight: bytes.as_ptr().add(rows.start * weight.row_bytes()),
                    row_bytes: weight.row_bytes(),
                    rows: rows.len(),
                    bias: bias.map_or(std::ptr::null(), |b| b.as_ptr().add(*col)),
                    out: shared.out.add(*col),
                    ldo: n,
                },
            );
        }
    })
}

/// Rows of the weight that a task takes: enough to be worth its start, few enough that the threads end together.
fn rows_per_task(threads: usize, n: usize, m: usize) -> usize {
    let fair = n.div_ceil(threads * 8).next_multiple_of(8);
    if m <= 32 { fair.clamp(8, 64) } else { fair.clamp(8, PANEL) }
}
