//! Requests to the scheduler.

use super::Attempt;
use crate::wire::{TokenIds, message, positional};
use crate::{CaptureHiddenMode, SamplingParams};

positional! {
    /// The session that a request continues, and the position in it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SessionParams {
        /// Session id.
        pub id: Option<String> = None,
        /// Id of the request of the session to continue.
        pub rid: Option<String> = None,
        /// Token position at which the new tokens are inserted.
        pub offset: Option<i64> = None,
        /// Whether to replace that request instead of appending to it.
        pub replace: Option<bool> = None,
        /// Whether to leave the previous output out of the prompt.
        pub drop_previous_output: Option<bool> = None,
    }
}

message! {
    /// A tokenized generation request (reference: `TokenizedGenerateReqInput`).
    #[derive(Clone, Debug, PartialEq)]
    pub struct TokenizedGenerateReqInput {
        /// Request id, unique among requests in flight.
        pub rid: String,
        unused(http_worker_ipc),
        /// Prompt text, for logs.
        pub input_text: Option<String>,
        /// Prompt ids, all inside the vocabulary.
        pub input_ids: Option<TokenIds>,
        unused(input_embeds, mm_inputs, token_type_ids),
        /// Normalized and verified parameters.
        pub sampling_params: SamplingParams,
        /// Whether log-probabilities are wanted.
        pub return_logprob: bool,
        /// First prompt position whose log-probability is wanted; -1 for none.
        pub logprob_start_len: i64,
        /// Number of most likely tokens to report per position.
        pub top_logprobs_num: i64,
        /// Ids to report at every position.
        pub token_ids_logprob: Option<Vec<u32>>,
        /// Whether output is streamed.
        pub stream: bool,
        unused(return_sampling_mask = false, return_flat_raw_top_logprobs = false),
        /// Which hidden states are wanted.
        pub return_hidden_states: CaptureHiddenMode = CaptureHiddenMode::Null,
        unused(return_routed_experts = false, routed_experts_start_len = 0, return_indexer_topk = false),
        /// Session id, as a short form of `session_params`.
        pub session_id: Option<String> = None,
        /// Session and position in it.
        pub session_params: Option<SessionParams> = None,
        /// Adapter id.
        pub lora_id: Option<String> = None,
        unused(custom_logit_processor, positional_embed_overrides, bootstrap_host, bootstrap_port, bootstrap_room, bootstrap_pair_key, decode_tp_size),
        /// Data-parallel rank to run on.
        pub routed_dp_rank: Option<i64> = None,
        unused(disagg_prefill_dp_rank),
        /// Key for the routing-key policy.
        pub routing_key: Option<String> = None,
        /// Whether the output starts with reasoning.
        pub require_reasoning: bool = false,
        /// Priority for `--enable-priority-scheduling`.
        pub priority: Option<i64> = None,
        /// Cache namespace chosen by the caller.
        pub extra_key: Option<String> = None,
        /// Whether to omit the request from logs.
        pub no_logs: bool = false,
        unused(return_bytes = false, return_entropy = false, need_wait_for_mm_inputs, num_items_assigned, encoder_urls, multi_item_delimiter_indices, token_indices_to_pool, time_stats),
        /// Cache namespace that isolates equal prefixes.
        pub cache_salt: Option<String> = None,
        unused(kv_hints, pp_prefetch_ticketed = false, sampling_logprobs_mode = "selected"),
        /// Adapter name.
        pub lora_name: Option<String> = None,
        own {
            /// The attempt that its outputs belong to.
            pub attempt: Option<Attempt> = None,
            /// Output ids that the client already has; generation continues after them.
            pub resumed_output_ids: Option<TokenIds> = None,
            /// Whether the request was accepted before; then the limits of the queue do not apply.
            pub resubmitted: bool = false,
            /// Whether the client already has the log-probabilities of the prompt.
            pub input_logprobs_sent: bool = false,
        }
    }
}

message! {
    /// Several tokenized requests in one frame, without the fields that the reference does not have.
    #[derive(Clone, Debug, PartialEq)]
    pub struct BatchTokenizedGenerateReqInput {
        unused(rids, http_worker_ipcs),
        /// The requests.
        pub batch: Vec<TokenizedGenerateReqInput>,
    }
}

message! {
    /// A tokenized embedding, classification or reranking request.
    #[derive(Clone, Debug, PartialEq)]
    pub struct TokenizedEmbeddingReqInput {
        /// Request id.
        pub rid: String,
        unused(http_worker_ipc),
        /// Text, for logs.
        pub input_text: Option<String>,
        /// Prompt ids.
        pub input_ids: Option<TokenIds>,
        unused(mm_inputs),
        /// Segment of each token, for cross-encoders.
        pub token_type_ids: Option<Vec<i64>>,
        /// Only for compatibility; nothing is sampled.
        pub sampling_params: SamplingParams,
        /// Adapter id.
        pub lora_id: Option<String> = None,
        unused(positional_embed_overrides),
        /// Data-parallel rank.
        pub routed_dp_rank: Option<i64> = None,
        /// Priority.
        pub priority: Option<i64> = None,
        /// Number of dimensions of the embedding (matryoshka).
        pub dimensions: Option<i64> = None,
        /// Whether to return the pooled hidden state before the head as well.
        pub return_pooled_hidden_states: bool = false,
        unused(multi_item_delimiter_indices, token_indices_to_pool, decision_layout, time_stats),
        /// Adapter name.
        pub lora_name: Option<String> = None,
        own {
            /// The attempt that its outputs belong to.
            pub attempt: Option<Attempt> = None,
            /// Whether the request was accepted before; then the limits of the queue do not apply.
            pub resubmitted: bool = false,
        }
    }
}

message! {
    /// Several tokenized embedding requests in one frame, without the fields that the reference does not have.
    #[derive(Clone, Debug, PartialEq)]
    pub struct BatchTokenizedEmbeddingReqInput {
        unused(rids, http_worker_ipcs),
        /// The requests.
        pub batch: Vec<TokenizedEmbeddingReqInput>,
    }
}
