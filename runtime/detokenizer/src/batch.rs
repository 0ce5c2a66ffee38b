//! One batch of ids becomes one batch of text.

use sglang_proto::messages::{BatchStrOutput, BatchTokenIDOutput, FinishReason, StrOutput, TokenIdOutput};
use sglang_tokenizer::{DecodeOptions, IncrementalDecoder, StopTrim, Tokenizer};

use crate::states::States;

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
        let text = |row: TokenIdOutput| StrOutput { text: self.decode_row(&row), output: row.output };
        BatchStrOutput { rows: batch.rows.into_iter().map(text).collect() }
    }

    fn decode_row(&mut self, row: &TokenIdOutput) -> String {
        let (tokenizer, rid) = (&self.tokenizer, row.output.rid.as_str());
        let (context, new_ids) = match self.states.contains(rid) {
            true => (&[][..], row.decode_ids.as_slice()),
            false => row.decode_ids.split_at(context_len(row)),
        };
        let decoder = self.states.entry(rid, || {
            let options = DecodeOptions { skip_special_tokens: row.skip_special_tokens };
            IncrementalDecoder::new(tokenizer, context, options)
        });
        let Some(finish) = &row.output.finished_reason else { return decoder.push(tokenizer, new_ids) };
        let text = decoder.finish(tokenizer, new_ids, trim_of(finish, new_ids, row.no_stop_trim));
        self.states.remove(rid);
        text
    }
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
