//! Input ([`ForwardBatch`]) and output ([`ForwardResult`]) of one step of the model. Rank 0 of a tensor-parallel group
//! plans; every rank runs the same batch. Follows `ForwardBatch` of the reference's
//! `model_executor/forward_batch_info.py`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::SamplingParams;
use crate::grammar::{GrammarEnd, GrammarHandle};

/// Kind of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForwardMode {
    /// Prefill: request `i` adds `extend_lens[i]` prompt tokens after `prefix_lens[i]` cached ones.
    Extend,
    /// Every request adds exactly one token.
    Decode,
    /// Prefill and decode rows in one batch (`--enable-mixed-chunk`); decode rows have an extend length of 1.
    Mixed,
}

/// The work of one step. Each array has one entry per request, or one per new token in the order of the requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForwardBatch {
    /// Id of the step; ids increase.
    pub forward_id: u64,
    /// Kind of the step.
    pub mode: ForwardMode,
    /// Row of the `ReqToTokenPool` of each request.
    pub req_pool_indices: Vec<u32>,
    /// Tokens already in the KV pool, per request: the position of its first new token.
    pub prefix_lens: Vec<u32>,
    /// New tokens of this step, per request (1 when decoding).
    pub extend_lens: Vec<u32>,
    /// Whether the last position of the request yields a sampled token (false for a chunk that is not the last).
    pub sample: Vec<bool>,
    /// All new token ids. A negative id `-(r + 1)` means the token sampled last for pool row `r`: an overlapping
    /// scheduler does not know it yet, but the worker does.
    pub input_ids: Vec<i64>,
    /// KV slot of each new token.
    pub out_cache_loc: Vec<u32>,
    /// Rows of the `ReqToTokenPool` that the worker has not seen: slots of positions `0..prefix_lens[i]`.
    pub new_rows: Vec<NewRow>,
    /// Input log-probabilities to compute in this step.
    pub input_logprobs: Vec<InputLogprobSpec>,
    /// Hidden states to return from this step, in the order of the requests.
    #[serde(default)]
    pub hidden_states: Vec<HiddenStatesSpec>,
}

impl ForwardBatch {
    /// Number of requests.
    pub fn num_reqs(&self) -> usize {
        self.req_pool_indices.len()
    }

    /// Number of new tokens over all requests.
    pub fn num_tokens(&self) -> usize {
        self.input_ids.len()
    }
}

/// A request that enters or re-enters the worker, with its pool row, cached prefix and sampling state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewRow {
    /// Row of the `ReqToTokenPool`.
    pub req_pool_idx: u32,
    /// KV slots of the positions before the first new token (cached prefix).
    pub prefix_slots: Vec<u32>,
    /// Sampling state; valid while the request holds the row.
    pub sampling: Arc<ReqSampling>,
    /// Set for embedding requests, which generate no tokens.
    #[serde(default)]
    pub embedding: Option<Arc<EmbeddingSpec>>,
    /// Id of the request's LoRA adapter.
    #[serde(default)]
    pub lora_id: Option<Arc<str>>,
}

/// Options of an embedding, classification or reranking request (reference: `TokenizedEmbeddingReqInput`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingSpec {
    /// Segment of each prompt token, for encoders that distinguish the two texts of a pair; empty if all are 0.
    pub token_type_ids: Vec<u32>,
    /// Number of dimensions to keep (matryoshka embeddings, Kusupati et al., 2022); `None` keeps all.
    pub dimensions: Option<u32>,
    /// Whether to return the pooled hidden state before the model's head as well.
    pub return_pooled_hidden_states: bool,
}

/// Embedding of one request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Embedding {
    /// The embedding, or the scores of the classes if the model has a head.
    pub values: Vec<f32>,
    /// The pooled hidden state before the head, if the request wants it and the model has a head.
    pub pooled_hidden_state: Option<Vec<f32>>,
}

/// Sampling state of a request when it enters the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReqSampling {
    /// Normalized and verified parameters, with a seed.
    pub params: SamplingParams,
    /// Number of prompt tokens. Tokens after them are output tokens.
    pub prompt_len: u32,
    /// Output tokens so far (not empty when a retracted or recovered request resumes).
    pub output_ids: Vec<u32>,
    /// Ids to suppress until `min_new_tokens` is reached: end-of-sequence ids and `stop_token_ids`.
    pub stop_token_ids: Vec<u32>,
    /// Whether output log-probabilities are wanted.
    pub return_logprob: bool,
    /// Number of most likely tokens to report per position.
    pub top_logprobs_num: u32,
    /// Ids to report at every position.
    pub token_ids_logprob: Vec<u32>,
    /// The grammar that the output follows. It is not serialized, because only the rank that samples needs it.
    #[serde(skip)]
    pub grammar: Option<GrammarHandle>,
}

/// Log-probabilities of prompt tokens to compute for one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputLogprobSpec {
    /// Index of the request in the batch.
    pub req_index: u32,
    /// Index of the first new token whose output row is needed, counted from the first new token of this step.
    pub row_start: u32,
    /// For each row, the id whose log-probability is reported: the token after it.
    pub targets: Vec<u32>,
    /// Number of most likely tokens to report per row.
    pub top_logprobs_num: u32,
    /// Ids to report in every row.
    pub token_ids_logprob: Vec<u32>,
}

/// Hidden states to return for one request: the outputs of the last layer, after the final norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HiddenStatesSpec {
    /// Index of the request in the batch.
    pub req_index: u32,
    /// Index of the first new token whose hidden state is returned, counted from the first new token of this step. The
    /// states of all later ones are returned too.
    pub row_start: u32,
}

/// Hidden states of one request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HiddenStateRows {
    /// Index of the request in the batch.
    pub req_index: u32,
    /// One vector per token, starting at the spec's `row_start`.
    pub rows: Vec<Vec<f32>>,
}

/// A token and its natural log-probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// Token id.
    pub id: u32,
    /// Natural logarithm of its probability.
    pub logprob: f32,
}

/// Log-probabilities at one position.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PositionLogprobs {
    /// Log-probability of the sampled token, or of the given prompt token.
    pub logprob: f32,
    /// Most likely tokens, the best first; equal ones by smaller id. Empty if not requested.
    pub top: Vec<TokenLogprob>,
    /// The requested ids, in the order of the request.
    pub token_ids: Vec<TokenLogprob>,
}

/// Input log-probabilities of one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputLogprobs {
    /// Index of the request in the batch.
    pub req_index: u32,
    /// One entry per target of the [`InputLogprobSpec`].
    pub rows: Vec<PositionLogprobs>,
}

/// Result of a step. Arrays have one entry per request of the batch, unless stated otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ForwardResult {
    /// Id of the step.
    pub forward_id: u64,
    /// Sampled token per request; `None` where `sample` was false.
    pub next_token_ids: Vec<Option<u32>>,
    /// Whether the request's logits contained NaN; then its token is meaningless.
    pub nan: Vec<bool>,
    /// Output log-probabilities, if the request wants them and a token was sampled (or `max_new_tokens` is 0).
    pub output_logprobs: Vec<Option<PositionLogprobs>>,
    /// Results for the batch's `input_logprobs`, in the same order.
    pub input_logprobs: Vec<InputLogprobs>,
    /// Results for the batch's `hidden_states`, in the same order.
    #[serde(default)]
    pub hidden_states: Vec<HiddenStateRows>,
    /// Embedding of each request whose prompt is complete; empty for generating models.
    #[serde(default)]
    pub embeddings: Vec<Option<Embedding>>,
    /// How each request's grammar ends it with this token, if it does; empty if none ends.
    #[serde(default)]
    pub grammar_ends: Vec<Option<GrammarEnd>>,
    /// Seconds that the model ran.
    pub model_seconds: f64,
    /// Part of them, in seconds, before the first layer: checking the batch and adding new rows.
    #[serde(default)]
    pub prepare_seconds: f64,
    /// Part of them, in seconds, after the last layer: logits, log-probabilities and sampling.
    #[serde(default)]
    pub sample_seconds: f64,
}
