//! The inner loop of all products: dot products of rows with rows.

use crate::simd::Simd;

/// Dot products of `R` rows with `M` rows over `len` columns (a multiple of `LANES`), summed per lane. Lane `l` adds
/// columns `l`, `l + LANES`, … in this order, whatever `R` and `M` are.
///
/// # Safety
/// `len` floats are readable at every pointer.
#[inline(always)]
pub(crate) unsafe fn dot_tile<S: Simd, const R: usize, const M: usize>(
    s: S,
    w: [*const f32; R],
    x: [*const f32; M],
    len: usize,
) -> [[S::V; M]; R] {
    let mut acc = [[s.splat(0.0); M]; R];
    let mut i = 0;
    while i < len {
        let mut xv = [s.splat(0.0); M];
        for (v, p) in xv.iter_mut().zip(x) {
            // SAFETY: `i + LANES <= len`.
            *v = unsafe { s.load(p.add(i)) };
        }
        for (row, p) in acc.iter_mut().zip(w) {
            // SAFETY: `i + LANES <= len`.
            let wv = unsafe { s.load(p.add(i)) };
            for (a, v) in row.iter_mut().zip(xv) {
                *a = s.fma(wv, v, *a);
            }
        }
        i += S::LANES;
    }
    acc
}
