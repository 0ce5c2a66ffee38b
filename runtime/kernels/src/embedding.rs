//! Embedding lookup.
#![allow(unsafe_code)]

use crate::error::{KernelError, Result, check_len};
use crate::pool::ThreadPool;
use crate::quant::{QuantType, dequantise};
use crate::simd::{Isa, Kernel, MAX_LANES, Scratch, Simd, dispatch};
use crate::split::{for_parts, rows_per_part};
use crate::weight::WeightMatrix;

/// `out[i] = weight[ids[i]]` as float32; `out` is `[ids, cols]`.
///
/// # Errors
/// An id is not below the number of rows, or `out` has the wrong length.
pub fn embedding(pool: &ThreadPool, weight: &WeightMatrix, ids: &[u32], out: &mut [f32]) -> Result<()> {
    let cols = weight.cols();
    check_len("the output of embedding", out.len(), ids.len().saturating_mul(cols), "ids times columns")?;
    if let Some(&bad) = ids.iter().find(|&&id| id as usize >= weight.rows()) {
        return Err(KernelError::Value {
            name: "token id",
            got: bad as usize,
            want: format!("below the {} rows of the embedding", weight.rows()),
        });
    }
    let bytes = weight.checked_bytes()?;
    let block = rows_per_part(pool, ids.len(), cols);
    let parts = ids.chunks(block).zip(out.chunks_mut(block * cols)).collect();
    for_parts(pool, parts, &|(ids, out): (&[u32], &mut [f32])| {
        for (&id, out) in ids.iter().zip(out.chunks_exact_mut(cols)) {
            let start = id as usize * weight.row_bytes();
            if let Some(row) = bytes.get(start..start + weight.row_bytes()) {
                dispatch(Isa::best(), Lookup { quant: weight.quant(), row, out });
            }
        }
    })
}

/// Dequantises one whole row.
pub(crate) struct Lookup<'a> {
    pub quant: QuantType,
    pub row: &'a [u8],
    pub out: &'a mut [f32],
}

impl Kernel for Lookup<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let cols = self.out.len();
        // Goes through scratch memory, because `dequantise` writes whole vectors.
        let mut scratch = Scratch::take(cols + MAX_LANES);
        // SAFETY: the row's bytes hold `cols` weights in whole blocks, as was checked; the scratch has room for them
        // and for the padding.
        unsafe {
            dequantise(s, self.quant, self.row.as_ptr(), 0..cols, scratch.as_mut_ptr(), 0);
            std::ptr::copy_nonoverlapping(scratch.as_mut_ptr(), self.out.as_mut_ptr(), cols);
        }
    }
}
