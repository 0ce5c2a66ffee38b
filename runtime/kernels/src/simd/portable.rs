//! Eight lanes in plain Rust: the same bits as AVX2, on any processor.

use super::Simd;

/// Eight lanes in an array.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

type F = [f32; 8];
type N = [i32; 8];

#[inline(always)]
fn map2<A: Copy, B: Copy, C>(a: [A; 8], b: [B; 8], f: impl Fn(A, B) -> C) -> [C; 8] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl Simd for Portable {
    const LANES: usize = 8;
    const TILE: usize = 3;
    const FEW: usize = 1;
    type Nibbles = (F, F, N);
    type V = F;
    type I = N;

    #[inline(always)]
    fn splat(self, x: f32) -> F {
        [x; 8]
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> F {
        // SAFETY: the caller promises eight readable values.
        unsafe { p.cast::<F>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: F) {
        // SAFETY: the caller promises eight writable values.
        unsafe { p.cast::<F>().write_unaligned(v) }
    }

    #[inline(always)]
    fn add(self, a: F, b: F) -> F {
        map2(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: F, b: F) -> F {
        map2(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: F, b: F) -> F {
        map2(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: F, b: F) -> F {
        map2(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn fma(self, a: F, b: F, c: F) -> F {
        std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
    }

    #[inline(always)]
    fn max(self, a: F, b: F) -> F {
        map2(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, a: F, b: F) -> F {
        map2(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn select_lt(self, a: F, b: F, t: F, f: F) -> F {
        std::array::from_fn(|i| if a[i] < b[i] { t[i] } else { f[i] })
    }

    #[inline(always)]
    fn sum4(self, v: [F; 4]) -> [f32; 4] {
        v.map(|v| ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7])))
    }

    #[inline(always)]
    unsafe fn splat_f16(self, p: *const u8) -> F {
        // SAFETY: the caller promises two readable bytes.
        let bits = unsafe { p.cast::<u16>().read_unaligned() };
        [half::f16::from_bits(bits).to_f32(); 8]
    }

    #[inline(always)]
    unsafe fn splat_f16_pair(self, p: *const u8) -> (F, F) {
        // SAFETY: the caller promises four readable bytes.
        unsafe { (self.splat_f16(p), self.splat_f16(p.add(2))) }
    }

    #[inline(always)]
    unsafe fn load_f16(self, p: *const u8) -> F {
        // SAFETY: the caller promises sixteen readable bytes.
        let bits = unsafe { p.cast::<[u16; 8]>().read_unaligned() };
        bits.map(|b| half::f16::from_bits(b).to_f32())
    }

    #[inline(always)]
    unsafe fn load_bf16(self, p: *const u8) -> F {
        // SAFETY: the caller promises sixteen readable bytes.
        let bits = unsafe { p.cast::<[u16; 8]>().read_unaligned() };
        bits.map(|b| f32::from_bits(u32::from(b) << 16))
    }

    #[inline(always)]
    unsafe fn load_u8(self, p: *const u8) -> N {
        // SAFETY: the caller promises eight readable bytes.
        unsafe { p.cast::<[u8; 8]>().read_unaligned() }.map(i32::from)
    }

    #[inline(always)]
    unsafe fn load_i8(self, p: *const u8) -> N {
        // SAFETY: the caller promises eight readable bytes.
        unsafe { p.cast::<[i8; 8]>().read_unaligned() }.map(i32::from)
    }

    #[inline(always)]
    fn splat_i(self, x: i32) -> N {
        [x; 8]
    }

    #[inline(always)]
    fn iota(self) -> N {
        [0, 1, 2, 3, 4, 5, 6, 7]
    }

    #[inline(always)]
    fn add_i(self, a: N, b: N) -> N {
        map2(a, b, i32::wrapping_add)
    }

    #[inline(always)]
    fn sub_i(self, a: N, b: N) -> N {
        map2(a, b, i32::wrapping_sub)
    }

    #[inline(always)]
    fn and(self, a: N, b: N) -> N {
        map2(a, b, |a, b| a & b)
    }

    #[inline(always)]
    fn or(self, a: N, b: N) -> N {
        map2(a, b, |a, b| a | b)
    }

    #[inline(always)]
    fn shr_each(self, a: N, count: N) -> N {
        map2(a, count, |a, n| ((a as u32) >> (n & 31)) as i32)
    }

    #[inline(always)]
    fn shr<const K: u32>(self, a: N) -> N {
        a.map(|a| ((a as u32) >> K) as i32)
    }

    #[inline(always)]
    fn shl<const K: u32>(self, a: N) -> N {
        a.map(|a| a << K)
    }

    #[inline(always)]
    fn half(self, a: N) -> N {
        a.map(|a| a >> 1)
    }

    #[inline(always)]
    fn to_f32(self, a: N) -> F {
        a.map(|a| a as f32)
    }

    #[inline(always)]
    fn round(self, a: F) -> N {
        a.map(|a| a.round_ties_even() as i32)
    }

    #[inline(always)]
    fn cast(self, a: N) -> F {
        a.map(|a| f32::from_bits(a as u32))
    }

    #[inline(always)]
    fn nibbles(self, d: F, min: F) -> (F, F, N) {
        (d, min, self.splat_i(0))
    }

    #[inline(always)]
    fn signed_nibbles(self, d: F) -> (F, F, N) {
        // Minus zero: adding it changes nothing, not even the sign of a zero.
        (d, self.splat(-0.0), self.splat_i(8))
    }

    #[inline(always)]
    fn low_nibbles(self, q: N, (d, min, middle): (F, F, N)) -> F {
        self.fma(self.to_f32(self.sub_i(self.and(q, self.splat_i(15)), middle)), d, min)
    }

    #[inline(always)]
    fn high_nibbles(self, q: N, (d, min, middle): (F, F, N)) -> F {
        self.fma(self.to_f32(self.sub_i(self.shr::<4>(q), middle)), d, min)
    }

    #[inline(always)]
    fn prefetch(self, _p: *const u8) {}
}
