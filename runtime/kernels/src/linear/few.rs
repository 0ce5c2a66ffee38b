//! Products with few rows of input: weights are dequantised in registers and never written to memory.
//!
//! Each lane adds up the same columns in the same order as in [`super::tile::dot_tile`].

use crate::quant::QuantType;
use crate::quant::blocks32::{self, Block32, LEN};
use crate::simd::Simd;

use super::operands::{Block, CHUNK, put};

/// Rows of the weight that are processed together: independent chains of additions hide each other's latency.
const ROWS: usize = 4;

/// Whether [`run`] has a loop for this product.
pub(super) fn has<S: Simd>(b: &Block) -> bool {
    let format = !matches!(b.quant, QuantType::Q4_K | QuantType::Q5_K | QuantType::Q6_K);
    format && b.m <= S::FEW && b.k.is_multiple_of(LEN)
}

/// Computes the block.
///
/// # Safety
/// As for [`super::block::run`]; [`has`] is true.
#[inline(always)]
pub(super) unsafe fn run<S: Simd>(s: S, b: &Block) {
    // SAFETY: the caller's promise.
    unsafe {
        match b.quant {
            QuantType::F32 => rows::<S, blocks32::F32>(s, b),
            QuantType::F16 => rows::<S, blocks32::F16>(s, b),
            QuantType::BF16 => rows::<S, blocks32::BF16>(s, b),
            QuantType::Q4_0 => rows::<S, blocks32::Q4_0>(s, b),
            QuantType::Q4_1 => rows::<S, blocks32::Q4_1>(s, b),
            QuantType::Q5_0 => rows::<S, blocks32::Q5_0>(s, b),
            QuantType::Q5_1 => rows::<S, blocks32::Q5_1>(s, b),
            _ => rows::<S, blocks32::Q8_0>(s, b),
        }
    }
}

/// # Safety
/// As for [`run`].
#[inline(always)]
unsafe fn rows<S: Simd, B: Block32>(s: S, b: &Block) {
    // SAFETY: the caller's promise.
    unsafe {
        match b.m {
            1 => strip::<S, B, 1>(s, b),
            2 => strip::<S, B, 2>(s, b),
            3 => strip::<S, B, 3>(s, b),
            _ => strip::<S, B, 4>(s, b),
        }
    }
}

/// # Safety
/// As for [`run`]; `M` is the number of input rows.
#[inline(always)]
unsafe fn strip<S: Simd, B: Block32, const M: usize>(s: S, b: &Block) {
    // All sums must fit in registers, of which narrower instruction sets have fewer.
    let together = if M <= 2 || S::TILE > 3 { ROWS } else { ROWS / 2 };
    let mut row = 0;
    while row < b.rows {
        // SAFETY: the rows are inside the block.
        row += unsafe {
            if b.rows - row < together {
                several::<S, B, 1, M>(s, b, row)
            } else if together == ROWS {
                several::<S, B, ROWS, M>(s, b, row)
            } else {
                several::<S, B, { ROWS / 2 }, M>(s, b, row)
            }
        };
    }
}

/// Computes rows `row..row + R` and returns `R`.
///
/// # Safety
/// As for [`run`]; rows `row..row + R` are inside the block.
#[inline(always)]
unsafe fn several<S: Simd, B: Block32, const R: usize, const M: usize>(s: S, b: &Block, row: usize) -> usize {
    for col in (0..b.k).step_by(CHUNK) {
        let blocks = CHUNK.min(b.k - col) / LEN;
        let mut acc = [[s.splat(0.0); M]; R];
        // SAFETY: columns `col..col + blocks * LEN` are inside the rows of both operands.
        unsafe {
            let w = b.weight.add(row * b.row_bytes + col / LEN * B::BYTES);
            let x = b.x.add(col);
            for block in 0..blocks {
                let x = x.add(block * LEN);
                for (r, acc) in acc.iter_mut().enumerate() {
                    let at = w.add(r * b.row_bytes + block * B::BYTES);
                    s.prefetch(at.wrapping_add(R * b.row_bytes));
                    let weights = B::load(s, at);
                    for (v, weight) in weights.into_iter().take(LEN / S::LANES).enumerate() {
                        for (i, acc) in acc.iter_mut().enumerate() {
                            let x = s.load(x.add(i * b.ldx + v * S::LANES));
                            *acc = s.fma(weight, x, *acc);
                        }
                    }
                }
            }
            put(s, b, &acc, row, 0, col);
        }
    }
    R
}
