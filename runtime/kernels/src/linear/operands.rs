//! The operands of a task, and how it writes its sums.

use crate::quant::QuantType;
use crate::simd::Simd;

/// Columns whose products are added per lane before the lanes are added up. A multiple of every block length.
pub(super) const CHUNK: usize = 768;

/// The operands, which have `k` columns. Rows of `x` are readable, and zero, up to the next multiple of a vector.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub x: *const f32,
    pub ldx: usize,
    pub m: usize,
    pub k: usize,
    pub quant: QuantType,
    pub weight: *const u8,
    pub row_bytes: usize,
    pub rows: usize,
    /// Null, or `rows` numbers.
    pub bias: *const f32,
    pub out: *mut f32,
    pub ldo: usize,
}

/// Adds up the lanes of a chunk's sums and writes them to `out` for the first chunk, or adds them to `out` for later
/// ones. The bias is added with the last chunk.
///
/// # Safety
/// Rows `row..row + R` of the weight and `input..input + M` of the input are inside the block.
#[inline(always)]
pub(super) unsafe fn put<S: Simd, const R: usize, const M: usize>(
    s: S,
    b: &Block,
    acc: &[[S::V; M]; R],
    row: usize,
    input: usize,
    col: usize,
) {
    let last = col + CHUNK >= b.k;
    for i in 0..M {
        let mut sums = [0.0f32; R];
        for (four, sums) in acc.chunks(4).zip(sums.chunks_mut(4)) {
            let at = |r: usize| four[r.min(four.len() - 1)][i];
            let all = s.sum4([at(0), at(1), at(2), at(3)]);
            for (to, from) in sums.iter_mut().zip(all) {
                *to = from;
            }
        }
        for (r, sum) in sums.into_iter().enumerate() {
            // SAFETY: the element belongs to this task, and the bias has an entry for the row.
            unsafe {
                let at = b.out.add((input + i) * b.ldo + row + r);
                let mut value = if col == 0 { sum } else { *at + sum };
                if last && !b.bias.is_null() {
                    value += *b.bias.add(row + r);
                }
                *at = value;
            }
        }
    }
}
