//! Gated activations. A row holds the gate and then the values that it scales.

use crate::error::{KernelError, Result, check_len};
use crate::pool::ThreadPool;
use crate::simd::{Isa, Kernel, Math, Simd, dispatch, load_part, store_part};
use crate::split::{for_parts, rows_per_part};

/// `silu(x[.., ..d]) * x[.., d..]` (SwiGLU; Shazeer, 2020). Rows of `x` have `2 d` numbers, rows of `out` have `d`.
///
/// # Errors
/// `x` does not consist of whole rows of `2 d` numbers, or `out` is not half as long.
pub fn silu_and_mul(pool: &ThreadPool, x: &[f32], d: usize, out: &mut [f32]) -> Result<()> {
    gated(pool, x, d, out, Gate::Silu)
}

/// `gelu(x[.., ..d]) * x[.., d..]` with the tanh approximation of GELU (Hendrycks and Gimpel, 2016).
///
/// # Errors
/// Same as [`silu_and_mul`].
pub fn gelu_tanh_and_mul(pool: &ThreadPool, x: &[f32], d: usize, out: &mut [f32]) -> Result<()> {
    gated(pool, x, d, out, Gate::GeluTanh)
}

/// The activation of gpt-oss's experts: `g * sigmoid(alpha * g) * (u + 1)` with `g = min(x[.., ..d], limit)` and `u =
/// x[.., d..]` clamped to `-limit..limit`.
///
/// # Errors
/// Same as [`silu_and_mul`].
pub fn clamped_swiglu_and_mul(
    pool: &ThreadPool,
    x: &[f32],
    d: usize,
    alpha: f32,
    limit: f32,
    out: &mut [f32],
) -> Result<()> {
    gated(pool, x, d, out, Gate::ClampedSwiglu { alpha, limit })
}

#[derive(Clone, Copy, PartialEq)]
enum Gate {
    Silu,
    GeluTanh,
    ClampedSwiglu { alpha: f32, limit: f32 },
}

fn gated(pool: &ThreadPool, x: &[f32], d: usize, out: &mut [f32], gate: Gate) -> Result<()> {
    if d == 0 || !x.len().is_multiple_of(2 * d) {
        return Err(KernelError::Length {
            name: "the input of a gated activation",
            got: x.len(),
            want: 2 * d,
            why: "or a multiple of it: twice the width of the output",
        });
    }
    check_len("the output of a gated activation", out.len(), x.len() / 2, "half of the input")?;
    let part = rows_per_part(pool, out.len() / d, 2 * d);
    let parts = x.chunks(part * 2 * d).zip(out.chunks_mut(part * d)).collect();
    for_parts(pool, parts, &|(x, out): (&[f32], &mut [f32])| {
        for (x, out) in x.chunks_exact(2 * d).zip(out.chunks_exact_mut(d)) {
            let (g, up) = x.split_at(d);
            dispatch(Isa::best(), Gated { g, up, out, gate });
        }
    })
}

/// `2 √(2 / π)`.
const TWICE_ROOT: f32 = 2.0 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;

struct Gated<'a> {
    g: &'a [f32],
    up: &'a [f32],
    out: &'a mut [f32],
    gate: Gate,
}

impl Kernel for Gated<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut i = 0;
        while i < self.out.len() {
            let (mut g, mut up) = (load_part(s, self.g, i), load_part(s, self.up, i));
            // All gates are `g * sigmoid(…)`: `(1 + tanh u) / 2` equals `sigmoid(2 u)`.
            let inner = match self.gate {
                Gate::Silu => g,
                Gate::GeluTanh => {
                    let cubic = s.fma(s.mul(g, g), s.splat(0.044_715), s.splat(1.0));
                    s.mul(s.mul(g, cubic), s.splat(TWICE_ROOT))
                }
                Gate::ClampedSwiglu { alpha, limit } => {
                    let (low, high) = (s.splat(-limit), s.splat(limit));
                    // The data comes second, because the second operand is kept if it is NaN.
                    g = s.min(high, g);
                    up = s.add(s.max(low, s.min(high, up)), s.splat(1.0));
                    s.mul(g, s.splat(alpha))
                }
            };
            let v = s.mul(s.mul(g, s.sigmoid(inner)), up);
            store_part(s, self.out, i, v);
            i += S::LANES;
        }
    }
}
