//! The filters that limit which tokens may be drawn: `top_k`, `top_p` and `min_p`. Reference:
//! `top_k_top_p_min_p_sampling_from_probs_torch` in `srt/layers/sampler.py`. `top_k` and `top_p` apply jointly: both
//! use the unfiltered distribution without renormalising. `min_p` is relative to the most likely token and comes last.

use sglang_proto::SamplingParams;

use crate::kernels::sum_exp;
use crate::select::{self, Candidate};

/// The filters of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Filter {
    /// Most tokens kept; `None` keeps all.
    pub top_k: Option<usize>,
    /// Probability mass of the nucleus; `None` keeps all.
    pub top_p: Option<f32>,
    /// Minimum probability relative to the most likely token; `None` keeps all.
    pub min_p: Option<f32>,
}

impl Filter {
    pub(crate) fn new(params: &SamplingParams, vocab_size: usize) -> Self {
        let top_k = usize::try_from(params.top_k).unwrap_or(1).max(1);
        Self {
            top_k: (top_k < vocab_size).then_some(top_k),
            top_p: (params.top_p < 1.0).then_some(params.top_p as f32),
            min_p: (params.min_p > 0.0).then_some(params.min_p as f32),
        }
    }

    /// Whether every token may be drawn.
    pub(crate) fn keeps_all(&self) -> bool {
        self.top_k.is_none() && self.top_p.is_none() && self.min_p.is_none()
    }

    /// Writes the tokens that may be drawn to `out`, most likely first; there is always at least one. `row` holds
    /// logits divided by the temperature, `max` is its largest value, `maxima` is scratch memory.
    pub(crate) fn apply(&self, row: &[f32], max: f32, maxima: &mut Vec<f32>, out: &mut Vec<Candidate>) {
        match (self.top_k, self.top_p) {
            (Some(k), top_p) => {
                select::top(row, k, maxima, out);
                if let Some(top_p) = top_p {
                    let nucleus = nucleus(out, max, sum_exp(row, max), top_p);
                    out.truncate(nucleus.unwrap_or(out.len()));
                }
            }
            (None, Some(top_p)) => keep_nucleus(row, max, top_p, out),
            (None, None) => {
                let floor = self.min_p.map_or(f32::NEG_INFINITY, |p| max + p.ln() - 1e-3);
                select::at_least(row, floor, out);
            }
        }
        if let Some(min_p) = self.min_p {
            let keep = out.partition_point(|c| (c.logit() - max).exp() >= min_p);
            out.truncate(keep.max(1));
        }
    }
}

/// Collects tokens above ever lower thresholds until they contain the whole nucleus.
fn keep_nucleus(row: &[f32], max: f32, top_p: f32, out: &mut Vec<Candidate>) {
    let total = sum_exp(row, max);
    for depth in [3.0f32, 6.0, 12.0, 24.0, f32::INFINITY] {
        select::at_least(row, max - depth, out);
        if let Some(keep) = nucleus(out, max, total, top_p) {
            out.truncate(keep);
            return;
        }
    }
}

/// Number of sorted candidates that `top_p` keeps: a token stays if the mass before it is at most `top_p`. `None` if
/// all stay, in which case less likely tokens may belong to the nucleus too.
///
/// Sums in f64 and compares in f32, like the reference's cumulative sum on the CPU.
fn nucleus(sorted: &[Candidate], max: f32, total: f64, top_p: f32) -> Option<usize> {
    let mut cumulative = 0.0f64;
    sorted.iter().position(|candidate| {
        let probability = (f64::from((candidate.logit() - max).exp()) / total) as f32;
        cumulative += f64::from(probability);
        (cumulative as f32) - probability > top_p
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(row: &[f32], filter: Filter) -> Vec<u32> {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut out = Vec::new();
        filter.apply(row, max, &mut Vec::new(), &mut out);
        out.iter().map(|c| c.id()).collect()
    }

    fn logits(probabilities: &[f64]) -> Vec<f32> {
        probabilities.iter().map(|p| p.ln() as f32).collect()
    }

    const NONE: Filter = Filter { top_k: None, top_p: None, min_p: None };

    #[test]
    fn a_tiny_top_p_keeps_the_best_token() {
        let row = logits(&[0.1, 0.6, 0.3]);
        assert_eq!(kept(&row, Filter { top_p: Some(1e-9), ..NONE }), [1]);
    }

    #[test]
    fn top_p_keeps_the_token_that_crosses_the_mass() {
        let row = logits(&[0.1, 0.5, 0.25, 0.15]);
        assert_eq!(kept(&row, Filter { top_p: Some(0.6), ..NONE }), [1, 2]);
        assert_eq!(kept(&row, Filter { top_p: Some(0.8), ..NONE }), [1, 2, 3]);
        assert_eq!(kept(&row, Filter { top_p: Some(0.95), ..NONE }), [1, 2, 3, 0]);
    }

    #[test]
    fn top_p_looks_at_the_mass_before_top_k() {
        // If top_k renormalised, the first token with 0.4 / 0.7 would already fill the nucleus.
        let row = logits(&[0.4, 0.3, 0.2, 0.1]);
        assert_eq!(kept(&row, Filter { top_k: Some(2), top_p: Some(0.5), ..NONE }), [0, 1]);
        assert_eq!(kept(&row, Filter { top_k: Some(3), top_p: Some(0.35), ..NONE }), [0]);
    }

    #[test]
    fn ties_at_the_edge_keep_the_smaller_ids() {
        let row = [1.0, 2.0, 2.0, 2.0, 0.0];
        assert_eq!(kept(&row, Filter { top_k: Some(2), ..NONE }), [1, 2]);
        assert_eq!(kept(&[0.0; 4], Filter { top_p: Some(0.3), ..NONE }), [0, 1]);
    }

    #[test]
    fn min_p_is_relative_to_the_best_and_never_empties() {
        let row = logits(&[0.5, 0.26, 0.14, 0.1]);
        assert_eq!(kept(&row, Filter { min_p: Some(0.5), ..NONE }), [0, 1]);
        assert_eq!(kept(&row, Filter { min_p: Some(1.0), ..NONE }), [0]);
        assert_eq!(kept(&row, Filter { top_k: Some(3), top_p: Some(0.99), min_p: Some(0.25) }), [0, 1, 2]);
    }

    #[test]
    fn a_flat_row_of_many_tokens_keeps_its_share() {
        let row = vec![0.0f32; 40_000];
        let n = kept(&row, Filter { top_p: Some(0.5), ..NONE }).len();
        assert!((19_990..=20_010).contains(&n), "{n}");
    }
}
