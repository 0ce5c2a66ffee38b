//! Formats with super-blocks of 256 weights: each sub-block has an integer scale, which is multiplied by the scale of
//! the super-block. As in the formats with blocks of 32, every product that is then added to is exact in float32.

use crate::simd::{MAX_LANES, Simd};

const LEN: usize = 256;

/// Six-bit scale and minimum of sub-block `j` from the twelve packed bytes at `p`.
///
/// # Safety
/// Twelve bytes are readable at `p`, and `j < 8`.
#[inline(always)]
unsafe fn scale_and_min(p: *const u8, j: usize) -> (u8, u8) {
    // SAFETY: every index is below twelve for `j < 8`.
    unsafe {
        let at = |i: usize| *p.add(i);
        if j < 4 {
            (at(j) & 63, at(j + 4) & 63)
        } else {
            ((at(j + 4) & 15) | (at(j - 4) >> 6) << 4, (at(j + 4) >> 4) | (at(j) >> 6) << 4)
        }
    }
}

/// # Safety
/// `blocks` blocks of 144 bytes are readable at `src`, and 256 floats per block writable at `dst`.
#[inline(always)]
pub(super) unsafe fn q4_k<S: Simd>(s: S, src: *const u8, blocks: usize, dst: *mut f32, ahead: usize) {
    let mask = s.splat_i(15);
    for b in 0..blocks {
        // SAFETY: block `b` is inside both promised ranges; every offset below is inside the block.
        unsafe {
            let p = src.add(b * 144);
            for line in (0..144).step_by(64) {
                s.prefetch(p.wrapping_add(ahead + line));
            }
            let (scales, mins) = factors(s, p);
            for pair in 0..4 {
                let (d1, m1) = (s.splat(scales[2 * pair]), s.splat(mins[2 * pair]));
                let (d2, m2) = (s.splat(scales[2 * pair + 1]), s.splat(mins[2 * pair + 1]));
                let (qs, y) = (p.add(16 + 32 * pair), dst.add(b * LEN + 64 * pair));
                let mut j = 0;
                while j < 32 {
                    let q = s.load_u8(qs.add(j));
                    s.store(y.add(j), s.fma(s.to_f32(s.and(q, mask)), d1, m1));
                    s.store(y.add(j + 32), s.fma(s.to_f32(s.shr::<4>(q)), d2, m2));
                    j += S::LANES;
                }
            }
        }
    }
}

/// # Safety
/// `blocks` blocks of 176 bytes are readable at `src`, and 256 floats per block writable at `dst`.
#[inline(always)]
pub(super) unsafe fn q5_k<S: Simd>(s: S, src: *const u8, blocks: usize, dst: *mut f32, ahead: usize) {
    let (mask, one) = (s.splat_i(15), s.splat_i(1));
    for b in 0..blocks {
        // SAFETY: block `b` is inside both promised ranges; every offset below is inside the block.
        unsafe {
            let p = src.add(b * 176);
            for line in (0..176).step_by(64) {
                s.prefetch(p.wrapping_add(ahead + line));
            }
            let (scales, mins) = factors(s, p);
            for pair in 0..4 {
                let (d1, m1) = (s.splat(scales[2 * pair]), s.splat(mins[2 * pair]));
                let (d2, m2) = (s.splat(scales[2 * pair + 1]), s.splat(mins[2 * pair + 1]));
                let (qh, qs, y) = (p.add(16), p.add(48 + 32 * pair), dst.add(b * LEN + 64 * pair));
                let (bit1, bit2) = (s.splat_i(2 * pair as i32), s.splat_i(2 * pair as i32 + 1));
                let mut j = 0;
                while j < 32 {
                    let (q, h) = (s.load_u8(qs.add(j)), s.load_u8(qh.add(j)));
                    let low = s.or(s.and(q, mask), s.shl::<4>(s.and(s.shr_each(h, bit1), one)));
                    let up = s.or(s.shr::<4>(q), s.shl::<4>(s.and(s.shr_each(h, bit2), one)));
                    s.store(y.add(j), s.fma(s.to_f32(low), d1, m1));
                    s.store(y.add(j + 32), s.fma(s.to_f32(up), d2, m2));
                    j += S::LANES;
                }
            }
        }
    }
}

/// Scales and negated minimums of the sub-blocks of a Q4_K or Q5_K block.
///
/// # Safety
/// Sixteen bytes are readable at `p`: two half-precision numbers, then the packed scales.
#[inline(always)]
unsafe fn factors<S: Simd>(s: S, p: *const u8) -> ([f32; 8], [f32; 8]) {
    let (mut scales, mut mins) = ([0.0; 8], [0.0; 8]);
    let mut both = [0.0; 2 * MAX_LANES];
    // SAFETY: the caller's promise; the array holds two vectors of any width.
    unsafe {
        let (d, min) = s.splat_f16_pair(p);
        s.store(both.as_mut_ptr(), d);
        s.store(both.as_mut_ptr().add(MAX_LANES), min);
        for (j, (scale, min)) in scales.iter_mut().zip(&mut mins).enumerate() {
            let packed = scale_and_min(p.add(4), j);
            *scale = both[0] * f32::from(packed.0);
            *min = both[MAX_LANES] * -f32::from(packed.1);
        }
    }
    (scales, mins)
}

/// # Safety
/// `blocks` blocks of 210 bytes are readable at `src`, and 256 floats per block writable at `dst`.
#[inline(always)]
pub(super) unsafe fn q6_k<S: Simd>(s: S, src: *const u8, blocks: usize, dst: *mut f32, ahead: usize) {
    let (mask, two_bits, middle) = (s.splat_i(15), s.splat_i(3), s.splat_i(32));
    for b in 0..blocks {
        // SAFETY: block `b` is inside both promised ranges; every offset below is inside the block.
        unsafe {
            let p = src.add(b * 210);
            for line in (0..210).step_by(64) {
                s.prefetch(p.wrapping_add(ahead + line));
            }
            let d = s.splat_f16(p.add(208));
            let mut factors = [0.0f32; 16];
            let mut j = 0;
            while j < 16 {
                s.store(factors.as_mut_ptr().add(j), s.mul(s.to_f32(s.load_i8(p.add(192 + j))), d));
                j += S::LANES;
            }
            for half in 0..2 {
                let (ql, qh) = (p.add(64 * half), p.add(128 + 32 * half));
                let y = dst.add(b * LEN + 128 * half);
                let mut j = 0;
                while j < 32 {
                    let (a, c, h) = (s.load_u8(ql.add(j)), s.load_u8(ql.add(32 + j)), s.load_u8(qh.add(j)));
                    let parts = [
                        s.or(s.and(a, mask), s.shl::<4>(s.and(h, two_bits))),
                        s.or(s.and(c, mask), s.shl::<4>(s.and(s.shr::<2>(h), two_bits))),
                        s.or(s.shr::<4>(a), s.shl::<4>(s.and(s.shr::<4>(h), two_bits))),
                        s.or(s.shr::<4>(c), s.shl::<4>(s.shr::<6>(h))),
                    ];
                    for (quarter, q) in parts.into_iter().enumerate() {
                        let factor = s.splat(factors[8 * half + j / 16 + 2 * quarter]);
                        s.store(y.add(j + 32 * quarter), s.mul(s.to_f32(s.sub_i(q, middle)), factor));
                    }
                    j += S::LANES;
                }
            }
        }
    }
}
