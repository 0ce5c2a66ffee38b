//! One batch of ids becomes one batch of text.

use sglang_proto::messages::{
    AbortReq, Attempt, BatchStrOutput, BatchTokenIDOutput, FinishReason, GenerationOutput, StrOutput,
    TokenIdOutput,
};
use sglang_proto::wire::TokenIds;
use sglang_tokenizer::{DecodeOptions, IncrementalDecoder, StopTrim, Tokenizer};

use crate::states::States;

/// The position of output whose text cannot be made: no client stands there, so the tokenizer manager asks for it again,
/// if this try is still the current one.
const NOWHERE: u64 = u64::MAX;

/// Decodes for all requests of one scheduler.
pub struct Detokenizer {
    tokenizer: Tokenizer,
    states: States,
}

impl Detokenizer {
    /// A detokenizer without requests.
    pub fn new(tokenizer: Tokenizer) -> Self {
        Self { tokenizer, states: States::from_env() }
    }

    /// The scheduler was replaced: what it had under way will be started anew.
    pub fn reset(&mut self) {
        self.states.clear();
    }

    /// Decodes a batch.
    pub fn decode(&mut self, batch: BatchTokenIDOutput) -> BatchStrOutput {
        let text = |mut row: TokenIdOutput| {
            self.decode_row(&mut row).map(|text| StrOutput { text, output: row.output })
        };
        BatchStrOutput { rows: batch.rows.into_iter().filter_map(text).collect() }
    }

    /// A request has ended without output.
    pub fn end(&mut self, end: &AbortReq) {
        if let Some(rid) = &end.rid {
            self.states.end(rid, end.attempt);
        }
    }

    /// The text of a row, if it is to be passed on.
    fn decode_row(&mut self, row: &mut TokenIdOutput) -> Option<String> {
        let Some(attempt) = row.output.attempt else { return Some(self.decode_unnumbered(row)) };
        let text = self.decode_attempt(row, attempt);
        if text.is_some() {
            return text;
        }
        // What it has made is of no use without what comes before.
        let (output_offset, finished_reason) = match row.output.finished_reason.take() {
            // The request has ended all the same.
            Some(reason @ FinishReason::Abort { .. }) => (None, Some(reason)),
            _ if self.states.find(&row.output.rid).is_some_and(|state| state.attempt > Some(attempt)) => {
                return None;
            }
            _ => (Some(NOWHERE), None),
        };
        self.states.end(&row.output.rid, Some(attempt));
        row.output = GenerationOutput {
            output_ids: TokenIds::default(),
            output_offset,
            finished_reason,
            logprobs: None,
            hidden_states: None,
            ..std::mem::take(&mut row.output)
        };
        Some(String::new())
    }

    /// A row of a request whose tries are numbered; `None` if no decoder expects it, because what comes before it was lost.
    fn decode_attempt(&mut self, row: &TokenIdOutput, attempt: Attempt) -> Option<String> {
        let output = &row.output;
        let (rid, finish) = (output.rid.as_str(), output.finished_reason.as_ref());
        let context = context_len(row);
        let tokenizer = &self.tokenizer;
        let known = self.states.find(rid).filter(|state| state.attempt >= Some(attempt));
        let expected = match &known {
            Some(state) => state.attempt == Some(attempt) && Some(state.next) == output.output_offset,
            // The first row brings its context.
            None => context > 0,
        };
        if !expected {
            return None;
        }
        let next = output.output_offset.unwrap_or_default() + output.output_ids.len() as u64;
        let (context, new_ids) = match known.is_some() {
            true => (&[][..], row.decode_ids.as_slice()),
            false => row.decode_ids.split_at(context),
        };
        if known.is_none() {
            self.states.end(rid, Some(attempt));
        }
        let options = options_of(row);
        let state =
            self.states.entry(rid, Some(attempt), || IncrementalDecoder::new(tokenizer, context, options));
        state.next = next;
        let Some(finish) = finish else { return Some(state.decoder.push(tokenizer, new_ids)) };
        let text = state.decoder.finish(tokenizer, new_ids, trim_of(finish, new_ids, row.no_stop_trim));
        self.states.remove(rid);
        Some(text)
    }

    /// A row of the reference's scheduler, or for the reference's tokenizer manager.
    fn decode_unnumbered(&mut self, row: &TokenIdOutput) -> String {
        let (tokenizer, rid) = (&self.tokenizer, row.output.rid.as_str());
        let (context, new_ids) = match self.states.contains(rid) {
            true => (&[][..], row.decode_ids.as_slice()),
            false => row.decode_ids.split_at(context_len(row)),
        };
        let options = options_of(row);
        let state = self.states.entry(rid, None, || IncrementalDecoder::new(tokenizer, context, options));
        let decoder = &mut state.decoder;
        let Some(finish) = &row.output.finished_reason else { return decoder.push(tokenizer, new_ids) };
        let text = decoder.finish(tokenizer, new_ids, trim_of(finish, new_ids, row.no_stop_trim));
        self.states.remove(rid);
        text
    }
}

fn options_of(row: &TokenIdOutput) -> DecodeOptions {
    DecodeOptions { skip_special_tokens: row.skip_special_tokens }
}

/// How many of the ids of a request's first row are context: the scheduler gives the prompt's length with every row, but
/// its ids only with the first.
fn context_len(row: &TokenIdOutput) -> usize {
    let len = usize::try_from(row.read_offset).unwrap_or(usize::MAX);
    len.min(row.decode_ids.len().saturating_sub(row.output.output_ids.len()))
}

/// What the end of a request cuts off its text.
fn trim_of<'a>(finish: &'a FinishReason, new_ids: &[u32], no_stop_trim: bool) -> StopTrim<'a> {
    let FinishReason::Stop { matched } = finish else { return StopTrim::Nothing };
    match matched.as_str() {
        Some(stop) if no_stop_trim => StopTrim::After(stop),
        Some(stop) => StopTrim::From(stop),
        None if no_stop_trim || matched.as_u64() != new_ids.last().map(|id| u64::from(*id)) => {
            StopTrim::Nothing
        }
        None => StopTrim::LastToken,
    }
}
