//! Matrix products with a weight: `y = x · Wᵀ + b`.
//!
//! Every output number is a sum over chunks of [`CHUNK`] columns, in order; a chunk's sum adds up the lanes of
//! [`tile::dot_tile`]. Weights that are not float32 are first dequantised, a few rows and one chunk at a time, so that
//! they stay in a near cache while all rows of `x` are multiplied with them.
#![allow(unsafe_code)]

mod block;
mod few;
mod heads;
mod operands;
pub(crate) mod tile;

use crate::error::{KernelError, Result, check_len};
use crate::pool::ThreadPool;
use crate::rows::Rows;
use crate::simd::{Isa, Scratch};
use crate::weight::WeightMatrix;

use block::rows_per_task;
use operands::Block;

pub use heads::{HeadColumns, linear_heads};

/// `out = x · weightᵀ + bias`: `x` is `[m, cols]`, `out` is `[m, rows]`, `bias` is `[rows]`.
///
/// # Errors
/// The length of a slice does not fit the shapes.
pub fn linear(
    pool: &ThreadPool,
    x: &[f32],
    weight: &WeightMatrix,
    bias: Option<&[f32]>,
    out: &mut [f32],
) -> Result<()> {
    linear_parts(pool, x, &[weight], bias, out)
}

/// [`linear`] with a weight whose rows are stacked from `parts`, which may differ in storage format.
///
/// # Errors
/// Same as [`linear`]; the parts have different numbers of columns, or there are no parts.
pub fn linear_parts(
    pool: &ThreadPool,
    x: &[f32],
    parts: &[&WeightMatrix],
    bias: Option<&[f32]>,
    out: &mut [f32],
) -> Result<()> {
    linear_with(Isa::best(), pool, x, parts, bias, out)
}

/// One of several products for [`linear_products`]: `out = x · weightᵀ + bias`, as in [`linear_parts`].
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

/// Computes independent products of any sizes as one job of the pool, such as the experts of a layer, each with the
/// rows routed to it.
///
/// # Errors
/// Same as [`linear_parts`], for any of the products.
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

/// The tasks of a job. Each reads the operands of its product and writes different output columns.
#[derive(Default)]
struct Tasks {
    blocks: Vec<Block>,
    /// Padded copies of inputs whose rows are not whole vectors.
    padded: Vec<Scratch>,
}

// SAFETY: blocks only read what they point to, except `out`, of which no two blocks write the same element.
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
        let input = self.whole_vectors(isa, Rows::dense(x, m, k)?);
        let rows_per_task = rows_per_task(m);
        let out = out.as_mut_ptr();
        let mut first_col = 0;
        for weight in parts.iter() {
            // SAFETY: the columns are inside `out` and the bias, whose lengths were checked.
            let (out, bias) =
                unsafe { (out.add(first_col), bias.map_or(std::ptr::null(), |b| b.as_ptr().add(first_col))) };
            self.divide(weight, input, (out, n), bias, rows_per_task)?;
            first_col += weight.rows();
        }
        Ok(())
    }

    /// Adds the tasks of one weight. `out` is a pointer to its first column in the first row and the distance between
    /// rows; `bias` is null or has one number per row of the weight.
    fn divide(
        &mut self,
        weight: &WeightMatrix,
        input: Input,
        (out, ldo): (*mut f32, usize),
        bias: *const f32,
        rows_per_task: usize,
    ) -> Result<()> {
        let bytes = weight.checked_bytes()?;
        for start in (0..weight.rows()).step_by(rows_per_task) {
            // SAFETY: `start` is a row of the weight, whose bytes were checked, and thus a column of its output.
            let (weight_at, out, bias) = unsafe {
                let bias = if bias.is_null() { bias } else { bias.add(start) };
                (bytes.as_ptr().add(start * weight.row_bytes()), out.add(start), bias)
            };
            self.blocks.push(Block {
                x: input.x,
                ldx: input.ldx,
                m: input.m,
                k: weight.cols(),
                quant: weight.quant(),
                weight: weight_at,
                row_bytes: weight.row_bytes(),
                rows: rows_per_task.min(weight.rows() - start),
                bias,
                out,
                ldo,
            });
        }
        Ok(())
    }

    /// Tasks read whole vectors. Copies rows that are not whole vectors and pads them with zeros.
    fn whole_vectors(&mut self, isa: Isa, x: Rows<'_>) -> Input {
        let (m, k) = (x.rows(), x.cols());
        let ldx = k.next_multiple_of(isa.lanes());
        if ldx == k {
            return Input { x: x.as_ptr(), ldx: x.stride(), m };
        }
        let mut copy = Scratch::take(m * ldx);
        let base = copy.as_mut_ptr();
        for i in 0..m {
            // SAFETY: row `i` of the copy is inside the scratch of `m * ldx` floats; a row of `x` is `k` floats.
            unsafe {
                std::ptr::copy_nonoverlapping(x.row(i).as_ptr(), base.add(i * ldx), k);
                std::ptr::write_bytes(base.add(i * ldx + k), 0, ldx - k);
            }
        }
        self.padded.push(copy);
        Input { x: base, ldx, m }
    }

    /// Runs all tasks.
    ///
    /// # Safety
    /// The operands of all tasks are alive and as large as the tasks say, and no two tasks write the same element.
    unsafe fn run(&self, isa: Isa, pool: &ThreadPool) -> Result<()> {
        pool.run(self.blocks.len(), &|i| {
            let Some(block) = self.get(i) else { return };
            // SAFETY: the caller's promise.
            unsafe { block::run(isa, block) };
        })
    }
}

/// Input rows: pointer to the first, distance between them and their number. Each is readable up to the next multiple
/// of a vector.
#[derive(Clone, Copy)]
struct Input {
    x: *const f32,
    ldx: usize,
    m: usize,
}

fn products_with(isa: Isa, pool: &ThreadPool, products: &mut [Product<'_>]) -> Result<()> {
    let all_rows: usize = products.iter().flat_map(|p| &p.parts).map(|w| w.rows()).sum();
    let mut tasks = Tasks::default();
    for product in products.iter_mut() {
        tasks.add(isa, product, |m| rows_per_task(pool.threads(), all_rows, m))?;
    }
    // SAFETY: `x` is `m` rows of `ldx` floats; the rows' bytes are inside the checked bytes of the weight; only this
    // task writes its columns of the `m` rows of `out`, which has `ldo` columns. `products` borrows or `tasks` owns all
    // of this memory, and both outlive the job.
    unsafe { tasks.run(isa, pool) }
}
