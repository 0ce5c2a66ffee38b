//! Eight lanes of AVX2 with FMA and F16C.
//!
//! SAFETY of every block in this file: a value of [`Avx2`] exists only inside functions compiled with these features,
//! which run only if the processor has them; pointers are valid as the caller promises.

use std::arch::x86_64::*;

use super::Simd;

/// Proof that the processor has AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// Only callable where the features are enabled.
    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    pub(super) fn new() -> Self {
        Self(())
    }
}

impl Simd for Avx2 {
    const LANES: usize = 8;
    const TILE: usize = 3;
    const FEW: usize = 4;
    type Nibbles = (__m256, __m256, __m256i);
    type V = __m256;
    type I = __m256i;

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        // SAFETY: see the top of the file.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> __m256 {
        // SAFETY: see the top of the file.
        unsafe { _mm256_loadu_ps(p) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: __m256) {
        // SAFETY: see the top of the file.
        unsafe { _mm256_storeu_ps(p, v) }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the top of the file.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the top of the file.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the top of the file.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the top of the file.
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see the top of the file.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the top of the file.
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the top of the file.
        unsafe { _mm256_min_ps(a, b) }
    }

    #[inline(always)]
    fn select_lt(self, a: __m256, b: __m256, t: __m256, f: __m256) -> __m256 {
        // SAFETY: see the top of the file.
        unsafe { _mm256_blendv_ps(f, t, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b)) }
    }

    #[inline(always)]
    fn sum4(self, v: [__m256; 4]) -> [f32; 4] {
        // SAFETY: see the top of the file.
        unsafe { sum4(v) }
    }

    #[inline(always)]
    unsafe fn splat_f16(self, p: *const u8) -> __m256 {
        // SAFETY: see the top of the file.
        unsafe {
            let bits = p.cast::<u16>().read_unaligned();
            _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(bits))))
        }
    }

    #[inline(always)]
    unsafe fn splat_f16_pair(self, p: *const u8) -> (__m256, __m256) {
        // SAFETY: see the top of the file.
        unsafe {
            let pairs = _mm256_cvtph_ps(_mm_set1_epi32(p.cast::<i32>().read_unaligned()));
            (_mm256_moveldup_ps(pairs), _mm256_movehdup_ps(pairs))
        }
    }

    #[inline(always)]
    unsafe fn load_f16(self, p: *const u8) -> __m256 {
        // SAFETY: see the top of the file.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(p.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, p: *const u8) -> __m256 {
        // SAFETY: see the top of the file.
        unsafe {
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()))))
        }
    }

    #[inline(always)]
    unsafe fn load_u8(self, p: *const u8) -> __m256i {
        // SAFETY: see the top of the file.
        unsafe { _mm256_cvtepu8_epi32(_mm_loadl_epi64(p.cast())) }
    }

    #[inline(always)]
    unsafe fn load_i8(self, p: *const u8) -> __m256i {
        // SAFETY: see the top of the file.
        unsafe { _mm256_cvtepi8_epi32(_mm_loadl_epi64(p.cast())) }
    }

    #[inline(always)]
    fn splat_i(self, x: i32) -> __m256i {
        // SAFETY: see the top of the file.
        unsafe { _mm256_set1_epi32(x) }
    }

    #[inline(always)]
    fn iota(self) -> __m256i {
        // SAFETY: see the top of the file.
        unsafe { _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7) }
    }

    #[inline(always)]
    fn add_i(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see the top of the file.
        unsafe { _mm256_add_epi32(a, b) }
    }

    #[inline(always)]
    fn sub_i(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see the top of the file.
        unsafe { _mm256_sub_epi32(a, b) }
    }

    #[inline(always)]
    fn and(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see the top of the file.
        unsafe { _mm256_and_si256(a, b) }
    }

    #[inline(always)]
    fn or(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see the top of the file.
        unsafe { _mm256_or_si256(a, b) }
    }

    #[inline(always)]
    fn shr_each(self, a: __m256i, count: __m256i) -> __m256i {
        // SAFETY: see the top of the file.
        unsafe { _mm256_srlv_epi32(a, count) }
    }

    #[inline(always)]
    fn shr<const N: u32>(self, a: __m256i) -> __m256i {
        // SAFETY: see the top of the file.
        unsafe { _mm256_srl_epi32(a, _mm_cvtsi32_si128(N as i32)) }
    }

    #[inline(always)]
    fn shl<const N: u32>(self, a: __m256i) -> __m256i {
        // SAFETY: see the top of the file.
        unsafe { _mm256_sll_epi32(a, _mm_cvtsi32_si128(N as i32)) }
    }

    #[inline(always)]
    fn half(self, a: __m256i) -> __m256i {
        // SAFETY: see the top of the file.
        unsafe { _mm256_srai_epi32::<1>(a) }
    }

    #[inline(always)]
    fn to_f32(self, a: __m256i) -> __m256 {
        // SAFETY: see the top of the file.
        unsafe { _mm256_cvtepi32_ps(a) }
    }

    #[inline(always)]
    fn round(self, a: __m256) -> __m256i {
        // SAFETY: see the top of the file.
        unsafe { _mm256_cvtps_epi32(a) }
    }

    #[inline(always)]
    fn cast(self, a: __m256i) -> __m256 {
        // SAFETY: see the top of the file.
        unsafe { _mm256_castsi256_ps(a) }
    }

    #[inline(always)]
    fn nibbles(self, d: __m256, min: __m256) -> (__m256, __m256, __m256i) {
        (d, min, self.splat_i(0))
    }

    #[inline(always)]
    fn signed_nibbles(self, d: __m256) -> (__m256, __m256, __m256i) {
        // Minus zero: adding it changes nothing, not even the sign of a zero.
        (d, self.splat(-0.0), self.splat_i(8))
    }

    #[inline(always)]
    fn low_nibbles(self, q: __m256i, (d, min, middle): (__m256, __m256, __m256i)) -> __m256 {
        self.fma(self.to_f32(self.sub_i(self.and(q, self.splat_i(15)), middle)), d, min)
    }

    #[inline(always)]
    fn high_nibbles(self, q: __m256i, (d, min, middle): (__m256, __m256, __m256i)) -> __m256 {
        self.fma(self.to_f32(self.sub_i(self.shr::<4>(q), middle)), d, min)
    }

    #[inline(always)]
    fn prefetch(self, p: *const u8) {
        // SAFETY: see the top of the file; a prefetch of any address is harmless.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
}

/// Adds up neighbouring lanes first, then pairs, then halves.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn sum4(v: [__m256; 4]) -> [f32; 4] {
    let pairs = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
    let sums = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps::<1>(pairs));
    let mut out = [0.0; 4];
    // SAFETY: `out` holds four values.
    unsafe { _mm_storeu_ps(out.as_mut_ptr(), sums) };
    out
}
