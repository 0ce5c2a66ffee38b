//! Outputs on their way back: ids from the scheduler, text from the detokenizer. Lists are parallel over requests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FinishReason, ReqTimeStats, Unused};
use crate::HiddenStates;
use crate::wire::{TokenIds, message};

/// Log-probabilities per request and position; `None` where there is none.
pub type TokenLogprobValues = Option<Vec<Option<Vec<Option<f32>>>>>;
/// Token ids that go with [`TokenLogprobValues`].
pub type TokenLogprobIndices = Option<Vec<Option<Vec<Option<u32>>>>>;
/// Best (or asked-for) log-probabilities per request and position.
pub type TopLogprobValues = Option<Vec<Option<Vec<Option<Vec<f32>>>>>>;
/// Token ids that go with [`TopLogprobValues`].
pub type TopLogprobIndices = Option<Vec<Option<Vec<Option<Vec<u32>>>>>>;

/// New hidden states per request, a chunk for each new output id or the newest vector; `None` where none are wanted. The
/// reference sends those of all ids so far again and again.
pub type OutputHiddenStates = Option<Vec<Option<HiddenStates>>>;

/// Output positions `start..end` were made with weights `version`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightVersionSpan {
    /// Weight version label.
    pub version: String,
    /// First output position.
    pub start: u64,
    /// Position after the last.
    pub end: u64,
}

message! {
    /// New tokens of a batch, from the scheduler to the detokenizer.
    #[derive(Clone, Debug, PartialEq)]
    pub struct BatchTokenIDOutput {
        /// Request ids.
        pub rids: Option<Vec<String>>,
        /// Unused.
        pub http_worker_ipcs: Option<Vec<Option<String>>>,
        /// How each request ended; `None` while it goes on.
        pub finished_reasons: Vec<Option<FinishReason>>,
        /// Text decoded before (for a resumed request).
        pub decoded_texts: Vec<String>,
        /// New ids to decode; the first time they start with the last prompt ids, as context.
        pub decode_ids: Vec<TokenIds>,
        /// Where output starts in the first `decode_ids`.
        pub read_offsets: Vec<u64>,
        /// New output ids.
        pub output_ids: Option<Vec<TokenIds>>,
        /// Leave special tokens out of the text.
        pub skip_special_tokens: Vec<bool>,
        /// Spaces between special tokens.
        pub spaces_between_special_tokens: Vec<bool>,
        /// Keep the matched stop in the text.
        pub no_stop_trim: Vec<bool>,
        /// Prompt tokens.
        pub prompt_tokens: Vec<u64>,
        /// Output tokens inside reasoning.
        pub reasoning_tokens: Vec<u64>,
        /// Output tokens so far, over all lives of the request.
        pub completion_tokens: Vec<u64>,
        /// Prompt tokens that came from the cache.
        pub cached_tokens: Vec<u64>,
        /// Log-probabilities of prompt tokens.
        pub input_token_logprobs_val: TokenLogprobValues,
        /// Ids of prompt tokens.
        pub input_token_logprobs_idx: TokenLogprobIndices,
        /// Log-probabilities of new output tokens.
        pub output_token_logprobs_val: TokenLogprobValues,
        /// Ids of new output tokens.
        pub output_token_logprobs_idx: TokenLogprobIndices,
        /// Best log-probabilities per input position.
        pub input_top_logprobs_val: TopLogprobValues,
        /// Ids of those.
        pub input_top_logprobs_idx: TopLogprobIndices,
        /// Best log-probabilities per output position.
        pub output_top_logprobs_val: TopLogprobValues,
        /// Ids of those.
        pub output_top_logprobs_idx: TopLogprobIndices,
        /// Asked-for log-probabilities per input position.
        pub input_token_ids_logprobs_val: TopLogprobValues,
        /// Ids of those.
        pub input_token_ids_logprobs_idx: TopLogprobIndices,
        /// Asked-for log-probabilities per output position.
        pub output_token_ids_logprobs_val: TopLogprobValues,
        /// Ids of those.
        pub output_token_ids_logprobs_idx: TopLogprobIndices,
        /// Unused.
        pub output_token_entropy_val: Option<Vec<Option<f32>>>,
        /// Unused.
        pub output_token_sampling_mask: Unused,
        /// New hidden states; absent when no request of the batch wants any.
        pub output_hidden_states: OutputHiddenStates,
        /// Unused.
        pub routed_experts: Unused,
        /// Unused.
        pub indexer_topk: Unused,
        /// Unused.
        pub placeholder_tokens_idx: Unused,
        /// Unused.
        pub placeholder_tokens_val: Unused,
        ;
        /// How often each request was retracted.
        pub retraction_counts: Option<Vec<u64>> = None,
        /// Unused.
        pub beam_search_output: Unused = Unused,
        /// Weight versions per output span.
        pub weight_versions: Option<Vec<Option<Vec<WeightVersionSpan>>>> = None,
        /// Unused.
        pub token_steps: Option<Vec<Vec<i64>>> = None,
        /// Unused.
        pub customized_info: Unused = Unused,
        /// Where cached tokens came from.
        pub cached_tokens_details: Option<Vec<Option<BTreeMap<String, serde_json::Value>>>> = None,
        /// Rank that ran the request.
        pub dp_ranks: Option<Vec<Option<i64>>> = None,
        /// Unused: pickled Python object.
        pub time_stats: Unused = Unused,
        /// Unused.
        pub image_tokens: Option<Vec<i64>> = None,
        /// Unused.
        pub audio_tokens: Option<Vec<i64>> = None,
        /// Unused.
        pub video_tokens: Option<Vec<i64>> = None,
        /// Unused.
        pub spec_verify_ct: Option<Vec<i64>> = None,
        /// Unused.
        pub spec_num_correct_drafts: Option<Vec<i64>> = None,
        /// Unused.
        pub spec_num_block_accept_tokens: Option<Vec<i64>> = None,
        /// Unused.
        pub spec_num_cap_tokens: Option<Vec<i64>> = None,
        /// Unused.
        pub spec_correct_drafts_histogram: Option<Vec<Vec<i64>>> = None,
        /// Unused.
        pub spec_cap_lens_histogram: Option<Vec<Vec<i64>>> = None,
        /// Unused.
        pub input_top_logprobs_val_flat: Unused = Unused,
        /// Unused.
        pub input_top_logprobs_idx_flat: Unused = Unused,
        /// Unused.
        pub input_top_logprobs_flat_null_prefix: Option<Vec<Option<i64>>> = None,
        /// Our own, after the reference's last field: position in the output of the first new id of each request, so that a gap or a repeat is seen.
        pub output_offsets: Option<Vec<u64>> = None,
        /// Our own: the times of those requests that have new ones, with `--enable-metrics`.
        pub req_time_stats: Option<Vec<Option<ReqTimeStats>>> = None,
    }
}

message! {
    /// New text of a batch, from the detokenizer to the tokenizer manager.
    #[derive(Clone, Debug, PartialEq)]
    pub struct BatchStrOutput {
        /// Request ids.
        pub rids: Option<Vec<String>>,
        /// Unused.
        pub http_worker_ipcs: Option<Vec<Option<String>>>,
        /// How each request ended; `None` while it goes on.
        pub finished_reasons: Vec<Option<FinishReason>>,
        /// New text.
        pub output_strs: Vec<String>,
        /// New output ids.
        pub output_ids: Option<Vec<TokenIds>>,
        /// Prompt tokens.
        pub prompt_tokens: Vec<u64>,
        /// Output tokens so far, over all lives of the request.
        pub completion_tokens: Vec<u64>,
        /// Output tokens inside reasoning.
        pub reasoning_tokens: Vec<u64>,
        /// Prompt tokens that came from the cache.
        pub cached_tokens: Vec<u64>,
        /// Log-probabilities of prompt tokens.
        pub input_token_logprobs_val: TokenLogprobValues,
        /// Ids of prompt tokens.
        pub input_token_logprobs_idx: TokenLogprobIndices,
        /// Log-probabilities of new output tokens.
        pub output_token_logprobs_val: TokenLogprobValues,
        /// Ids of new output tokens.
        pub output_token_logprobs_idx: TokenLogprobIndices,
        /// Best log-probabilities per input position.
        pub input_top_logprobs_val: TopLogprobValues,
        /// Ids of those.
        pub input_top_logprobs_idx: TopLogprobIndices,
        /// Best log-probabilities per output position.
        pub output_top_logprobs_val: TopLogprobValues,
        /// Ids of those.
        pub output_top_logprobs_idx: TopLogprobIndices,
        /// Asked-for log-probabilities per input position.
        pub input_token_ids_logprobs_val: TopLogprobValues,
        /// Ids of those.
        pub input_token_ids_logprobs_idx: TopLogprobIndices,
        /// Asked-for log-probabilities per output position.
        pub output_token_ids_logprobs_val: TopLogprobValues,
        /// Ids of those.
        pub output_token_ids_logprobs_idx: TopLogprobIndices,
        /// Unused.
        pub output_token_entropy_val: Option<Vec<Option<f32>>>,
        /// Unused.
        pub output_token_sampling_mask: Unused,
        /// New hidden states; absent when no request of the batch wants any.
        pub output_hidden_states: OutputHiddenStates,
        /// Unused.
        pub routed_experts: Unused,
        /// Unused.
        pub indexer_topk: Unused,
        /// Unused.
        pub placeholder_tokens_idx: Unused,
        /// Unused.
        pub placeholder_tokens_val: Unused,
        ;
        /// How often each request was retracted.
        pub retraction_counts: Option<Vec<u64>> = None,
        /// Unused.
        pub beam_search_output: Unused = Unused,
        /// Weight versions per output span.
        pub weight_versions: Option<Vec<Option<Vec<WeightVersionSpan>>>> = None,
        /// Unused.
        pub token_steps: Option<Vec<Vec<i64>>> = None,
        /// Unused.
        pub customized_info: Unused = Unused,
        /// Where cached tokens came from.
        pub cached_tokens_details: Option<Vec<Option<BTreeMap<String, serde_json::Value>>>> = None,
        /// Rank that ran the request.
        pub dp_ranks: Option<Vec<Option<i64>>> = None,
        /// Unused: pickled Python object.
        pub time_stats: Unused = Unused,
        /// Unused.
        pub image_tokens: Option<Vec<i64>> = None,
        /// Unused.
        pub audio_tokens: Option<Vec<i64>> = None,
        /// Unused.
        pub video_tokens: Option<Vec<i64>> = None,
        /// Unused.
        pub spec_verify_ct: Option<Vec<i64>> = None,
        /// Unused.
        pub spec_num_correct_drafts: Option<Vec<i64>> = None,
        /// Unused.
        pub spec_num_block_accept_tokens: Option<Vec<i64>> = None,
        /// Unused.
        pub spec_num_cap_tokens: Option<Vec<i64>> = None,
        /// Unused.
        pub spec_correct_drafts_histogram: Option<Vec<Vec<i64>>> = None,
        /// Unused.
        pub spec_cap_lens_histogram: Option<Vec<Vec<i64>>> = None,
        /// Unused.
        pub input_top_logprobs_val_flat: Unused = Unused,
        /// Unused.
        pub input_top_logprobs_idx_flat: Unused = Unused,
        /// Unused.
        pub input_top_logprobs_flat_null_prefix: Option<Vec<Option<i64>>> = None,
        /// Our own, after the reference's last field: position in the output of the first new id of each request, so that a gap or a repeat is seen.
        pub output_offsets: Option<Vec<u64>> = None,
        /// Our own: the times of those requests that have new ones, with `--enable-metrics`.
        pub req_time_stats: Option<Vec<Option<ReqTimeStats>>> = None,
    }
}

message! {
    /// Finished embeddings of a batch.
    #[derive(Clone, Debug, PartialEq)]
    pub struct BatchEmbeddingOutput {
        /// Request ids.
        pub rids: Option<Vec<String>>,
        /// Unused.
        pub http_worker_ipcs: Option<Vec<Option<String>>>,
        /// How each request ended; `None` while it goes on.
        pub finished_reasons: Vec<Option<FinishReason>>,
        /// One vector per request.
        pub embeddings: Vec<Vec<f32>>,
        /// Prompt tokens.
        pub prompt_tokens: Vec<u64>,
        /// Prompt tokens that came from the cache.
        pub cached_tokens: Vec<u64>,
        /// Unused.
        pub placeholder_tokens_idx: Unused,
        /// Unused.
        pub placeholder_tokens_val: Unused,
        ;
        /// How often each request was retracted.
        pub retraction_counts: Option<Vec<u64>> = None,
        /// Where cached tokens came from.
        pub cached_tokens_details: Option<Vec<Option<BTreeMap<String, serde_json::Value>>>> = None,
        /// Unused: pickled Python object.
        pub time_stats: Unused = Unused,
        /// Pooled hidden states of the requests that want them.
        pub pooled_hidden_states: Option<Vec<Option<Vec<f32>>>> = None,
        /// Our own, after the reference's last field: the times of the requests, with `--enable-metrics`.
        pub req_time_stats: Option<Vec<Option<ReqTimeStats>>> = None,
    }
}
