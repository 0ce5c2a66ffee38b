//! SIMD vectors behind one trait: every kernel is written once and compiled for each instruction set.
//!
//! A value of a type that implements [`Simd`] proves that the processor has the instructions: only [`dispatch`] creates
//! one, inside a function compiled for them. [`Portable`] and [`Avx2`] have the same number of lanes and give the same
//! bits; `Avx512` adds in a different order.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod math;
mod portable;
mod scratch;
mod slices;

#[cfg(target_arch = "x86_64")]
use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use avx512::Avx512;
pub(crate) use math::Math;
use portable::Portable;
pub(crate) use scratch::Scratch;
pub(crate) use slices::{load_part, store_part};

use std::sync::OnceLock;

/// Vector operations. Arithmetic is IEEE float32 with one rounding per operation; `fma` rounds once.
pub(crate) trait Simd: Copy + Send + Sync {
    /// Numbers in a vector; a divisor of [`MAX_LANES`].
    const LANES: usize;
    /// Rows of the right-hand operand in a register tile that has four rows of the left-hand one.
    const TILE: usize;
    /// Most input rows for which dequantising weights in registers beats dequantising them to memory; at most 4.
    const FEW: usize;
    /// The table with which [`Simd::low_nibbles`] dequantises four bits.
    type Nibbles: Copy;
    /// A vector of float32.
    type V: Copy;
    /// A vector of int32.
    type I: Copy;

    fn splat(self, x: f32) -> Self::V;
    /// # Safety
    /// `LANES` values are readable at `p`, which may be unaligned.
    unsafe fn load(self, p: *const f32) -> Self::V;
    /// # Safety
    /// `LANES` values are writable at `p`, which may be unaligned.
    unsafe fn store(self, p: *mut f32, v: Self::V);
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a > b ? a : b`, so `b` where either is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a < b ? a : b`, so `b` where either is NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a < b ? t : f` in every lane.
    fn select_lt(self, a: Self::V, b: Self::V, t: Self::V, f: Self::V) -> Self::V;
    /// The sums of the lanes of four vectors, each in the order of [`Simd::sum`].
    fn sum4(self, v: [Self::V; 4]) -> [f32; 4];

    /// The sum of the lanes in a fixed order.
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        self.sum4([v; 4])[0]
    }

    /// # Safety
    /// Two bytes are readable at `p`: one number of IEEE half precision, for every lane.
    unsafe fn splat_f16(self, p: *const u8) -> Self::V;
    /// # Safety
    /// Four bytes are readable at `p`: two numbers of IEEE half precision, each for every lane.
    unsafe fn splat_f16_pair(self, p: *const u8) -> (Self::V, Self::V);
    /// # Safety
    /// `2 * LANES` bytes are readable at `p`: IEEE half precision.
    unsafe fn load_f16(self, p: *const u8) -> Self::V;
    /// # Safety
    /// `2 * LANES` bytes are readable at `p`: bfloat16.
    unsafe fn load_bf16(self, p: *const u8) -> Self::V;
    /// # Safety
    /// `LANES` bytes are readable at `p`.
    unsafe fn load_u8(self, p: *const u8) -> Self::I;
    /// # Safety
    /// `LANES` bytes are readable at `p`.
    unsafe fn load_i8(self, p: *const u8) -> Self::I;
    fn splat_i(self, x: i32) -> Self::I;
    /// `0, 1, 2, …`
    fn iota(self) -> Self::I;
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I;
    fn sub_i(self, a: Self::I, b: Self::I) -> Self::I;
    fn and(self, a: Self::I, b: Self::I) -> Self::I;
    fn or(self, a: Self::I, b: Self::I) -> Self::I;
    /// Logical shift right of each lane by its own count, below 32.
    fn shr_each(self, a: Self::I, count: Self::I) -> Self::I;
    /// Logical shift right.
    fn shr<const N: u32>(self, a: Self::I) -> Self::I;
    /// Shift left.
    fn shl<const N: u32>(self, a: Self::I) -> Self::I;
    /// Arithmetic shift right by one.
    fn half(self, a: Self::I) -> Self::I;
    fn to_f32(self, a: Self::I) -> Self::V;
    /// The nearest integer, ties to even. Unspecified for NaN and for values outside int32.
    fn round(self, a: Self::V) -> Self::I;
    /// The same bits as float32.
    fn cast(self, a: Self::I) -> Self::V;
    /// The values `q * d + min` of `q` in `0..16`.
    fn nibbles(self, d: Self::V, min: Self::V) -> Self::Nibbles;
    /// The values `(q - 8) * d` of `q` in `0..16`; `d` came from half precision, so they are exact.
    fn signed_nibbles(self, d: Self::V) -> Self::Nibbles;
    /// Dequantises the lowest four bits of each lane; lanes are below 256.
    fn low_nibbles(self, q: Self::I, table: Self::Nibbles) -> Self::V;
    /// Dequantises bits 4 to 7 of each lane.
    fn high_nibbles(self, q: Self::I, table: Self::Nibbles) -> Self::V;
    /// Prefetches the cache line at `p`, which need not be readable.
    fn prefetch(self, p: *const u8);
}

/// The largest number of lanes of any instruction set; rows of scratch memory are padded to it.
pub(crate) const MAX_LANES: usize = 16;

/// Work written once for every instruction set. `run` and every function that it passes `s` to must be
/// `#[inline(always)]`, otherwise they are compiled without the instructions.
pub(crate) trait Kernel {
    /// The result of the work.
    type Output;
    /// Does the work.
    fn run<S: Simd>(self, s: S) -> Self::Output;
}

static BEST: OnceLock<Isa> = OnceLock::new();

/// An instruction set that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// The instruction set that kernels run with: the widest of this processor, unless [`Isa::choose`] set another.
    pub fn best() -> Self {
        *BEST.get_or_init(|| Self::available().last().copied().unwrap_or(Self(Level::Portable)))
    }

    /// Makes every kernel of this process run with this instruction set, for example to reproduce the last bits of
    /// another machine. Returns false if another set is already in use.
    pub fn choose(self) -> bool {
        *BEST.get_or_init(|| self) == self
    }

    /// Every instruction set of this processor that kernels are compiled for, narrowest first.
    pub fn available() -> Vec<Self> {
        let mut found = vec![Self(Level::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
            {
                found.push(Self(Level::Avx2));
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                {
                    found.push(Self(Level::Avx512));
                }
            }
        }
        found
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
        }
    }

    /// Floats in a vector.
    pub(crate) fn lanes(self) -> usize {
        match self.0 {
            Level::Portable => Portable::LANES,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Avx512::LANES,
        }
    }
}

/// Runs `kernel` with the instructions of `isa`.
pub(crate) fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa.0 {
        Level::Portable => kernel.run(Portable),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: only `Isa::available` makes an `Isa` of this level, after it found the features.
        Level::Avx2 => unsafe { run_avx2(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx512 => unsafe { run_avx512(kernel) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx2::new())
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512::new())
}
