//! Requests as the planner receives them.

use std::sync::Arc;

use sglang_proto::forward::EmbeddingSpec;
use sglang_proto::grammar::GrammarHandle;
use sglang_proto::messages::{Attempt, TokenizedEmbeddingReqInput, TokenizedGenerateReqInput};
use sglang_proto::{CaptureHiddenMode, SamplingParams};

/// Number of last prompt ids that are sent with a request's first output, as context for incremental decoding
/// (reference: `INIT_INCREMENTAL_DETOKENIZATION_OFFSET`).
pub const PROMPT_TAIL_LEN: usize = 5;

/// A generation or embedding request for [`crate::Planner::add_request`].
#[derive(Clone, Debug, PartialEq)]
pub struct NewRequest {
    /// Request id, unique among active requests.
    pub rid: String,
    /// Prompt; not empty, every id inside the vocabulary.
    pub input_ids: Vec<u32>,
    /// Normalized and verified parameters, with a seed.
    pub sampling_params: SamplingParams,
    /// Whether log-probabilities are wanted.
    pub return_logprob: bool,
    /// First prompt position whose log-probability is wanted; -1 for none.
    pub logprob_start_len: i64,
    /// Number of most likely tokens to report per position.
    pub top_logprobs_num: u32,
    /// Ids to report at every position.
    pub token_ids_logprob: Option<Vec<u32>>,
    /// Which hidden states are wanted.
    pub return_hidden_states: CaptureHiddenMode,
    /// Whether output is streamed.
    pub stream: bool,
    /// Priority, when priority scheduling is on.
    pub priority: Option<i64>,
    /// Cache namespace chosen by the caller.
    pub extra_key: Option<String>,
    /// Salt that isolates equal prefixes in the cache.
    pub cache_salt: Option<String>,
    /// LoRA adapter; each has a separate cache namespace.
    pub lora_id: Option<String>,
    /// Output that a previous scheduler process generated for the request; generation continues after it.
    pub resumed_output_ids: Vec<u32>,
    /// The grammar that the output follows, compiled.
    pub grammar: Option<GrammarHandle>,
    /// Set for embedding requests.
    pub embedding: Option<Arc<EmbeddingSpec>>,
    /// Time of arrival, if earlier than the call of [`crate::Planner::add_request`].
    pub received_at: Option<f64>,
    /// The attempt that its outputs belong to.
    pub attempt: Option<Attempt>,
    /// Whether the request was accepted before, possibly by an earlier process; then the limits of the queue do not
    /// apply.
    pub resubmitted: bool,
    /// Whether the client already has the log-probabilities of the prompt.
    pub input_logprobs_sent: bool,
}

impl NewRequest {
    /// A plain request with default parameters.
    pub fn new(rid: impl Into<String>, input_ids: Vec<u32>) -> Self {
        Self {
            rid: rid.into(),
            input_ids,
            sampling_params: SamplingParams::default(),
            return_logprob: false,
            logprob_start_len: -1,
            top_logprobs_num: 0,
            token_ids_logprob: None,
            return_hidden_states: CaptureHiddenMode::Null,
            stream: false,
            priority: None,
            extra_key: None,
            cache_salt: None,
            lora_id: None,
            resumed_output_ids: Vec::new(),
            grammar: None,
            embedding: None,
            received_at: None,
            attempt: None,
            resubmitted: false,
            input_logprobs_sent: false,
        }
    }

    /// An embedding request from its message.
    pub fn from_embedding_message(message: TokenizedEmbeddingReqInput) -> Self {
        let small = |n: i64| u32::try_from(n.max(0)).unwrap_or(u32::MAX);
        let input_ids = message.input_ids.map(|ids| ids.0).unwrap_or_default();
        let spec = EmbeddingSpec {
            token_type_ids: message.token_type_ids.into_iter().flatten().map(small).collect(),
            dimensions: message.dimensions.map(small),
            return_pooled_hidden_states: message.return_pooled_hidden_states,
        };
        Self {
            priority: message.priority,
            lora_id: message.lora_id,
            embedding: Some(Arc::new(spec)),
            attempt: message.attempt,
            resubmitted: message.resubmitted,
            ..Self::new(message.rid, input_ids)
        }
    }

    /// A generation request from its message. `seed` is used if the request has none. The caller compiles and adds the
    /// grammar.
    pub fn from_message(message: TokenizedGenerateReqInput, seed: u64) -> Self {
        let mut sampling_params = message.sampling_params;
        sampling_params.sampling_seed.get_or_insert(seed as i64);
        Self {
            rid: message.rid,
            input_ids: message.input_ids.map(|ids| ids.0).unwrap_or_default(),
            sampling_params,
            return_logprob: message.return_logprob,
            logprob_start_len: message.logprob_start_len,
            top_logprobs_num: u32::try_from(message.top_logprobs_num.max(0)).unwrap_or(u32::MAX),
            token_ids_logprob: message.token_ids_logprob,
            return_hidden_states: message.return_hidden_states,
            stream: message.stream,
            priority: message.priority,
            extra_key: message.extra_key,
            cache_salt: message.cache_salt,
            lora_id: message.lora_id,
            resumed_output_ids: message.resumed_output_ids.map(|ids| ids.0).unwrap_or_default(),
            grammar: None,
            embedding: None,
            received_at: None,
            attempt: message.attempt,
            resubmitted: message.resubmitted,
            input_logprobs_sent: message.input_logprobs_sent,
        }
    }
}

/// The constant properties of one attempt to serve a request, shared by all its [`crate::OutputEvent`]s.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestInfo {
    /// Request id.
    pub rid: Arc<str>,
    /// Number of prompt tokens.
    pub prompt_tokens: usize,
    /// Last prompt ids (at most [`PROMPT_TAIL_LEN`]), as context for decoding the first output.
    pub prompt_tail: Vec<u32>,
    /// The attempt that its outputs belong to.
    pub attempt: Option<Attempt>,
    /// Output ids that the request arrived with.
    pub resumed_output_ids: Vec<u32>,
    /// Whether output is streamed.
    pub stream: bool,
    /// Whether log-probabilities are wanted.
    pub return_logprob: bool,
    /// Number of most likely tokens to report per position.
    pub top_logprobs_num: u32,
    /// Ids to report at every position.
    pub token_ids_logprob: Option<Vec<u32>>,
    /// Which hidden states are wanted.
    pub return_hidden_states: CaptureHiddenMode,
    /// Whether to leave special tokens out of the text.
    pub skip_special_tokens: bool,
    /// Whether to put spaces between special tokens.
    pub spaces_between_special_tokens: bool,
    /// Whether to keep the matched stop string or token in the text.
    pub no_stop_trim: bool,
    /// Whether this is an embedding request.
    pub is_embedding: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_a_seed_gets_the_one_that_it_is_given() {
        let seed = |own: Option<i64>| {
            let mut message = TokenizedGenerateReqInput { rid: "a".into(), ..Default::default() };
            message.sampling_params.sampling_seed = own;
            NewRequest::from_message(message, u64::MAX).sampling_params.seed()
        };
        assert_eq!((seed(None), seed(Some(-7)), seed(Some(0))), (u64::MAX, (-7i64) as u64, 0));
    }
}
