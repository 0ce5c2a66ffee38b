//! Storage formats of weights, and dequantisation of a row.
//!
//! Block layouts are those of GGUF files (ggml-common.h and ggml-quants.c of the ggml project). Dequantised values
//! equal those of ggml's reference routines bit for bit.
#![allow(unsafe_code)]

pub(crate) mod blocks32;
mod float;
mod k_quants;

use std::ops::Range;

use crate::simd::Simd;

/// Storage format of a weight matrix, by its GGUF name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types)]
pub enum QuantType {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    BF16,
    /// Blocks of 32: scale, 4 bits per weight with zero at 8.
    Q4_0,
    /// Blocks of 32: scale, minimum, 4 bits per weight.
    Q4_1,
    /// Blocks of 32: scale, 5 bits per weight with zero at 16.
    Q5_0,
    /// Blocks of 32: scale, minimum, 5 bits per weight.
    Q5_1,
    /// Blocks of 32: scale, 8 signed bits per weight.
    Q8_0,
    /// Blocks of 256: eight 6-bit scales and minimums, 4 bits per weight.
    Q4_K,
    /// Blocks of 256: eight 6-bit scales and minimums, 5 bits per weight.
    Q5_K,
    /// Blocks of 256: sixteen 8-bit scales, 6 bits per weight with zero at 32.
    Q6_K,
}

impl QuantType {
    /// Every storage type.
    pub const ALL: [Self; 11] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q4_K,
        Self::Q5_K,
        Self::Q6_K,
    ];

    /// Weights in a block; 1 for float types.
    pub fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => 32,
            Self::Q4_K | Self::Q5_K | Self::Q6_K => 256,
        }
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
            Self::Q4_K => 144,
            Self::Q5_K => 176,
            Self::Q6_K => 210,
        }
    }

    /// Bytes of a row of `cols` weights; `None` if `cols` is not a multiple of the block length or the result
    /// overflows.
    pub fn row_bytes(self, cols: usize) -> Option<usize> {
        if !cols.is_multiple_of(self.block_len()) {
            return None;
        }
        (cols / self.block_len()).checked_mul(self.block_bytes())
    }
}

/// Writes weights `cols` of the row at `row` to `dst` as float32, followed by zeros up to a multiple of `LANES`.
/// Prefetches the bytes that lie `ahead` bytes further on, which the caller reads next.
///
/// # Safety
/// The row holds these weights; both ends of `cols` are multiples of the block length; `dst` has room for `cols.len()`
/// floats rounded up to a multiple of `LANES`.
#[inline(always)]
pub(crate) unsafe fn dequantise<S: Simd>(
    s: S,
    quant: QuantType,
    row: *const u8,
    cols: Range<usize>,
    dst: *mut f32,
    ahead: usize,
) {
    let (n, len) = (cols.len() / quant.block_len(), cols.len());
    // SAFETY: the first weight's block is inside the row, by the caller's promise.
    let src = unsafe { row.add(cols.start / quant.block_len() * quant.block_bytes()) };
    // SAFETY: `n` whole blocks (or `len` floats) are readable at `src`, and `dst` has room for them.
    unsafe {
        match quant {
            QuantType::F32 => float::convert::<S, { float::F32 }>(s, src, len, dst, ahead),
            QuantType::F16 => float::convert::<S, { float::F16 }>(s, src, len, dst, ahead),
            QuantType::BF16 => float::convert::<S, { float::BF16 }>(s, src, len, dst, ahead),
            QuantType::Q4_0 => blocks32::write_out::<S, blocks32::Q4_0>(s, src, n, dst, ahead),
            QuantType::Q4_1 => blocks32::write_out::<S, blocks32::Q4_1>(s, src, n, dst, ahead),
            QuantType::Q5_0 => blocks32::write_out::<S, blocks32::Q5_0>(s, src, n, dst, ahead),
            QuantType::Q5_1 => blocks32::write_out::<S, blocks32::Q5_1>(s, src, n, dst, ahead),
            QuantType::Q8_0 => blocks32::write_out::<S, blocks32::Q8_0>(s, src, n, dst, ahead),
            QuantType::Q4_K => k_quants::q4_k(s, src, n, dst, ahead),
            QuantType::Q5_K => k_quants::q5_k(s, src, n, dst, ahead),
            QuantType::Q6_K => k_quants::q6_k(s, src, n, dst, ahead),
        }
    }
}
