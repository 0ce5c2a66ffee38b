//! Transcendental functions of vectors. The result in a lane does not depend on the other lanes.

use super::Simd;

/// Transcendental functions for every [`Simd`].
pub(crate) trait Math: Simd {
    /// `eˣ` to about one unit in the last place, subnormal results included. `-inf` gives 0, NaN gives NaN.
    ///
    /// `x = n ln 2 + r` with `n` whole and `|r| <= ln 2 / 2`; `eʳ` is its Taylor polynomial of degree seven, whose
    /// remainder is below 6e-9.
    #[inline(always)]
    fn exp(self, x: Self::V) -> Self::V {
        // ln 2 in two parts; the product of the high part with any `n` here is exact.
        const LN2_HIGH: f32 = 0.693_359_4;
        const LN2_LOW: f32 = -2.121_944_4e-4;
        // Beyond these bounds the result is 0 or infinite. A NaN stays NaN because it is the second operand.
        let x = self.min(self.splat(89.0), self.max(self.splat(-105.0), x));
        let n = self.round(self.mul(x, self.splat(std::f32::consts::LOG2_E)));
        let n_f = self.to_f32(n);
        let r = self.fma(n_f, self.splat(-LN2_HIGH), x);
        let r = self.fma(n_f, self.splat(-LN2_LOW), r);
        let mut p = self.splat(1.0 / 5040.0);
        for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
            p = self.fma(p, r, self.splat(c));
        }
        // Multiplies in two steps, because 2ⁿ itself may not be a normal number.
        let first = self.half(n);
        let second = self.sub_i(n, first);
        self.mul(self.mul(p, self.pow2(first)), self.pow2(second))
    }

    /// `2ⁿ` for `n` in `-126..=127`.
    #[inline(always)]
    fn pow2(self, n: Self::I) -> Self::V {
        self.cast(self.shl::<23>(self.add_i(n, self.splat_i(127))))
    }

    /// `1 / (1 + e⁻ˣ)`.
    #[inline(always)]
    fn sigmoid(self, x: Self::V) -> Self::V {
        let one = self.splat(1.0);
        self.div(one, self.add(one, self.exp(self.sub(self.splat(0.0), x))))
    }

    /// Hyperbolic tangent. Uses the series near zero, where the exponential form loses digits.
    #[inline(always)]
    fn tanh(self, x: Self::V) -> Self::V {
        let square = self.mul(x, x);
        let mut p = self.splat(-1382.0 / 155_925.0);
        for c in [62.0 / 2835.0, -17.0 / 315.0, 2.0 / 15.0, -1.0 / 3.0] {
            p = self.fma(p, square, self.splat(c));
        }
        let near = self.fma(self.mul(p, square), x, x);
        let far = self.sub(self.mul(self.splat(2.0), self.sigmoid(self.add(x, x))), self.splat(1.0));
        self.select_lt(square, self.splat(0.09), near, far)
    }
}

impl<S: Simd> Math for S {}
