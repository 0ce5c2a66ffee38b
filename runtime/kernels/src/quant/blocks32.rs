//! Formats with blocks of 32 weights. A byte of nibbles holds weight `j` in its low half and weight `j + 16` in its high
//! half. Products of an 11-bit scale and an integer of up to 8 bits are exact in float32, so fusing the multiplication
//! with the addition of the minimum rounds exactly as separate operations would.

use crate::simd::Simd;

const LEN: usize = 32;

/// # Safety
/// `blocks` blocks of 18 bytes are readable at `src`, and 32 floats per block writable at `dst`.
#[inline(always)]
pub(super) unsafe fn q4_0<S: Simd>(s: S, src: *const u8, blocks: usize, dst: *mut f32) {
    let (mask, eight) = (s.splat_i(15), s.splat_i(8));
    for b in 0..blocks {
        // SAFETY: block `b` is inside both promised ranges; every offset below is inside the block.
        unsafe {
            let (p, y) = (src.add(b * 18), dst.add(b * LEN));
            let d = s.splat_f16(p);
            let mut j = 0;
            while j < 16 {
                let q = s.load_u8(p.add(2 + j));
                s.store(y.add(j), s.mul(s.to_f32(s.sub_i(s.and(q, mask), eight)), d));
                s.store(y.add(j + 16), s.mul(s.to_f32(s.sub_i(s.shr::<4>(q), eight)), d));
                j += S::LANES;
            }
        }
    }
}

/// # Safety
/// `blocks` blocks of 20 bytes are readable at `src`, and 32 floats per block writable at `dst`.
#[inline(always)]
pub(super) unsafe fn q4_1<S: Simd>(s: S, src: *const u8, blocks: usize, dst: *mut f32) {
    let mask = s.splat_i(15);
    for b in 0..blocks {
        // SAFETY: block `b` is inside both promised ranges; every offset below is inside the block.
        unsafe {
            let (p, y) = (src.add(b * 20), dst.add(b * LEN));
            let (d, min) = (s.splat_f16(p), s.splat_f16(p.add(2)));
            let mut j = 0;
            while j < 16 {
                let q = s.load_u8(p.add(4 + j));
                s.store(y.add(j), s.fma(s.to_f32(s.and(q, mask)), d, min));
                s.store(y.add(j + 16), s.fma(s.to_f32(s.shr::<4>(q)), d, min));
                j += S::LANES;
            }
        }
    }
}

/// The fifth bits of weights `j..j + LANES`, each in the place of value 16.
#[inline(always)]
fn fifth_bits<S: Simd>(s: S, high: S::I, j: usize) -> S::I {
    let moved = s.shr_each(high, s.add_i(s.iota(), s.splat_i(j as i32)));
    s.shl::<4>(s.and(moved, s.splat_i(1)))
}

/// # Safety
/// `blocks` blocks of 22 bytes are readable at `src`, and 32 floats per block writable at `dst`.
#[inline(always)]
pub(super) unsafe fn q5_0<S: Simd>(s: S, src: *const u8, blocks: usize, dst: *mut f32) {
    let (mask, sixteen) = (s.splat_i(15), s.splat_i(16));
    for b in 0..blocks {
        // SAFETY: block `b` is inside both promised ranges; every offset below is inside the block.
        unsafe {
            let (p, y) = (src.add(b * 22), dst.add(b * LEN));
            let d = s.splat_f16(p);
            let high = s.splat_i(p.add(2).cast::<i32>().read_unaligned());
            let mut j = 0;
            while j < 16 {
                let q = s.load_u8(p.add(6 + j));
                let low = s.or(s.and(q, mask), fifth_bits(s, high, j));
                let up = s.or(s.shr::<4>(q), fifth_bits(s, high, j + 16));
                s.store(y.add(j), s.mul(s.to_f32(s.sub_i(low, sixteen)), d));
                s.store(y.add(j + 16), s.mul(s.to_f32(s.sub_i(up, sixteen)), d));
                j += S::LANES;
            }
        }
    }
}

/// # Safety
/// `blocks` blocks of 24 bytes are readable at `src`, and 32 floats per block writable at `dst`.
#[inline(always)]
pub(super) unsafe fn q5_1<S: Simd>(s: S, src: *const u8, blocks: usize, dst: *mut f32) {
    let mask = s.splat_i(15);
    for b in 0..blocks {
        // SAFETY: block `b` is inside both promised ranges; every offset below is inside the block.
        unsafe {
            let (p, y) = (src.add(b * 24), dst.add(b * LEN));
            let (d, min) = (s.splat_f16(p), s.splat_f16(p.add(2)));
            let high = s.splat_i(p.add(4).cast::<i32>().read_unaligned());
            let mut j = 0;
            while j < 16 {
                let q = s.load_u8(p.add(8 + j));
                let low = s.or(s.and(q, mask), fifth_bits(s, high, j));
                let up = s.or(s.shr::<4>(q), fifth_bits(s, high, j + 16));
                s.store(y.add(j), s.fma(s.to_f32(low), d, min));
                s.store(y.add(j + 16), s.fma(s.to_f32(up), d, min));
                j += S::LANES;
            }
        }
    }
}

/// # Safety
/// `blocks` blocks of 34 bytes are readable at `src`, and 32 floats per block writable at `dst`.
#[inline(always)]
pub(super) unsafe fn q8_0<S: Simd>(s: S, src: *const u8, blocks: usize, dst: *mut f32) {
    for b in 0..blocks {
        // SAFETY: block `b` is inside both promised ranges; every offset below is inside the block.
        unsafe {
            let (p, y) = (src.add(b * 34), dst.add(b * LEN));
            let d = s.splat_f16(p);
            let mut j = 0;
            while j < LEN {
                s.store(y.add(j), s.mul(s.to_f32(s.load_i8(p.add(2 + j))), d));
                j += S::LANES;
            }
        }
    }
}
