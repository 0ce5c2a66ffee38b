//! Formats with blocks of 32 weights. Float types also count as such if the number of columns is a multiple of 32.
//!
//! A byte holds weight `j` in its low nibble and weight `j + 16` in its high nibble. Products of an 11-bit scale and an
//! integer of up to 8 bits are exact in float32, so fusing the multiplication with the addition of the minimum rounds
//! exactly as separate operations would.

use crate::simd::Simd;

/// Weights in a block.
pub(crate) const LEN: usize = 32;
/// Most vectors that a block fills. Wider instruction sets leave the last ones unused.
pub(crate) const VECTORS: usize = 4;

/// A format. It is a type so that the compiler specialises loops for it.
pub(crate) trait Block32 {
    /// Bytes of a block.
    const BYTES: usize;
    /// Loads the block's weights in order, as vectors.
    ///
    /// # Safety
    /// A block is readable at `p`.
    unsafe fn load<S: Simd>(s: S, p: *const u8) -> [S::V; VECTORS];
}

/// Dequantises `blocks` blocks to float32.
///
/// # Safety
/// The blocks are readable at `src`, and 32 floats per block writable at `dst`.
#[inline(always)]
pub(super) unsafe fn write_out<S: Simd, B: Block32>(
    s: S,
    src: *const u8,
    blocks: usize,
    dst: *mut f32,
    ahead: usize,
) {
    for b in 0..blocks {
        s.prefetch(src.wrapping_add(b * B::BYTES + ahead));
        // SAFETY: the caller's promise.
        unsafe {
            let weights = B::load(s, src.add(b * B::BYTES));
            for (v, w) in weights.into_iter().take(LEN / S::LANES).enumerate() {
                s.store(dst.add(b * LEN + v * S::LANES), w);
            }
        }
    }
}

pub(crate) struct F32;
pub(crate) struct F16;
pub(crate) struct BF16;
pub(crate) struct Q4_0;
pub(crate) struct Q4_1;
pub(crate) struct Q5_0;
pub(crate) struct Q5_1;
pub(crate) struct Q8_0;

/// Vectors that the low nibbles of a block fill; the high nibbles fill as many.
#[inline(always)]
const fn half<S: Simd>() -> usize {
    LEN / 2 / S::LANES
}

impl Block32 for F32 {
    const BYTES: usize = 128;

    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, p: *const u8) -> [S::V; VECTORS] {
        let mut out = [s.splat(0.0); VECTORS];
        for (v, out) in out.iter_mut().take(LEN / S::LANES).enumerate() {
            // SAFETY: inside the block.
            *out = unsafe { s.load(p.cast::<f32>().add(v * S::LANES)) };
        }
        out
    }
}

impl Block32 for F16 {
    const BYTES: usize = 64;

    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, p: *const u8) -> [S::V; VECTORS] {
        let mut out = [s.splat(0.0); VECTORS];
        for (v, out) in out.iter_mut().take(LEN / S::LANES).enumerate() {
            // SAFETY: inside the block.
            *out = unsafe { s.load_f16(p.add(2 * v * S::LANES)) };
        }
        out
    }
}

impl Block32 for BF16 {
    const BYTES: usize = 64;

    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, p: *const u8) -> [S::V; VECTORS] {
        let mut out = [s.splat(0.0); VECTORS];
        for (v, out) in out.iter_mut().take(LEN / S::LANES).enumerate() {
            // SAFETY: inside the block.
            *out = unsafe { s.load_bf16(p.add(2 * v * S::LANES)) };
        }
        out
    }
}

impl Block32 for Q4_0 {
    const BYTES: usize = 18;

    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, p: *const u8) -> [S::V; VECTORS] {
        let mut out = [s.splat(0.0); VECTORS];
        // SAFETY: every offset is inside the block.
        unsafe {
            let (d, _) = s.splat_f16_pair(p);
            let table = s.signed_nibbles(d);
            for v in 0..half::<S>() {
                let q = s.load_u8(p.add(2 + v * S::LANES));
                out[v] = s.low_nibbles(q, table);
                out[v + half::<S>()] = s.high_nibbles(q, table);
            }
        }
        out
    }
}

impl Block32 for Q4_1 {
    const BYTES: usize = 20;

    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, p: *const u8) -> [S::V; VECTORS] {
        let mut out = [s.splat(0.0); VECTORS];
        // SAFETY: every offset is inside the block.
        unsafe {
            let (d, min) = s.splat_f16_pair(p);
            let table = s.nibbles(d, min);
            for v in 0..half::<S>() {
                let q = s.load_u8(p.add(4 + v * S::LANES));
                out[v] = s.low_nibbles(q, table);
                out[v + half::<S>()] = s.high_nibbles(q, table);
            }
        }
        out
    }
}

/// The fifth bits of weights `j..j + LANES`, each shifted to bit 4.
#[inline(always)]
fn fifth_bits<S: Simd>(s: S, high: S::I, j: usize) -> S::I {
    let moved = s.shr_each(high, s.add_i(s.iota(), s.splat_i(j as i32)));
    s.shl::<4>(s.and(moved, s.splat_i(1)))
}

/// The 5-bit integers of weights `j..` and `j + 16..`, `LANES` of each; their nibbles are at `q`.
///
/// # Safety
/// `LANES` bytes are readable at `q`.
#[inline(always)]
unsafe fn five_bits<S: Simd>(s: S, q: *const u8, high: S::I, j: usize) -> (S::I, S::I) {
    // SAFETY: the caller's promise.
    let q = unsafe { s.load_u8(q) };
    let low = s.or(s.and(q, s.splat_i(15)), fifth_bits(s, high, j));
    let up = s.or(s.shr::<4>(q), fifth_bits(s, high, j + 16));
    (low, up)
}

impl Block32 for Q5_0 {
    const BYTES: usize = 22;

    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, p: *const u8) -> [S::V; VECTORS] {
        let mut out = [s.splat(0.0); VECTORS];
        // SAFETY: every offset is inside the block.
        unsafe {
            let (d, _) = s.splat_f16_pair(p);
            let high = s.splat_i(p.add(2).cast::<i32>().read_unaligned());
            let sixteen = s.splat_i(16);
            for v in 0..half::<S>() {
                let (low, up) = five_bits(s, p.add(6 + v * S::LANES), high, v * S::LANES);
                out[v] = s.mul(s.to_f32(s.sub_i(low, sixteen)), d);
                out[v + half::<S>()] = s.mul(s.to_f32(s.sub_i(up, sixteen)), d);
            }
        }
        out
    }
}

impl Block32 for Q5_1 {
    const BYTES: usize = 24;

    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, p: *const u8) -> [S::V; VECTORS] {
        let mut out = [s.splat(0.0); VECTORS];
        // SAFETY: every offset is inside the block.
        unsafe {
            let (d, min) = s.splat_f16_pair(p);
            let high = s.splat_i(p.add(4).cast::<i32>().read_unaligned());
            for v in 0..half::<S>() {
                let (low, up) = five_bits(s, p.add(8 + v * S::LANES), high, v * S::LANES);
                out[v] = s.fma(s.to_f32(low), d, min);
                out[v + half::<S>()] = s.fma(s.to_f32(up), d, min);
            }
        }
        out
    }
}

impl Block32 for Q8_0 {
    const BYTES: usize = 34;

    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, p: *const u8) -> [S::V; VECTORS] {
        let mut out = [s.splat(0.0); VECTORS];
        // SAFETY: every offset is inside the block.
        unsafe {
            let (d, _) = s.splat_f16_pair(p);
            for (v, out) in out.iter_mut().take(LEN / S::LANES).enumerate() {
                *out = s.mul(s.to_f32(s.load_i8(p.add(2 + v * S::LANES))), d);
            }
        }
        out
    }
}
