//! Log-probabilities of one row. Reference: `srt/layers/logprob_processor.py`.

use sglang_proto::forward::{PositionLogprobs, TokenLogprob};

use crate::kernels::{scan, sum_exp};
use crate::select::{self, Candidate};

/// Log-probability reported for an impossible token. JSON has no -inf; the reference clamps too.
pub const IMPOSSIBLE_LOGPROB: f32 = f32::MIN;

/// `log_softmax` of `row` for the chosen token, the `top_n` most likely tokens and the requested ids. Ids outside the
/// row count as impossible.
pub(crate) fn position_logprobs(
    row: &[f32],
    chosen: u32,
    top_n: u32,
    ids: &[u32],
    maxima: &mut Vec<f32>,
    candidates: &mut Vec<Candidate>,
) -> PositionLogprobs {
    let max = scan(row).max;
    let log_sum = sum_exp(row, max).ln() as f32;
    // Subtract the maximum first: subtracting `max + log_sum` at once loses digits in rows with a large offset.
    let of = |logit: f32| {
        let logprob = (logit - max) - log_sum;
        if logprob.is_nan() { IMPOSSIBLE_LOGPROB } else { logprob.clamp(IMPOSSIBLE_LOGPROB, 0.0) }
    };
    let at = |id: u32| row.get(id as usize).map_or(IMPOSSIBLE_LOGPROB, |&logit| of(logit));
    let mut top = Vec::new();
    if top_n > 0 {
        select::top(row, top_n as usize, maxima, candidates);
        top.extend(candidates.iter().map(|c| TokenLogprob { id: c.id(), logprob: of(c.logit()) }));
    }
    PositionLogprobs {
        logprob: at(chosen),
        top,
        token_ids: ids.iter().map(|&id| TokenLogprob { id, logprob: at(id) }).collect(),
    }
}
