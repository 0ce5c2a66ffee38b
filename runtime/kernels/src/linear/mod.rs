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

/// One of several products that are computed together: `out = x · weightᵀ + bias` as by [`linear_parts`].
#[derive(Debug)]
pub struct Product<'a> {
    /// `[m, cols]`.
    pub x: &'a [f32],
    /// The matrix's parts, stacked over their rows.
    pub parts: Vec<&'a WeightMatrix>,
    /// `[rows]`.
    pub bias: Option<&'a [f32]>,
    /// `[m, rows]`.
    pub out: &'a mut [f32],
}

/// Computes independent products, of any sizes, as one job of the pool: the experts of a layer, each with the rows that
/// were sent to it.
///
/// # Errors
/// As for [`linear_parts`], of any of them.
pub fn linear_products(pool: &ThreadPool, products: &mut [Product<'_>]) -> Result<()> {
    products_with(Isa::best(), pool, products)
}

pub(crate) fn linear_with(
    isa: Isa,
    pool: &ThreadPool,
    x: &[f32],
    parts: &[&WeightMatrix],
    bias: Option<&[f32]>,
    out: &mut [f32],
) -> Result<()> {
    products_with(isa, pool, &mut [Product { x, parts: parts.to_vec(), bias, out }])
}

/// The tasks of a job. Each reads its product's operands and writes output columns of its own.
#[derive(Default)]
struct Tasks {
    blocks: Vec<Block>,
    /// Copies of inputs whose rows are not whole vectors.
    padded: Vec<Scratch>,
}

// SAFETY: what the blocks point to is only read, but for `out`, of which no two blocks write the same element.
unsafe impl Sync for Tasks {}

impl Tasks {
    fn get(&self, i: usize) -> Option<Block> {
        self.blocks.get(i).copied()
    }

    /// Checks a product and divides it into tasks of `rows_per_task` rows of its weight.
    fn add(
        &mut self,
        isa: Isa,
        product: &mut Product<'_>,
        rows_per_task: impl Fn(usize) -> usize,
    ) -> Result<()> {
        let Product { x, parts, bias, out } = product;
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
        let (source, ldx) = self.whole_vectors(isa, x, m, k);
        let rows_per_task = rows_per_task(m);
        let out = out.as_mut_ptr();
        let mut first_col = 0;
        for weight in parts.iter() {
            let bytes = weight.checked_bytes()?;
            for start in (0..weight.rows()).step_by(rows_per_task) {
                let col = first_col + start;
                // SAFETY: `start` is a row of the weight, whose bytes were checked; `col` is a column of `out` and an
                // index of the bias, which were checked too.
                let (weight_at, out_at, bias_at) = unsafe {
                    (
                        bytes.as_ptr().add(start * weight.row_bytes()),
                        out.add(col),
                        bias.map_or(std::ptr::null(), |b| b.as_ptr().add(col)),
                    )
                };
                self.blocks.push(Block {
                    x: source,
                    ldx,
                    m,
                    k,
                    quant: weight.quant(),
                    weight: weight_at,
                    row_bytes: weight.row_bytes(),
                    rows: rows_per_task.min(weight.rows() - start),
                    bias: bias_at,
                    out: out_at,
                    ldo: n,
                });
            }
            first_col += weight.rows();
        }
        Ok(())
    }

    /// Whole vectors are read: rows of `x` that are not are copied, with zeros after them. Gives the first row and the
    /// distance between rows.
    fn whole_vectors(&mut self, isa: Isa, x: &[f32], m: usize, k: usize) -> (*const f32, usize) {
        let ldx = k.next_multiple_of(isa.lanes());
        if ldx == k {
            return (x.as_ptr(), k);
        }
        let mut copy = Scratch::take(m * ldx);
        let base = copy.as_mut_ptr();
        for (i, row) in x.chunks_exact(k).enumerate() {
            // SAFETY: row `i` of the copy is inside the scratch of `m * ldx` floats.
            unsafe {
                std::ptr::copy_nonoverlapping(row.as_ptr(), base.add(i * ldx), k);
                std::ptr::write_bytes(base.add(i * ldx + k), 0, ldx - k);
            }
        }
        self.padded.push(copy);
        (base, ldx)
    }
}

fn products_with(isa: Isa, pool: &ThreadPool, products: &mut [Product<'_>]) -> Result<()> {
    let all_rows: usize = products.iter().flat_map(|p| &p.parts).map(|w| w.rows()).sum();
    let mut tasks = Tasks::default();
    for product in products.iter_mut() {
        tasks.add(isa, product, |m| rows_per_task(pool.threads(), all_rows, m))?;
    }
    let tasks = &tasks;
    pool.run(tasks.blocks.len(), &|i| {
        let Some(block) = tasks.get(i) else { return };
        // SAFETY: `x` is `m` rows of `ldx` floats; the rows' bytes are inside the checked bytes of the weight; the task
        // alone writes its columns of the `m` rows of `out`, which has `ldo` columns. All of it is borrowed by
        // `products` or owned by `tasks`, which outlive the job.
        unsafe { block::run(isa, block) };
    })
}

/// Rows of the weight that a task takes: enough to be worth its start, few enough that the threads end together.
fn rows_per_task(threads: usize, n: usize, m: usize) -> usize {
    let fair = n.div_ceil(threads * 8).next_multiple_of(8);
    if m <= 32 { fair.clamp(8, 64) } else { fair.clamp(8, PANEL) }
}
