//! One batch of ids becomes one batch of text.

use sglang_proto::messages::{BatchStrOutput, BatchTokenIDOutput, FinishReason};
use sglang_tokenizer::{DecodeOptions, IncrementalDecoder, StopTrim, Tokenizer};

use crate::states::States;

/// Decodes for all requests of one scheduler.
pub struct Detokenizer {
    tokenizer: Tokenizer,
    states: States,
}

/// What one request of a batch brings.
struct Item<'a> {
    rid: &'a str,
    ids: &'a [u32],
    /// How many of the ids are prompt, in a request's first item.
    context: Option<usize>,
    finish: Option<&'a FinishReason>,
    skip_special_tokens: bool,
    spaces_between_special_tokens: bool,
    no_stop_trim: bool,
}

impl Detokenizer {
    /// A detokenizer without requests.
    pub fn new(tokenizer: Tokenizer) -> Self {
        Self { tokenizer, states: States::from_env() }
    }

    /// Live requests.
    pub fn num_states(&self) -> usize {
        self.states.len()
    }

    /// The scheduler was replaced: what it had under way will be started anew.
    pub fn reset(&mut self) {
        self.states.clear();
    }

    /// Decodes a batch. Lists that are shorter than the list of ids are read as if the missing entries had their
    /// default, so a malformed batch costs text but never the process.
    pub fn decode(&mut self, batch: BatchTokenIDOutput) -> BatchStrOutput {
        let rids = batch.rids.clone().unwrap_or_default();
        let output_strs = rids
            .iter()
            .enumerate()
            .map(|(i, rid)| {
                self.decode_item(&Item {
                    rid,
                    ids: batch.decode_ids.get(i).map_or(&[][..], |ids| ids.as_slice()),
                    context: self.first_context(rid, &batch, i),
                    finish: batch.finished_reasons.get(i).and_then(Option::as_ref),
                    skip_special_tokens: batch.skip_special_tokens.get(i).copied().unwrap_or(true),
                    spaces_between_special_tokens: batch
                        .spaces_between_special_tokens
                        .get(i)
                        .copied()
                        .unwrap_or(true),
                    no_stop_trim: batch.no_stop_trim.get(i).copied().unwrap_or(false),
                })
            })
            .collect();
        BatchStrOutput {
            rids: Some(rids),
            http_worker_ipcs: batch.http_worker_ipcs,
            finished_reasons: batch.finished_reasons,
            output_strs,
            output_ids: batch.output_ids,
            prompt_tokens: batch.prompt_tokens,
            completion_tokens: batch.completion_tokens,
            reasoning_tokens: batch.reasoning_tokens,
            cached_tokens: batch.cached_tokens,
            input_token_logprobs_val: batch.input_token_logprobs_val,
            input_token_logprobs_idx: batch.input_token_logprobs_idx,
            output_token_logprobs_val: batch.output_token_logprobs_val,
            output_token_logprobs_idx: batch.output_token_logprobs_idx,
            input_top_logprobs_val: batch.input_top_logprobs_val,
            input_top_logprobs_idx: batch.input_top_logprobs_idx,
            output_top_logprobs_val: batch.output_top_logprobs_val,
            output_top_logprobs_idx: batch.output_top_logprobs_idx,
            input_token_ids_logprobs_val: batch.input_token_ids_logprobs_val,
            input_token_ids_logprobs_idx: batch.input_token_ids_logprobs_idx,
            output_token_ids_logprobs_val: batch.output_token_ids_logprobs_val,
            output_token_ids_logprobs_idx: batch.output_token_ids_logprobs_idx,
            output_hidden_states: batch.output_hidden_states,
            retraction_counts: batch.retraction_counts,
            weight_versions: batch.weight_versions,
            cached_tokens_details: batch.cached_tokens_details,
            dp_ranks: batch.dp_ranks,
            output_offsets: batch.output_offsets,
            req_time_stats: batch.req_time_stats,
            ..Default::default()
        }
    }

    /// The scheduler gives the prompt's length with every item, but its ids only with the first.
    fn first_context(&self, rid: &str, batch: &BatchTokenIDOutput, i: usize) -> Option<usize> {
        let len = batch.read_offsets.get(i).map_or(0, |at| *at as usize);
        let ids = batch.decode_ids.get(i).map_or(0, |ids| ids.len());
        let new = batch.output_ids.as_ref().and_then(|o| o.get(i)).map_or(0, |ids| ids.len());
        (!self.states.contains(rid)).then_some(len.min(ids.saturating_sub(new)))
    }

    fn decode_item(&mut self, item: &Item<'_>) -> String {
        let tokenizer = &self.tokenizer;
        let (context, new_ids) = match item.context {
            Some(len) => item.ids.split_at(len.min(item.ids.len())),
            None => (&[][..], item.ids),
        };
        let decoder = self.states.entry(item.rid, || {
            let options = DecodeOptions {
                skip_special_tokens: item.skip_special_tokens,
                spaces_between_special_tokens: item.spaces_between_special_tokens,
            };
            IncrementalDecoder::new(tokenizer, context, "", options)
        });
        let Some(finish) = item.finish else { return decoder.push(tokenizer, new_ids) };
        let text = decoder.finish(tokenizer, new_ids, trim_of(finish, new_ids, item.no_stop_trim));
        self.states.remove(item.rid);
        text
    }
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
