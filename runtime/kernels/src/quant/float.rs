//! Conversion of float types to float32, padded to whole vectors.

use crate::simd::{MAX_LANES, Simd};

/// Source types for [`convert`].
pub(super) const F32: u8 = 0;
pub(super) const F16: u8 = 1;
pub(super) const BF16: u8 = 2;

/// # Safety
/// `len` numbers are readable at `src`; `dst` has room for `len` rounded up to a multiple of `LANES`.
#[inline(always)]
pub(super) unsafe fn convert<S: Simd, const KIND: u8>(
    s: S,
    src: *const u8,
    len: usize,
    dst: *mut f32,
    ahead: usize,
) {
    let bytes = if KIND == F32 { 4 } else { 2 };
    let whole = len - len % S::LANES;
    let mut i = 0;
    while i < whole {
        s.prefetch(src.wrapping_add(i * bytes + ahead));
        // SAFETY: `i + LANES <= len`.
        unsafe { s.store(dst.add(i), load::<S, KIND>(s, src.add(i * bytes))) };
        i += S::LANES;
    }
    if whole < len {
        let mut tail = [0u8; 4 * MAX_LANES];
        // SAFETY: the rest is shorter than a vector, so it fits in `tail`, which holds at least one vector; `dst` has
        // room for a whole vector.
        unsafe {
            std::ptr::copy_nonoverlapping(src.add(whole * bytes), tail.as_mut_ptr(), (len - whole) * bytes);
            s.store(dst.add(whole), load::<S, KIND>(s, tail.as_ptr()));
        }
    }
}

/// # Safety
/// A vector of numbers is readable at `p`.
#[inline(always)]
unsafe fn load<S: Simd, const KIND: u8>(s: S, p: *const u8) -> S::V {
    // SAFETY: the caller's promise.
    unsafe {
        match KIND {
            F32 => s.load(p.cast()),
            F16 => s.load_f16(p),
            _ => s.load_bf16(p),
        }
    }
}
