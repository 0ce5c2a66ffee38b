//! Requests as they enter the planner.

use std::sync::Arc;

use sglang_proto::forward::EmbeddingSpec;
use sglang_proto::grammar::GrammarHandle;
use sglang_proto::messages::{TokenizedEmbeddingReqInput, TokenizedGenerateReqInput};
use sglang_proto::{CaptureHiddenMode, SamplingParams};

use crate::PlannerError;

/// Prompt ids that go out with a request's first output, as context for incremental decoding (reference:
/// `INIT_INCREMENTAL_DETOKENIZATION_OFFSET`).
pub const PROMPT_TAIL_LEN: usize = 5;

/// A generation or embedding request for [`crate::Planner::add_request`].
#[derive(Clone, Debug, PartialEq)]
pub struct NewRequest {
    /// Request id, unique among live requests.
    pub rid: String,
    /// Prompt; not empty, every id inside the vocabulary.
    pub input_ids: Vec<u32>,
    /// Normalised and verified parameters.
    pub sampling_params: SamplingParams,
    /// Seed of the request's draws when `sampling_params.sampling_seed` is absent.
    pub seed: u64,
    /// Whether log-probabilities are wanted.
    pub return_logprob: bool,
    /// First prompt position whose log-probability is wanted; -1 for none.
    pub logprob_start_len: i64,
    /// Best tokens to report per position.
    pub top_logprobs_num: u32,
    /// Ids to report at every position.
    pub token_ids_logprob: Option<Vec<u32>>,
    /// Which hidden states are wanted.
    pub return_hidden_states: CaptureHiddenMode,
    /// Whether output is wanted as it is made.
    pub stream: bool,
    /// Priority, when priority scheduling is on.
    pub priority: Option<i64>,
    /// Cache namespace chosen by the caller.
    pub extra_key: Option<String>,
    /// Cache namespace that isolates equal prefixes.
    pub cache_salt: Option<String>,
    /// Adapter; a cache namespace of its own.
    pub lora_id: Option<String>,
    /// Output made in an earlier life of the request; generation goes on after it.
    pub resumed_output_ids: Vec<u32>,
    /// The grammar that the output follows, compiled.
    pub grammar: Option<GrammarHandle>,
    /// Set when a vector is wanted, and no tokens.
    pub embedding: Option<Arc<EmbeddingSpec>>,
    /// When it arrived, if that was before it was added.
    pub received_at: Option<f64>,
}

impl NewRequest {
    /// A plain request with default parameters.
    pub fn new(rid: impl Into<String>, input_ids: Vec<u32>) -> Self {
        Self {
            rid: rid.into(),
            input_ids,
            sampling_params: SamplingParams::default(),
            seed: 0,
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
        }
    }

    /// An embedding request from its message.
    ///
    /// # Errors
    /// [`PlannerError::MissingRid`].
    pub fn from_embedding_message(message: TokenizedEmbeddingReqInput) -> Result<Self, PlannerError> {
        let small = |n: i64| u32::try_from(n.max(0)).unwrap_or(u32::MAX);
        let input_ids = message.input_ids.map(|ids| ids.0).unwrap_or_default();
        let spec = EmbeddingSpec {
            token_type_ids: message.token_type_ids.into_iter().flatten().map(small).collect(),
            dimensions: message.dimensions.map(small),
            return_pooled_hidden_states: message.return_pooled_hidden_states,
        };
        Ok(Self {
            priority: message.priority,
            lora_id: message.lora_id,
            embedding: Some(Arc::new(spec)),
            ..Self::new(message.rid.ok_or(PlannerError::MissingRid)?, input_ids)
        })
    }

    /// From the message; `seed` is used when the request brings none. A grammar is the caller's to compile and add.
    ///
    /// # Errors
    /// [`PlannerError::MissingRid`].
    pub fn from_message(message: TokenizedGenerateReqInput, seed: u64) -> Result<Self, PlannerError> {
        Ok(Self {
            rid: message.rid.ok_or(PlannerError::MissingRid)?,
            input_ids: message.input_ids.map(|ids| ids.0).unwrap_or_default(),
            sampling_params: message.sampling_params,
            seed,
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
        })
    }
}

/// What stays the same over a request's life; shared by all its [`crate::OutputEvent`]s.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestInfo {
    /// Request id.
    pub rid: Arc<str>,
    /// Number of prompt tokens.
    pub prompt_tokens: usize,
    /// Last prompt ids (at most [`PROMPT_TAIL_LEN`]), as context for decoding the first output.
    pub prompt_tail: Vec<u32>,
    /// Output ids that the request came with.
    pub resumed_output_ids: Vec<u32>,
    /// Whether output is wanted as it is made.
    pub stream: bool,
    /// Whether log-probabilities are wanted.
    pub return_logprob: bool,
    /// Best tokens to report per position.
    pub top_logprobs_num: u32,
    /// Ids to report at every position.
    pub token_ids_logprob: Option<Vec<u32>>,
    /// Which hidden states are wanted.
    pub return_hidden_states: CaptureHiddenMode,
    /// Leave special tokens out of the text.
    pub skip_special_tokens: bool,
    /// Put spaces between special tokens.
    pub spaces_between_special_tokens: bool,
    /// Keep the matched stop in the text.
    pub no_stop_trim: bool,
    /// Whether a vector is wanted instead of tokens.
    pub is_embedding: bool,
}
