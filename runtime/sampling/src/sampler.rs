//! Runs the sampling steps, in the order of the crate's documentation, on one row.

use sglang_proto::forward::PositionLogprobs;

use crate::filter::Filter;
use crate::gumbel::Counter;
use crate::kernels::{clean, divide, first_index_of, scan};
use crate::logprobs::position_logprobs;
use crate::penalties::edit_logits;
use crate::row_state::RowState;
use crate::select::Candidate;

/// The sampled token of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// The chosen id, always inside the vocabulary.
    pub token: u32,
    /// Whether the row held NaN or was empty, so that the token is meaningless.
    pub nan: bool,
    /// Log-probabilities, if the request asked for them.
    pub logprobs: Option<PositionLogprobs>,
}

/// Samples rows one after the other. It only holds scratch memory; no state is kept between calls.
#[derive(Debug, Default)]
pub struct Sampler {
    maxima: Vec<f32>,
    candidates: Vec<Candidate>,
    row: Vec<f32>,
    original_logprobs: bool,
}

impl Sampler {
    /// A new sampler; scratch memory is allocated on first use.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether output log-probabilities ignore the temperature (`SGLANG_RETURN_ORIGINAL_LOGPROB`).
    #[must_use]
    pub fn with_original_logprobs(self, original_logprobs: bool) -> Self {
        Self { original_logprobs, ..self }
    }

    /// Chooses the next token of one request.
    ///
    /// * `logits`: one row. Values past the state's `vocab_size` (padding) are ignored. The contents are unspecified
    ///   afterwards.
    /// * `state`: the request's state before this token. The caller passes the token to [`RowState::observe`].
    /// * `position`: position of the token that produced the row, from [`RowState::position`].
    /// * `allowed`: the grammar's mask. Bit `id % 32` of word `id / 32` is set if `id` may come next.
    ///
    /// With a mask, the token is always an allowed one, even if other steps suppress all of them.
    ///
    /// A greedy request gets the most likely token (the smallest id among equals) and log-probabilities that ignore the
    /// temperature. Log-probabilities are computed after penalties, mask and bias, but before the filter.
    pub fn sample_row(
        &mut self,
        logits: &mut [f32],
        state: &RowState,
        position: u32,
        allowed: Option<&[u32]>,
    ) -> Sampled {
        let len = logits.len().min(state.vocab_size);
        let Some(row) = logits.get_mut(..len).filter(|row| !row.is_empty()) else {
            return Sampled { token: 0, nan: true, logprobs: None };
        };
        let params = &state.sampling.params;
        if allowed.is_some() || state.edits_logits() {
            edit_logits(row, state, allowed);
        }
        let mut found = scan(row);
        if found.max == f32::NEG_INFINITY
            && !found.nan
            && let Some(only) = allowed.and_then(|mask| first_allowed(mask, row.len()))
        {
            // All tokens that the grammar allows are suppressed (`min_new_tokens` at the end of the grammar): the
            // grammar wins.
            if let Some(logit) = row.get_mut(only) {
                *logit = 0.0;
            }
            found.max = 0.0;
        }
        let logprobs_of_original =
            self.original_logprobs && state.sampling.return_logprob && !params.is_greedy();
        let mut max = found.max;
        if found.nan || max == f32::INFINITY {
            clean(row);
            max = scan(row).max;
        }
        if logprobs_of_original {
            self.row.clear();
            self.row.extend_from_slice(row);
        }
        let token = if params.is_greedy() {
            first_index_of(row, max)
        } else {
            let temperature = params.temperature as f32;
            if temperature != 1.0 {
                divide(row, temperature);
                max = scan(row).max;
            }
            self.draw(row, max, Filter::new(params, len), Counter::new(params.seed(), position))
        };
        let logprobs = state.sampling.return_logprob.then(|| {
            position_logprobs(
                if logprobs_of_original { &self.row } else { row },
                token,
                state.sampling.top_logprobs_num,
                &state.sampling.token_ids_logprob,
                &mut self.maxima,
                &mut self.candidates,
            )
        });
        Sampled { token, nan: found.nan, logprobs }
    }

    fn draw(&mut self, row: &[f32], max: f32, filter: Filter, counter: Counter) -> u32 {
        let first = first_index_of(row, max);
        if filter.keeps_all() {
            return counter.draw_row(row, first);
        }
        filter.apply(row, max, &mut self.maxima, &mut self.candidates);
        counter.draw_ranked(&self.candidates).unwrap_or(first)
    }

    /// Log-probabilities of a prompt position: `row` holds the logits at the position, `target` is the next prompt
    /// token. Temperature and penalties do not apply.
    pub fn input_logprobs(&mut self, row: &[f32], target: u32, top_n: u32, ids: &[u32]) -> PositionLogprobs {
        let found = scan(row);
        if !found.nan && found.max != f32::INFINITY {
            return position_logprobs(row, target, top_n, ids, &mut self.maxima, &mut self.candidates);
        }
        self.row.clear();
        self.row.extend_from_slice(row);
        clean(&mut self.row);
        position_logprobs(&self.row, target, top_n, ids, &mut self.maxima, &mut self.candidates)
    }
}

/// The smallest id below `len` that the mask allows.
fn first_allowed(mask: &[u32], len: usize) -> Option<usize> {
    let (at, word) = mask.iter().enumerate().find(|(_, word)| **word != 0)?;
    Some(at * 32 + word.trailing_zeros() as usize).filter(|id| *id < len)
}
