//! The random draw: Gumbel-max with a counter-based generator, so that the result depends only on seed, position and
//! distribution. Reference: `multinomial_with_seed` in `srt/layers/sampler.py`, which hashes with MurmurHash3 (Appleby,
//! 2008).

use crate::select::Candidate;

const LN_2: f64 = std::f64::consts::LN_2;
/// Clamps `log u`, so that the largest hash gives noise of about 32 ln 2 instead of infinity.
const MAX_LOG_UNIFORM: f64 = -1.0 / 4_294_967_296.0;

fn mix(h: u32, k: u32) -> u32 {
    let k = k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    (h ^ k).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
}

fn finish(h: u32) -> u32 {
    let h = h ^ 16;
    let h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    let h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

/// MurmurHash3 (32 bits) of the four words low seed, high seed, position, column.
pub fn murmur_hash32(seed: u64, position: u32, column: u32) -> u32 {
    finish(mix(Counter::new(seed, position).0, column))
}

/// Standard Gumbel noise of a hash: `-log(-log u)` with `u = hash / (2^32 - 1)` and both tails clamped.
pub fn gumbel(hash: u32) -> f64 {
    let uniform = f64::from(hash) / f64::from(u32::MAX);
    -(-uniform.ln().clamp(f64::MIN, MAX_LOG_UNIFORM)).ln()
}

/// Upper bound of [`gumbel`] that takes no logarithm: `-log u >= 1 - u`, and `1 - u >= (2^32 - 1 - hash) / 2^32`.
#[inline(always)]
fn gumbel_bound(hash: u32) -> f64 {
    // The slack only covers rounding: the bound itself is loose by up to ln 2.
    f64::from((!hash).leading_zeros() + 1) * LN_2 + 1e-6
}

/// The random generator of one row at one position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter(u32);

impl Counter {
    pub(crate) fn new(seed: u64, position: u32) -> Self {
        Self(mix(mix(mix(0, seed as u32), (seed >> 32) as u32), position))
    }

    #[inline(always)]
    fn hash(self, column: u32) -> u32 {
        finish(mix(self.0, column))
    }

    /// Draws a token from the softmax of a whole row; `first` is the index of its largest value. The hashed column is
    /// the token id.
    ///
    /// Noise is at most 32 ln 2, and the hash alone gives a cheap bound. So logarithms are computed only for the few
    /// tokens that can still beat the best one.
    pub(crate) fn draw_row(self, row: &[f32], first: u32) -> u32 {
        const STEP: usize = 64;
        let at = |id: u32| row.get(id as usize).copied().unwrap_or(f32::NEG_INFINITY);
        let mut best = (f64::from(at(first)) + gumbel(self.hash(first)), first);
        for (i, chunk) in row.chunks(STEP).enumerate() {
            // Skip the chunk if even the largest noise could not make its largest value win.
            let reach = (best.0 - 33.0 * LN_2) as f32;
            if !chunk.iter().fold(false, |any, &x| any | (x >= reach)) {
                continue;
            }
            for (j, &x) in chunk.iter().enumerate() {
                let id = (i * STEP + j) as u32;
                let hash = self.hash(id);
                let logit = f64::from(x);
                if logit + gumbel_bound(hash) >= best.0 {
                    let value = logit + gumbel(hash);
                    if value > best.0 || (value == best.0 && id < best.1) {
                        best = (value, id);
                    }
                }
            }
        }
        best.1
    }

    /// Draws from filtered candidates, which are sorted by probability. The hashed column is the rank, as in the
    /// reference, which draws from sorted probabilities.
    pub(crate) fn draw_ranked(self, kept: &[Candidate]) -> Option<u32> {
        let mut best: Option<(f64, u32)> = None;
        for (rank, candidate) in kept.iter().enumerate() {
            let value = f64::from(candidate.logit()) + gumbel(self.hash(rank as u32));
            if best.is_none_or(|(top, _)| value > top) {
                best = Some((value, candidate.id()));
            }
        }
        best.map(|(_, id)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_finite_at_both_ends_and_below_its_bound() {
        assert!((gumbel(u32::MAX) - 32.0 * LN_2).abs() < 1e-6);
        assert!((gumbel(0) + 709.78).abs() < 0.01);
        for i in 0..200_000u32 {
            let hash = murmur_hash32(7, 3, i);
            assert!(gumbel(hash) <= gumbel_bound(hash), "{hash}");
        }
        for hash in [0, 1, u32::MAX, u32::MAX - 1, u32::MAX - 2, 1 << 31] {
            assert!(gumbel(hash) <= gumbel_bound(hash), "{hash}");
        }
    }

    #[test]
    fn pruned_draw_equals_the_exhaustive_one() {
        for position in 0..300 {
            let row: Vec<f32> =
                (0..2000u32).map(|i| (murmur_hash32(1, position, i) % 4000) as f32 / 100.0 - 20.0).collect();
            let first = crate::kernels::first_index_of(&row, crate::kernels::scan(&row).max);
            let counter = Counter::new(99, position);
            let mut best = (f64::NEG_INFINITY, 0);
            for (id, &x) in row.iter().enumerate() {
                let value = f64::from(x) + gumbel(murmur_hash32(99, position, id as u32));
                if value > best.0 {
                    best = (value, id as u32);
                }
            }
            assert_eq!(counter.draw_row(&row, first), best.1);
        }
    }
}
