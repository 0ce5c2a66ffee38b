//! Passes over a whole row. They have fixed-width lanes, no early exits and no calls, so that the compiler vectorises
//! them.

const LANES: usize = 16;
/// Elements that are summed in f32 before the sum is added to an f64, which keeps the sum over a large vocabulary
/// precise.
const BLOCK: usize = 1024;

/// Replacement for NaN: low enough never to be drawn, but still finite after division by the temperature.
const NAN_LOGIT: f32 = -1e30;
/// Replacement for +inf.
const INF_LOGIT: f32 = 1e30;

/// Result of [`scan`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scan {
    /// Largest value that is not NaN; -inf if there is none.
    pub max: f32,
    /// Whether any value is NaN.
    pub nan: bool,
}

/// Finds the largest value and NaNs in one pass.
pub(crate) fn scan(row: &[f32]) -> Scan {
    let mut max = [f32::NEG_INFINITY; LANES];
    let mut nan = [0u32; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for ((m, n), &x) in max.iter_mut().zip(&mut nan).zip(chunk) {
            *m = if x > *m { x } else { *m };
            *n |= u32::from(x.is_nan());
        }
    }
    for ((m, n), &x) in max.iter_mut().zip(&mut nan).zip(rest) {
        *m = if x > *m { x } else { *m };
        *n |= u32::from(x.is_nan());
    }
    Scan {
        max: max.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a }),
        nan: nan.iter().any(|&n| n != 0),
    }
}

/// Index of the first value equal to `value`; 0 if there is none (a row of only -inf or NaN).
pub(crate) fn first_index_of(row: &[f32], value: f32) -> u32 {
    const STEP: usize = 256;
    for (i, chunk) in row.chunks(STEP).enumerate() {
        if chunk.iter().fold(false, |found, &x| found | (x == value)) {
            let within = chunk.iter().position(|&x| x == value).unwrap_or(0);
            return (i * STEP + within) as u32;
        }
    }
    0
}

/// Replaces NaN and +inf, so that the softmax of the row is defined. -inf stays: it marks a token that cannot be drawn.
pub(crate) fn clean(row: &mut [f32]) {
    for x in row {
        if x.is_nan() {
            *x = NAN_LOGIT;
        } else if *x == f32::INFINITY {
            *x = INF_LOGIT;
        }
    }
}

/// Divides the row by the temperature.
pub(crate) fn divide(row: &mut [f32], temperature: f32) {
    for x in row {
        *x /= temperature;
    }
}

/// Sum of `exp(x - max)` over the row; at least 1 if `max` is the row's largest value.
pub(crate) fn sum_exp(row: &[f32], max: f32) -> f64 {
    let mut total = 0.0f64;
    for block in row.chunks(BLOCK) {
        let mut sums = [0.0f32; LANES];
        let chunks = block.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            for (s, &x) in sums.iter_mut().zip(chunk) {
                *s += exp_nonpositive(x - max);
            }
        }
        for (s, &x) in sums.iter_mut().zip(rest) {
            *s += exp_nonpositive(x - max);
        }
        total += sums.iter().map(|&s| f64::from(s)).sum::<f64>();
    }
    total
}

/// `exp(x)` for `x <= 0`, accurate to a few units in the last place; results below the smallest normal number are 0.
///
/// Splits `x = n ln 2 + r` with `|r| <= ln 2 / 2`, evaluates a polynomial in `r` and puts `n` into the exponent. (The
/// function of the standard library would be a call per element and prevent vectorisation.)
#[inline(always)]
pub(crate) fn exp_nonpositive(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the mantissa.
    const SHIFT: f32 = 12_582_912.0;
    const LN2_HI: f32 = 0.693_359_4;
    const LN2_LO: f32 = -2.121_944_4e-4;
    const UNDERFLOW: f32 = -87.0;
    let shifted = x * std::f32::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = (x - n * LN2_HI) - n * LN2_LO;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let y = p * r * r + r + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_shl(23).wrapping_add(0x3f80_0000));
    if x < UNDERFLOW { 0.0 } else { y * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_a_few_ulps_of_the_exact_value() {
        for i in 0..87_000 {
            let x = -(i as f32) / 1000.0;
            let exact = f64::from(x).exp();
            let relative = (f64::from(exp_nonpositive(x)) - exact).abs() / exact;
            assert!(relative < 3e-7, "exp({x}): {relative:e}");
        }
        assert_eq!(exp_nonpositive(0.0), 1.0);
        assert_eq!(exp_nonpositive(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp_nonpositive(-2e30), 0.0);
    }

    #[test]
    fn scan_finds_the_maximum_and_any_nan_at_every_length() {
        for len in 1..70 {
            let mut row: Vec<f32> = (0..len).map(|i| -(((i * 7) % 13) as f32)).collect();
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(scan(&row), Scan { max, nan: false });
            let last = row.len() - 1;
            row[last] = f32::NAN;
            assert!(scan(&row).nan, "NaN at the end of {len}");
        }
    }

    #[test]
    fn first_index_is_the_lowest_of_equals() {
        let mut row = vec![0.0f32; 1000];
        row[300] = 5.0;
        row[700] = 5.0;
        assert_eq!(first_index_of(&row, 5.0), 300);
        assert_eq!(first_index_of(&[f32::NAN], f32::NEG_INFINITY), 0);
    }
}
