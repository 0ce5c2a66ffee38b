//! Requests on their way to the scheduler.

use super::{Attempt, Unused};
use crate::wire::{TokenIds, message, positional};
use crate::{CaptureHiddenMode, SamplingParams};

positional! {
    /// Which session, and where in it, a request continues.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SessionParams {
        /// Session id.
        pub id: Option<String> = None,
        /// Request within the session to continue from.
        pub rid: Option<String> = None,
        /// Token position where the new tokens go.
        pub offset: Option<i64> = None,
        /// Replace that request instead of appending to it.
        pub replace: Option<bool> = None,
        /// Leave the previous output out of the context.
        pub drop_previous_output: Option<bool> = None,
    }
}

message! {
    /// A tokenized generation request (reference: `TokenizedGenerateReqInput`).
    #[derive(Clone, Debug, PartialEq)]
    pub struct TokenizedGenerateReqInput {
        /// Request id, unique among requests in flight.
        pub rid: Option<String>,
        /// Unused: one HTTP worker.
        pub http_worker_ipc: Option<String>,
        /// Prompt text, for logs.
        pub input_text: Option<String>,
        /// Prompt ids, all inside the vocabulary.
        pub input_ids: Option<TokenIds>,
        /// Unused: embeddings as input.
        pub input_embeds: Unused,
        /// Unused: multimodal input.
        pub mm_inputs: Unused,
        /// Unused on decoders.
        pub token_type_ids: Option<Vec<i64>>,
        /// Normalised and verified parameters.
        pub sampling_params: SamplingParams,
        /// Whether log-probabilities are wanted.
        pub return_logprob: bool,
        /// First prompt position whose log-probability is wanted; -1 for none.
        pub logprob_start_len: i64,
        /// Best tokens to report per position.
        pub top_logprobs_num: i64,
        /// Ids to report at every position.
        pub token_ids_logprob: Option<Vec<u32>>,
        /// Whether output goes out as it is made.
        pub stream: bool,
        ;
        /// Unused.
        pub return_sampling_mask: bool = false,
        /// Unused.
        pub return_flat_raw_top_logprobs: bool = false,
        /// Which hidden states are wanted.
        pub return_hidden_states: CaptureHiddenMode = CaptureHiddenMode::Null,
        /// Unused.
        pub return_routed_experts: bool = false,
        /// Unused.
        pub routed_experts_start_len: i64 = 0,
        /// Unused.
        pub return_indexer_topk: bool = false,
        /// Session id (short form).
        pub session_id: Option<String> = None,
        /// Session position.
        pub session_params: Option<SessionParams> = None,
        /// Adapter id.
        pub lora_id: Option<String> = None,
        /// Unused.
        pub custom_logit_processor: Option<String> = None,
        /// Unused.
        pub positional_embed_overrides: Unused = Unused,
        /// Unused.
        pub bootstrap_host: Option<String> = None,
        /// Unused.
        pub bootstrap_port: Option<i64> = None,
        /// Unused.
        pub bootstrap_room: Option<i64> = None,
        /// Unused.
        pub bootstrap_pair_key: Option<String> = None,
        /// Unused.
        pub decode_tp_size: Option<i64> = None,
        /// Data-parallel rank to run on.
        pub routed_dp_rank: Option<i64> = None,
        /// Unused.
        pub disagg_prefill_dp_rank: Option<i64> = None,
        /// Key of the routing-key policy.
        pub routing_key: Option<String> = None,
        /// Unused.
        pub require_reasoning: bool = false,
        /// Priority for `--enable-priority-scheduling`.
        pub priority: Option<i64> = None,
        /// Cache namespace chosen by the caller.
        pub extra_key: Option<String> = None,
        /// Keep this request out of the logs.
        pub no_logs: bool = false,
        /// Unused.
        pub return_bytes: bool = false,
        /// Unused.
        pub return_entropy: bool = false,
        /// Unused.
        pub need_wait_for_mm_inputs: Option<bool> = None,
        /// Unused.
        pub num_items_assigned: Unused = Unused,
        /// Unused.
        pub encoder_urls: Option<Vec<String>> = None,
        /// Unused.
        pub multi_item_delimiter_indices: Option<Vec<i64>> = None,
        /// Unused.
        pub token_indices_to_pool: Option<Vec<i64>> = None,
        /// Unused: pickled Python object.
        pub time_stats: Unused = Unused,
        /// Cache namespace that isolates equal prefixes.
        pub cache_salt: Option<String> = None,
        /// Unused.
        pub kv_hints: Unused = Unused,
        /// Unused.
        pub pp_prefetch_ticketed: bool = false,
        /// Unused.
        pub sampling_logprobs_mode: String = "selected".into(),
        /// Adapter name.
        pub lora_name: Option<String> = None,
        ;
        own {
            /// The try that its outputs belong to.
            pub attempt: Option<Attempt> = None,
            /// Output ids that the client has; the scheduler goes on after them.
            pub resumed_output_ids: Option<TokenIds> = None,
        }
    }
}

message! {
    /// Several tokenized requests in one frame. Our own fields of a request do not travel in it.
    #[derive(Clone, Debug, PartialEq)]
    pub struct BatchTokenizedGenerateReqInput {
        /// Unused.
        pub rids: Option<Vec<String>>,
        /// Unused.
        pub http_worker_ipcs: Option<Vec<Option<String>>>,
        /// The requests.
        pub batch: Vec<TokenizedGenerateReqInput>,
        ;
    }
}

message! {
    /// A tokenized embedding, classification or reranking request.
    #[derive(Clone, Debug, PartialEq)]
    pub struct TokenizedEmbeddingReqInput {
        /// Request id.
        pub rid: Option<String>,
        /// Unused.
        pub http_worker_ipc: Option<String>,
        /// Text, for logs.
        pub input_text: Option<String>,
        /// Prompt ids.
        pub input_ids: Option<TokenIds>,
        /// Unused.
        pub mm_inputs: Unused,
        /// Segment of each token, for cross-encoders.
        pub token_type_ids: Option<Vec<i64>>,
        /// For compatibility; nothing is sampled.
        pub sampling_params: SamplingParams,
        ;
        /// Adapter id.
        pub lora_id: Option<String> = None,
        /// Unused.
        pub positional_embed_overrides: Unused = Unused,
        /// Data-parallel rank.
        pub routed_dp_rank: Option<i64> = None,
        /// Priority.
        pub priority: Option<i64> = None,
        /// Wanted embedding size (matryoshka).
        pub dimensions: Option<i64> = None,
        /// Whether the hidden state in front of the head is wanted too.
        pub return_pooled_hidden_states: bool = false,
        /// Unused.
        pub multi_item_delimiter_indices: Option<Vec<i64>> = None,
        /// Unused.
        pub token_indices_to_pool: Option<Vec<i64>> = None,
        /// Unused.
        pub decision_layout: Option<Vec<i64>> = None,
        /// Unused: pickled Python object.
        pub time_stats: Unused = Unused,
        /// Adapter name.
        pub lora_name: Option<String> = None,
        ;
        own {
            /// The try that its outputs belong to.
            pub attempt: Option<Attempt> = None,
        }
    }
}

message! {
    /// Several tokenized embedding requests in one frame. Our own fields of a request do not travel in it.
    #[derive(Clone, Debug, PartialEq)]
    pub struct BatchTokenizedEmbeddingReqInput {
        /// Unused.
        pub rids: Option<Vec<String>>,
        /// Unused.
        pub http_worker_ipcs: Option<Vec<Option<String>>>,
        /// The requests.
        pub batch: Vec<TokenizedEmbeddingReqInput>,
        ;
    }
}
