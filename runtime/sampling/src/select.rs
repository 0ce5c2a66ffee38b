//! Selects the most likely tokens of a row without sorting it.

/// A token and its logit, packed into an integer that sorts the more likely first: greater logit, then smaller id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate(u64);

impl Candidate {
    /// `logit` must not be NaN.
    #[inline(always)]
    pub(crate) fn new(id: u32, logit: f32) -> Self {
        // Adding 0 makes -0.0 and 0.0 equal. Then bits are flipped so that ascending integers are descending floats.
        let bits = (logit + 0.0).to_bits();
        let ascending = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
        Self(u64::from(!ascending) << 32 | u64::from(id))
    }

    #[inline(always)]
    pub(crate) fn id(self) -> u32 {
        self.0 as u32
    }

    #[inline(always)]
    pub(crate) fn logit(self) -> f32 {
        let ascending = !((self.0 >> 32) as u32);
        f32::from_bits(if ascending >> 31 == 1 { ascending & !(1 << 31) } else { !ascending })
    }
}

/// Appends every token whose logit is at least `threshold`.
fn collect_from(row: &[f32], threshold: f32, out: &mut Vec<Candidate>) {
    const STEP: usize = 64;
    for (i, chunk) in row.chunks(STEP).enumerate() {
        if !chunk.iter().fold(false, |any, &x| any | (x >= threshold)) {
            continue;
        }
        for (j, &x) in chunk.iter().enumerate() {
            if x >= threshold {
                out.push(Candidate::new((i * STEP + j) as u32, x));
            }
        }
    }
}

/// All tokens with a logit of at least `threshold`, best first.
pub(crate) fn at_least(row: &[f32], threshold: f32, out: &mut Vec<Candidate>) {
    out.clear();
    collect_from(row, threshold, out);
    out.sort_unstable();
}

/// The `k` best tokens, best first; all tokens if the row has at most `k`. `maxima` is scratch memory.
///
/// The k-th largest maximum of small blocks is a lower bound of the k-th largest value. One pass that compares with it
/// finds all candidates, usually few.
pub(crate) fn top(row: &[f32], k: usize, maxima: &mut Vec<f32>, out: &mut Vec<Candidate>) {
    const BLOCK: usize = 32;
    out.clear();
    if k == 0 {
        return;
    }
    let mut threshold = f32::NEG_INFINITY;
    if row.len() / BLOCK >= k {
        maxima.clear();
        maxima.extend(row.chunks(BLOCK).map(block_max));
        let (_, kth, _) = maxima.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
        threshold = *kth;
    }
    collect_from(row, threshold, out);
    if out.len() > k {
        out.select_nth_unstable(k - 1);
        out.truncate(k);
    }
    out.sort_unstable();
}

fn block_max(block: &[f32]) -> f32 {
    block.iter().fold(f32::NEG_INFINITY, |m, &x| if x > m { x } else { m })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::murmur_hash32;

    #[test]
    fn candidates_order_by_logit_then_id_and_give_both_back() {
        let values = [f32::NEG_INFINITY, -3.5, -0.0, 0.0, 1e-30, 2.0, 1e30];
        for (i, &a) in values.iter().enumerate() {
            assert_eq!(Candidate::new(9, a).logit(), a);
            assert_eq!(Candidate::new(9, a).id(), 9);
            for &b in &values[..i] {
                if a > b {
                    assert!(Candidate::new(9, a) < Candidate::new(0, b), "{a} before {b}");
                }
            }
        }
        assert!(Candidate::new(3, -0.0) < Candidate::new(4, 0.0));
    }

    #[test]
    fn top_equals_a_full_sort_with_ties() {
        let (mut maxima, mut out) = (Vec::new(), Vec::new());
        for (len, k) in [(1, 1), (5, 9), (100, 3), (3000, 1), (3000, 50), (3000, 2000), (3001, 94), (64, 0)] {
            // Few distinct values, so there are ties everywhere.
            let row: Vec<f32> =
                (0..len).map(|i| (murmur_hash32(5, k as u32, i) % 40) as f32 - 20.0).collect();
            let mut expected: Vec<(f32, u32)> = row.iter().copied().zip(0..).collect();
            expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            expected.truncate(k);
            top(&row, k, &mut maxima, &mut out);
            let got: Vec<(f32, u32)> = out.iter().map(|c| (c.logit(), c.id())).collect();
            assert_eq!(got, expected, "len {len} k {k}");
        }
    }
}
