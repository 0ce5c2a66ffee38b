//! What one batch message says about one request.

use std::collections::BTreeMap;

use sglang_proto::HiddenStates;
use sglang_proto::messages::{
    BatchEmbeddingOutput, BatchStrOutput, BatchTokenIDOutput, FinishReason, ReqTimeStats, WeightVersionSpan,
};

use super::logprobs::{Logprobs, take_tokens, take_tops};

/// New output of one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutputDelta {
    /// How the request ended; `None` while it goes on.
    pub finished: Option<FinishReason>,
    /// New text; empty when there is no tokenizer.
    pub text: String,
    /// New ids.
    pub output_ids: Vec<u32>,
    /// Position of the first new id in the output, when the sender tells it.
    pub offset: Option<u64>,
    /// Counts so far.
    pub counts: Counts,
    /// Weight versions per output span.
    pub weight_versions: Option<Vec<WeightVersionSpan>>,
    /// Where cached tokens came from.
    pub cached_tokens_details: Option<BTreeMap<String, serde_json::Value>>,
    /// Rank that ran the request.
    pub dp_rank: Option<i64>,
    /// New log-probabilities.
    pub logprobs: Logprobs,
    /// The scheduler's times, when there are new ones.
    pub times: Option<ReqTimeStats>,
    /// New hidden states.
    pub hidden_states: Option<HiddenStates>,
    /// The vector of an embedding request.
    pub embedding: Vec<f32>,
    /// The hidden state in front of the model's head.
    pub pooled_hidden_state: Option<Vec<f32>>,
}

/// Token counts of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Prompt tokens.
    pub prompt_tokens: u64,
    /// Output tokens, a stop token included.
    pub completion_tokens: u64,
    /// Output tokens inside reasoning.
    pub reasoning_tokens: u64,
    /// Prompt tokens that came from the cache.
    pub cached_tokens: u64,
    /// How often the request was retracted.
    pub num_retractions: u64,
}

/// Takes the entry of request `i` out of a list that may be absent or too short.
fn take<T>(list: &mut Option<Vec<Option<T>>>, i: usize) -> Option<T> {
    list.as_mut().and_then(|all| all.get_mut(i)).and_then(Option::take)
}

fn at<T: Copy + Default>(list: &[T], i: usize) -> T {
    list.get(i).copied().unwrap_or_default()
}

/// A batch message that can be split by request.
pub trait IntoDeltas {
    /// The new output of each request.
    fn into_deltas(self) -> Vec<(String, OutputDelta)>;
}

macro_rules! deltas {
    ($message:ty, $text:expr) => {
        impl IntoDeltas for $message {
            fn into_deltas(mut self) -> Vec<(String, OutputDelta)> {
                let m = &mut self;
                let rids = m.rids.take().unwrap_or_default();
                let text: fn(&mut $message, usize) -> String = $text;
                let delta = |(i, rid): (usize, String)| {
                    let delta = OutputDelta {
                        times: take(&mut m.req_time_stats, i),
                        embedding: Vec::new(),
                        pooled_hidden_state: None,
                        finished: m.finished_reasons.get_mut(i).and_then(Option::take),
                        text: text(m, i),
                        output_ids: m
                            .output_ids
                            .as_mut()
                            .and_then(|all| all.get_mut(i))
                            .map(|ids| std::mem::take(&mut ids.0))
                            .unwrap_or_default(),
                        offset: m.output_offsets.as_ref().and_then(|all| all.get(i)).copied(),
                        counts: Counts {
                            prompt_tokens: at(&m.prompt_tokens, i),
                            completion_tokens: at(&m.completion_tokens, i),
                            reasoning_tokens: at(&m.reasoning_tokens, i),
                            cached_tokens: at(&m.cached_tokens, i),
                            num_retractions: m.retraction_counts.as_ref().map_or(0, |all| at(all, i)),
                        },
                        weight_versions: take(&mut m.weight_versions, i),
                        cached_tokens_details: take(&mut m.cached_tokens_details, i),
                        dp_rank: m.dp_ranks.as_ref().and_then(|all| all.get(i)).copied().flatten(),
                        hidden_states: take(&mut m.output_hidden_states, i),
                        logprobs: Logprobs {
                            input_token: take_tokens(
                                &mut m.input_token_logprobs_val,
                                &mut m.input_token_logprobs_idx,
                                i,
                            ),
                            output_token: take_tokens(
                                &mut m.output_token_logprobs_val,
                                &mut m.output_token_logprobs_idx,
                                i,
                            ),
                            input_top: take_tops(
                                &mut m.input_top_logprobs_val,
                                &mut m.input_top_logprobs_idx,
                                i,
                            ),
                            output_top: take_tops(
                                &mut m.output_top_logprobs_val,
                                &mut m.output_top_logprobs_idx,
                                i,
                            ),
                            input_token_ids: take_tops(
                                &mut m.input_token_ids_logprobs_val,
                                &mut m.input_token_ids_logprobs_idx,
                                i,
                            ),
                            output_token_ids: take_tops(
                                &mut m.output_token_ids_logprobs_val,
                                &mut m.output_token_ids_logprobs_idx,
                                i,
                            ),
                        },
                    };
                    (rid, delta)
                };
                rids.into_iter().enumerate().map(delta).collect()
            }
        }
    };
}

deltas!(BatchStrOutput, |m, i| m.output_strs.get_mut(i).map(std::mem::take).unwrap_or_default());
deltas!(BatchTokenIDOutput, |_, _| String::new());

impl IntoDeltas for BatchEmbeddingOutput {
    fn into_deltas(mut self) -> Vec<(String, OutputDelta)> {
        let rids = self.rids.take().unwrap_or_default();
        let delta = |(i, rid): (usize, String)| {
            let delta = OutputDelta {
                finished: self.finished_reasons.get_mut(i).and_then(Option::take),
                counts: Counts {
                    prompt_tokens: at(&self.prompt_tokens, i),
                    cached_tokens: at(&self.cached_tokens, i),
                    num_retractions: self.retraction_counts.as_ref().map_or(0, |all| at(all, i)),
                    ..Counts::default()
                },
                embedding: self.embeddings.get_mut(i).map(std::mem::take).unwrap_or_default(),
                pooled_hidden_state: take(&mut self.pooled_hidden_states, i),
                times: take(&mut self.req_time_stats, i),
                ..OutputDelta::default()
            };
            (rid, delta)
        };
        rids.into_iter().enumerate().map(delta).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_message_is_split_by_request() {
        let times = ReqTimeStats { queue_duration_s: 0.5, ..Default::default() };
        let message = BatchStrOutput {
            rids: Some(vec!["a".into(), "b".into()]),
            finished_reasons: vec![None, Some(FinishReason::Length { length: 2 })],
            output_strs: vec!["x".into(), "yz".into()],
            output_ids: Some(vec![vec![1].into(), vec![2, 3].into()]),
            completion_tokens: vec![1, 2],
            output_offsets: Some(vec![4, 0]),
            req_time_stats: Some(vec![None, Some(times.clone())]),
            ..Default::default()
        };
        let deltas = message.into_deltas();
        assert_eq!(deltas[0].0, "a");
        assert_eq!((deltas[0].1.text.as_str(), deltas[0].1.offset), ("x", Some(4)));
        assert_eq!(deltas[1].1.output_ids, [2, 3]);
        assert_eq!(deltas[1].1.finished, Some(FinishReason::Length { length: 2 }));
        assert_eq!(deltas[1].1.counts.completion_tokens, 2);
        assert_eq!((&deltas[0].1.times, &deltas[1].1.times), (&None, &Some(times)));
    }

    #[test]
    fn vectors_are_split_by_request() {
        let message = BatchEmbeddingOutput {
            rids: Some(vec!["a".into(), "b".into()]),
            finished_reasons: vec![Some(FinishReason::Length { length: 0 }); 2],
            embeddings: vec![vec![1.0], vec![2.0, 3.0]],
            prompt_tokens: vec![4, 5],
            pooled_hidden_states: Some(vec![None, Some(vec![6.0])]),
            ..Default::default()
        };
        let deltas = message.into_deltas();
        assert_eq!((deltas[1].0.as_str(), deltas[1].1.embedding.as_slice()), ("b", [2.0, 3.0].as_slice()));
        assert_eq!(deltas[1].1.counts.prompt_tokens, 5);
        assert_eq!(deltas[1].1.pooled_hidden_state, Some(vec![6.0]));
        assert_eq!(deltas[0].1.pooled_hidden_state, None);
    }

    #[test]
    fn lists_that_are_too_short_count_as_absent() {
        let message = BatchStrOutput { rids: Some(vec!["a".into()]), ..Default::default() };
        let deltas = message.into_deltas();
        assert_eq!(deltas, [("a".into(), OutputDelta::default())]);
    }
}
