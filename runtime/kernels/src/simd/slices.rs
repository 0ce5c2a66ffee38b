//! Loads and stores of vectors at any index of a slice, with fewer lanes at its end.

use super::{MAX_LANES, Simd};

/// The vector at `x[i..]`, with zeros after the end of the slice.
#[inline(always)]
pub(crate) fn load_part<S: Simd>(s: S, x: &[f32], i: usize) -> S::V {
    let rest = x.get(i..).unwrap_or(&[]);
    if rest.len() >= S::LANES {
        // SAFETY: a whole vector is left.
        return unsafe { s.load(rest.as_ptr()) };
    }
    let mut padded = [0.0; MAX_LANES];
    for (to, from) in padded.iter_mut().zip(rest) {
        *to = *from;
    }
    // SAFETY: the array holds the widest vector.
    unsafe { s.load(padded.as_ptr()) }
}

/// Writes `v` to `x[i..]`, as many lanes as fit.
#[inline(always)]
pub(crate) fn store_part<S: Simd>(s: S, x: &mut [f32], i: usize, v: S::V) {
    let rest = x.get_mut(i..).unwrap_or(&mut []);
    if rest.len() >= S::LANES {
        // SAFETY: there is room for a whole vector.
        return unsafe { s.store(rest.as_mut_ptr(), v) };
    }
    let mut padded = [0.0; MAX_LANES];
    // SAFETY: the array holds the widest vector.
    unsafe { s.store(padded.as_mut_ptr(), v) };
    for (to, from) in rest.iter_mut().zip(&padded) {
        *to = *from;
    }
}
