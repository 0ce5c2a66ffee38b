//! Sixteen lanes of AVX-512.
//!
//! SAFETY of every block in this file: a value of [`Avx512`] exists only inside functions compiled with these features,
//! which run only if the processor has them; pointers are valid as the caller promises.

use std::arch::x86_64::*;

use super::Simd;

/// Proof that the processor has AVX-512 F, BW, DQ and VL, and the features of `Avx2`.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// Only callable where the features are enabled.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    #[inline]
    pub(super) fn new() -> Self {
        Self(())
    }
}

impl Simd for Avx512 {
    const LANES: usize = 16;
    const TILE: usize = 6;
    const FEW: usize = 4;
    type Nibbles = __m512;
    type V = __m512;
    type I = __m512i;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: see the top of the file.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> __m512 {
        // SAFETY: see the top of the file.
        unsafe { _mm512_loadu_ps(p) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: __m512) {
        // SAFETY: see the top of the file.
        unsafe { _mm512_storeu_ps(p, v) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the top of the file.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the top of the file.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the top of the file.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the top of the file.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see the top of the file.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the top of the file.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the top of the file.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn select_lt(self, a: __m512, b: __m512, t: __m512, f: __m512) -> __m512 {
        // SAFETY: see the top of the file.
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), f, t) }
    }

    #[inline(always)]
    fn sum4(self, v: [__m512; 4]) -> [f32; 4] {
        // SAFETY: see the top of the file.
        unsafe { sum4(v) }
    }

    #[inline(always)]
    unsafe fn splat_f16(self, p: *const u8) -> __m512 {
        // SAFETY: see the top of the file.
        unsafe {
            let bits = p.cast::<u16>().read_unaligned();
            _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(bits))))
        }
    }

    #[inline(always)]
    unsafe fn splat_f16_pair(self, p: *const u8) -> (__m512, __m512) {
        // SAFETY: see the top of the file.
        unsafe {
            let pairs = _mm512_cvtph_ps(_mm256_set1_epi32(p.cast::<i32>().read_unaligned()));
            (_mm512_moveldup_ps(pairs), _mm512_movehdup_ps(pairs))
        }
    }

    #[inline(always)]
    unsafe fn load_f16(self, p: *const u8) -> __m512 {
        // SAFETY: see the top of the file.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(p.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, p: *const u8) -> __m512 {
        // SAFETY: see the top of the file.
        unsafe {
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()))))
        }
    }

    #[inline(always)]
    unsafe fn load_u8(self, p: *const u8) -> __m512i {
        // SAFETY: see the top of the file.
        unsafe { _mm512_cvtepu8_epi32(_mm_loadu_si128(p.cast())) }
    }

    #[inline(always)]
    unsafe fn load_i8(self, p: *const u8) -> __m512i {
        // SAFETY: see the top of the file.
        unsafe { _mm512_cvtepi8_epi32(_mm_loadu_si128(p.cast())) }
    }

    #[inline(always)]
    fn splat_i(self, x: i32) -> __m512i {
        // SAFETY: see the top of the file.
        unsafe { _mm512_set1_epi32(x) }
    }

    #[inline(always)]
    fn iota(self) -> __m512i {
        // SAFETY: see the top of the file.
        unsafe { _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) }
    }

    #[inline(always)]
    fn add_i(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see the top of the file.
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    fn sub_i(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see the top of the file.
        unsafe { _mm512_sub_epi32(a, b) }
    }

    #[inline(always)]
    fn and(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see the top of the file.
        unsafe { _mm512_and_si512(a, b) }
    }

    #[inline(always)]
    fn or(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see the top of the file.
        unsafe { _mm512_or_si512(a, b) }
    }

    #[inline(always)]
    fn shr_each(self, a: __m512i, count: __m512i) -> __m512i {
        // SAFETY: see the top of the file.
        unsafe { _mm512_srlv_epi32(a, count) }
    }

    #[inline(always)]
    fn shr<const N: u32>(self, a: __m512i) -> __m512i {
        // SAFETY: see the top of the file.
        unsafe { _mm512_srl_epi32(a, _mm_cvtsi32_si128(N as i32)) }
    }

    #[inline(always)]
    fn shl<const N: u32>(self, a: __m512i) -> __m512i {
        // SAFETY: see the top of the file.
        unsafe { _mm512_sll_epi32(a, _mm_cvtsi32_si128(N as i32)) }
    }

    #[inline(always)]
    fn half(self, a: __m512i) -> __m512i {
        // SAFETY: see the top of the file.
        unsafe { _mm512_srai_epi32::<1>(a) }
    }

    #[inline(always)]
    fn to_f32(self, a: __m512i) -> __m512 {
        // SAFETY: see the top of the file.
        unsafe { _mm512_cvtepi32_ps(a) }
    }

    #[inline(always)]
    fn round(self, a: __m512) -> __m512i {
        // SAFETY: see the top of the file.
        unsafe { _mm512_cvtps_epi32(a) }
    }

    #[inline(always)]
    fn cast(self, a: __m512i) -> __m512 {
        // SAFETY: see the top of the file.
        unsafe { _mm512_castsi512_ps(a) }
    }

    #[inline(always)]
    fn nibbles(self, d: __m512, min: __m512) -> __m512 {
        self.fma(self.to_f32(self.iota()), d, min)
    }

    #[inline(always)]
    fn signed_nibbles(self, d: __m512) -> __m512 {
        self.mul(self.to_f32(self.sub_i(self.iota(), self.splat_i(8))), d)
    }

    #[inline(always)]
    fn low_nibbles(self, q: __m512i, table: __m512) -> __m512 {
        // The permutation uses only the low four bits. SAFETY: see the top of the file.
        unsafe { _mm512_permutexvar_ps(q, table) }
    }

    #[inline(always)]
    fn high_nibbles(self, q: __m512i, table: __m512) -> __m512 {
        self.low_nibbles(self.shr::<4>(q), table)
    }

    #[inline(always)]
    fn prefetch(self, p: *const u8) {
        // SAFETY: see the top of the file; a prefetch of any address is harmless.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
}

/// Adds the upper half to the lower half, then proceeds as with eight lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn sum4(v: [__m512; 4]) -> [f32; 4] {
    super::avx2::sum4(v.map(|v| _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v))))
}
