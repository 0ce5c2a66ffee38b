//! One task of a matrix product: some rows of the weight times all rows of the input.

use std::ops::Range;

use crate::quant::dequantise;
use crate::simd::{Isa, Kernel, Scratch, Simd, dispatch};

use super::few;
use super::operands::{Block, CHUNK, put};
use super::tile::dot_tile;

/// Rows of the weight that are dequantised together when there are many rows of input.
pub(super) const PANEL: usize = 32;
/// Rows of the input that are multiplied with a panel together: they stay in the second-level cache.
const INPUT_ROWS: usize = 48;
/// Distance between dequantised rows. A power of two would make all of them compete for the same cache sets.
const PANEL_STRIDE: usize = CHUNK + 16;

/// Computes the block.
///
/// # Safety
/// The pointers of `block` are valid for its sizes, and nothing else touches its part of `out`.
pub(super) unsafe fn run(isa: Isa, block: Block) {
    dispatch(isa, Run(block));
}

/// A [`Block`] whose pointers are valid, as the caller of [`run`] promised.
struct Run(Block);

impl Kernel for Run {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let b = self.0;
        if few::has::<S>(&b) {
            // SAFETY: `block::run` was promised valid operands.
            return unsafe { few::run(s, &b) };
        }
        // With few input rows, dequantise no more of the weight than the first-level cache holds beside them.
        let panel_rows = if b.m <= INPUT_ROWS { 4 } else { PANEL };
        let mut scratch = Scratch::take(panel_rows * PANEL_STRIDE);
        let panel = scratch.as_mut_ptr();
        for first in (0..b.rows).step_by(panel_rows) {
            let rows = panel_rows.min(b.rows - first);
            for col in (0..b.k).step_by(CHUNK) {
                let cols = CHUNK.min(b.k - col);
                // SAFETY: rows `first..first + rows` and columns `col..col + cols` are inside the weight; `col` is a
                // multiple of the block length and so is `cols`, because `k` is. The scratch has `rows` rows of a chunk.
                unsafe {
                    for r in 0..rows {
                        let row = b.weight.add((first + r) * b.row_bytes);
                        let to = panel.add(r * PANEL_STRIDE);
                        dequantise(s, b.quant, row, col..col + cols, to, panel_rows * b.row_bytes);
                    }
                    for top in (0..b.m).step_by(INPUT_ROWS) {
                        let count = INPUT_ROWS.min(b.m - top);
                        strip(s, &b, panel, first..first + rows, top..top + count, col..col + cols);
                    }
                }
            }
        }
    }
}

/// Products of some rows of the weight, at `w`, with some rows of the input over one chunk.
///
/// # Safety
/// As for [`run`]; `w` holds the rows' chunk as floats, padded with zeros to whole vectors.
#[inline(always)]
unsafe fn strip<S: Simd>(
    s: S,
    b: &Block,
    w: *const f32,
    rows: Range<usize>,
    inputs: Range<usize>,
    cols: Range<usize>,
) {
    let mut r = rows.start;
    while r < rows.end {
        let step = if rows.end - r >= 4 { 4 } else { 1 };
        let mut i = inputs.start;
        while i < inputs.end {
            let take = S::TILE.min(inputs.end - i);
            let part = Part { col: cols.start, len: cols.len().next_multiple_of(S::LANES), row: r, input: i };
            // SAFETY: the tile's rows are inside both operands.
            unsafe {
                let w = w.add((r - rows.start) * PANEL_STRIDE);
                match (step, take) {
                    (4, 1) => tile::<S, 4, 1>(s, b, w, part),
                    (4, 2) => tile::<S, 4, 2>(s, b, w, part),
                    (4, 3) => tile::<S, 4, 3>(s, b, w, part),
                    (4, 4) if S::TILE > 3 => tile::<S, 4, 4>(s, b, w, part),
                    (4, 5) if S::TILE > 3 => tile::<S, 4, 5>(s, b, w, part),
                    (4, 6) if S::TILE > 3 => tile::<S, 4, 6>(s, b, w, part),
                    (_, 1) => tile::<S, 1, 1>(s, b, w, part),
                    (_, 2) => tile::<S, 1, 2>(s, b, w, part),
                    (_, 3) => tile::<S, 1, 3>(s, b, w, part),
                    (_, 4) if S::TILE > 3 => tile::<S, 1, 4>(s, b, w, part),
                    (_, 5) if S::TILE > 3 => tile::<S, 1, 5>(s, b, w, part),
                    _ => tile::<S, 1, 6>(s, b, w, part),
                }
            }
            i += take;
        }
        r += step;
    }
}

/// Position of a tile: first column, number of columns (whole vectors), first row of the weight and of the input.
#[derive(Clone, Copy)]
struct Part {
    col: usize,
    len: usize,
    row: usize,
    input: usize,
}

/// # Safety
/// As for [`strip`]; `R` rows remain at `w`, and `M` rows at the part's input.
#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const M: usize>(s: S, b: &Block, w: *const f32, part: Part) {
    let mut wp = [w; R];
    for (r, p) in wp.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *p = unsafe { w.add(r * PANEL_STRIDE) };
    }
    // SAFETY: the caller's promise.
    let x = unsafe { b.x.add(part.input * b.ldx + part.col) };
    let mut xp = [x; M];
    for (i, p) in xp.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *p = unsafe { x.add(i * b.ldx) };
    }
    // SAFETY: the caller's promise.
    let acc = unsafe { dot_tile(s, wp, xp, part.len) };
    // SAFETY: the caller's promise.
    unsafe { put(s, b, &acc, part.row, part.input, part.col) };
}

/// Rows of the weight per task: enough to pay for starting it, few enough that the threads finish at about the same
/// time.
pub(super) fn rows_per_task(threads: usize, n: usize, m: usize) -> usize {
    let fair = n.div_ceil(threads * 8).next_multiple_of(8);
    if m <= 32 { fair.clamp(8, 64) } else { fair.clamp(8, PANEL) }
}
