//! Decodes batches of ids to batches of text.

use sglang_proto::messages::{
    AbortReq, Attempt, BatchStrOutput, BatchTokenIDOutput, FinishReason, GenerationOutput, StrOutput,
    TokenIdOutput,
};
use sglang_proto::wire::TokenIds;
use sglang_tokenizer::{DecodeOptions, IncrementalDecoder, StopTrim, Tokenizer};

use crate::states::States;

/// Offset of output that cannot be decoded. No client expects this offset, so the tokenizer manager requests the output
/// again, if the attempt is still the current one.
const NOWHERE: u64 = u64::MAX;

/// Decodes the outputs of all requests of one scheduler.
pub struct Detokenizer {
    tokenizer: Tokenizer,
    states: States,
}

impl Detokenizer {
    /// Creates a detokenizer without requests.
    pub fn new(tokenizer: Tokenizer) -> Self {
        Self { tokenizer, states: States::from_env() }
    }

    /// Drops all decoding states: the scheduler was restarted, or messages of it may be lost, and the tokenizer manager
    /// will submit its requests again.
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

    /// Handles the end of a request that comes without output.
    pub fn end(&mut self, end: &AbortReq) {
        if let Some(rid) = &end.rid {
            self.states.end(rid, end.attempt);
        }
    }

    /// Decodes a row; `None` if the row must not be passed on.
    fn decode_row(&mut self, row: &mut TokenIdOutput) -> Option<String> {
        let Some(attempt) = row.output.attempt else { return Some(self.decode_unnumbered(row)) };
        let text = self.decode_attempt(row, attempt);
        if text.is_some() {
            return text;
        }
        // The row is useless without the output before it.
        let (output_offset, finished_reason) = match row.output.finished_reason.take() {
            // The request has ended, whatever was lost.
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

    /// Decodes a row of a request with numbered attempts; `None` if earlier output was lost, so that no decoder expects
    /// the row.
    fn decode_attempt(&mut self, row: &TokenIdOutput, attempt: Attempt) -> Option<String> {
        let output = &row.output;
        let (rid, finish) = (output.rid.as_str(), output.finished_reason.as_ref());
        let context = context_len(row);
        let tokenizer = &self.tokenizer;
        let known = self.states.find(rid).filter(|state| state.attempt >= Some(attempt));
        let expected = match &known {
            Some(state) => state.attempt == Some(attempt) && Some(state.next) == output.output_offset,
            // The first row of an attempt contains its context.
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

    /// Decodes a row of the reference's scheduler, or for the reference's tokenizer manager.
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

/// Number of ids of a request's first row that are context. The scheduler sends the length of the context with every
/// row, but its ids only with the first.
fn context_len(row: &TokenIdOutput) -> usize {
    let len = usize::try_from(row.read_offset).unwrap_or(usize::MAX);
    len.min(row.decode_ids.len().saturating_sub(row.output.output_ids.len()))
}

/// How to trim the text at the end of a request.
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
