//! One step of the model, as data: what the scheduler asks for ([`ForwardBatch`]) and what comes back
//! ([`ForwardResult`]). Rank 0 of a tensor-parallel group plans; every rank runs the same batch.
//! Follows `ForwardBatch` of the reference's `model_executor/forward_batch_info.py`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::SamplingParams;
use crate::grammar::{GrammarEnd, GrammarHandle};

/// What kind of step this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForwardMode {
    /// Prefill: each request adds `extend_lens[i]` prompt tokens after `prefix_lens[i]` cached ones.
    Extend,
    /// Every request adds exactly one token.
    Decode,
    /// Prefill and decode rows in one batch (`--enable-mixed-chunk`); decode rows have an extend length of 1.
    Mixed,
}

/// The work of one step. Arrays are parallel over requests, or flat over all new tokens in request order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForwardBatch {
    /// Increasing number of the step.
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
    /// Flat new token ids. A negative id `-(r + 1)` stands for "the token sampled last for pool row `r`", which the
    /// worker knows and an overlapping scheduler does not know yet.
    pub input_ids: Vec<i64>,
    /// Flat KV slot of each new token.
    pub out_cache_loc: Vec<u32>,
    /// Rows of the `ReqToTokenPool` that the worker has not seen: slots of positions `0..prefix_lens[i]`.
    pub new_rows: Vec<NewRow>,
    /// Input log-probabilities wanted from this step.
    pub input_logprobs: Vec<InputLogprobSpec>,
    /// Hidden states wanted from this step, in the order of the requests.
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

/// A request that (re)enters the worker: it gets a pool row, its cached prefix and its sampling state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewRow {
    /// Row of the `ReqToTokenPool`.
    pub req_pool_idx: u32,
    /// KV slots of the positions before the first new token (cached prefix).
    pub prefix_slots: Vec<u32>,
    /// Everything the sampler needs to know about the request for as long as it holds the row.
    pub sampling: Arc<ReqSampling>,
    /// What is wanted of a request that gets a vector and no tokens.
    #[serde(default)]
    pub embedding: Option<Arc<EmbeddingSpec>>,
    /// Id of the adapter that the request is computed with.
    #[serde(default)]
    pub lora_id: Option<Arc<str>>,
}

/// What an embedding, classification or reranking request wants (reference: `TokenizedEmbeddingReqInput`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingSpec {
    /// Segment of each prompt token, for encoders that tell the two texts of a pair apart; empty when all are 0.
    pub token_type_ids: Vec<u32>,
    /// Columns of the vector that are kept (matryoshka embeddings, Kusupati et al., 2022); all without it.
    pub dimensions: Option<u32>,
    /// Whether the pooled hidden state in front of the model's head is wanted too.
    pub return_pooled_hidden_states: bool,
}

/// The vector of one request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Embedding {
    /// The embedding, or the classes' scores where the model has a head.
    pub values: Vec<f32>,
    /// The pooled hidden state in front of the head, when it was asked for and there is a head.
    pub pooled_hidden_state: Option<Vec<f32>>,
}

/// Per-request sampling state at the time it enters the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReqSampling {
    /// Normalised and verified parameters, with a seed.
    pub params: SamplingParams,
    /// Number of prompt tokens. Tokens after them are output tokens.
    pub prompt_len: u32,
    /// Output tokens so far (not empty when a retracted or recovered request resumes).
    pub output_ids: Vec<u32>,
    /// Ids that `min_new_tokens` suppresses: end-of-sequence ids and `stop_token_ids`.
    pub stop_token_ids: Vec<u32>,
    /// Whether output log-probabilities are wanted.
    pub return_logprob: bool,
    /// How many best tokens to report per position.
    pub top_logprobs_num: u32,
    /// Ids whose log-probability is reported at every position.
    pub token_ids_logprob: Vec<u32>,
    /// The grammar that the output follows. It stays in the process: only the rank that samples needs it.
    #[serde(skip)]
    pub grammar: Option<GrammarHandle>,
}

/// Log-probabilities of prompt tokens wanted from one request's extend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputLogprobSpec {
    /// Index of the request in the batch.
    pub req_index: u32,
    /// First new token (relative to this extend) whose output row is wanted.
    pub row_start: u32,
    /// For each wanted row, in order, the id whose log-probability is read: the token after it.
    pub targets: Vec<u32>,
    /// How many best tokens to report per row.
    pub top_logprobs_num: u32,
    /// Ids reported at every row.
    pub token_ids_logprob: Vec<u32>,
}

/// Hidden states wanted from one request's extend: the outputs of the last layer, after the final norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HiddenStatesSpec {
    /// Index of the request in the batch.
    pub req_index: u32,
    /// First new token (relative to this extend) whose hidden state is wanted; so are those of all after it.
    pub row_start: u32,
}

/// Hidden states of one request's extend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HiddenStateRows {
    /// Index of the request in the batch.
    pub req_index: u32,
    /// A vector for each token from the spec's `row_start` on.
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
    /// The chosen (or given) token's log-probability.
    pub logprob: f32,
    /// Best tokens, most likely first; ties by smaller id. Empty when none were asked for.
    pub top: Vec<TokenLogprob>,
    /// The asked-for ids, in the order they were asked for.
    pub token_ids: Vec<TokenLogprob>,
}

/// Input log-probabilities of one request's extend, a row per target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputLogprobs {
    /// Index of the request in the batch.
    pub req_index: u32,
    /// One entry per target of the [`InputLogprobSpec`].
    pub rows: Vec<PositionLogprobs>,
}

/// What a step gave back; arrays are parallel to the batch's requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ForwardResult {
    /// The batch this belongs to.
    pub forward_id: u64,
    /// Sampled token per request; `None` where `sample` was false.
    pub next_token_ids: Vec<Option<u32>>,
    /// Requests whose logits held NaN; their token is not to be trusted.
    pub nan: Vec<bool>,
    /// Output log-probabilities where the request wants them and a token was sampled (or `max_new_tokens` is 0).
    pub output_logprobs: Vec<Option<PositionLogprobs>>,
    /// Answers to the batch's `input_logprobs`, in the same order.
    pub input_logprobs: Vec<InputLogprobs>,
    /// Answers to the batch's `hidden_states`, in the same order.
    #[serde(default)]
    pub hidden_states: Vec<HiddenStateRows>,
    /// Vector of each request of an embedding model whose prompt has come to its end; empty on models that generate.
    #[serde(default)]
    pub embeddings: Vec<Option<Embedding>>,
    /// Requests whose grammar ends them with this token; empty when there is none, as from workers without grammars.
    #[serde(default)]
    pub grammar_ends: Vec<Option<GrammarEnd>>,
    /// Seconds the model itself ran.
    pub model_seconds: f64,
    /// Of these, seconds before the first layer: checking the batch, entering its rows.
    #[serde(default)]
    pub prepare_seconds: f64,
    /// Of these, seconds after the last layer: logits, log-probabilities and sampling.
    #[serde(default)]
    pub sample_seconds: f64,
}
