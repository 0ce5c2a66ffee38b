//! Outputs: ids from the scheduler, text from the detokenizer, and embeddings. Inside a process, an output is one row
//! per request; on the wire, a batch consists of the reference's parallel lists. Only [`batch`] knows both forms.

mod batch;
mod columns;
mod entry;
mod logprobs;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Attempt, FinishReason, ReqTimeStats};
use crate::HiddenStates;
use crate::wire::TokenIds;

pub use batch::{BatchEmbeddingOutput, BatchStrOutput, BatchTokenIDOutput};
pub use logprobs::{Logprobs, TokenLogprob, TopLogprobs};

/// Output positions `start..end` were generated with the weights `version`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightVersionSpan {
    /// Weight version label.
    pub version: String,
    /// First output position.
    pub start: u64,
    /// Position after the last.
    pub end: u64,
}

/// Token counts of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Prompt tokens.
    pub prompt_tokens: u64,
    /// Output tokens so far, over all attempts, including a stop token.
    pub completion_tokens: u64,
    /// Output tokens of the reasoning.
    pub reasoning_tokens: u64,
    /// Prompt tokens that came from the cache.
    pub cached_tokens: u64,
    /// How often the request was retracted.
    pub num_retractions: u64,
}

/// New output of one request. The scheduler creates it, the detokenizer passes it on, and the tokenizer manager adds it
/// to the request's earlier output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationOutput {
    /// Request id.
    pub rid: String,
    /// How the request ended; `None` while it runs.
    pub finished_reason: Option<FinishReason>,
    /// New output ids.
    pub output_ids: TokenIds,
    /// Position of the first new id in the output, to detect gaps and repetitions. `None` from the reference's
    /// scheduler.
    pub output_offset: Option<u64>,
    /// The attempt that it belongs to. `None` from or for a process of the reference.
    pub attempt: Option<Attempt>,
    /// Counts so far.
    pub counts: Counts,
    /// New log-probabilities, if the request wants them.
    pub logprobs: Option<Box<Logprobs>>,
    /// New hidden states, if the request wants them: one chunk per new output id, or the latest vector. The reference
    /// instead repeats those of all ids every time.
    pub hidden_states: Option<HiddenStates>,
    /// Weight versions of the output; only in the last output.
    pub weight_versions: Option<Vec<WeightVersionSpan>>,
    /// Sources of the cached tokens.
    pub cached_tokens_details: Option<BTreeMap<String, serde_json::Value>>,
    /// Rank that ran the request.
    pub dp_rank: Option<i64>,
    /// New timestamps of the scheduler, with `--enable-metrics`.
    pub time_stats: Option<ReqTimeStats>,
}

/// New tokens of one request, and how to decode them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenIdOutput {
    /// What the detokenizer passes on.
    pub output: GenerationOutput,
    /// New ids to decode. In the first output of a request, the last prompt ids precede them as context.
    pub decode_ids: TokenIds,
    /// Where the output starts in the first `decode_ids`.
    pub read_offset: u64,
    /// Whether to leave special tokens out of the text.
    pub skip_special_tokens: bool,
    /// Whether to put spaces between special tokens.
    pub spaces_between_special_tokens: bool,
    /// Whether to keep the matched stop string or token in the text.
    pub no_stop_trim: bool,
}

/// New text of one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StrOutput {
    /// The output of the scheduler.
    pub output: GenerationOutput,
    /// New text; empty without a tokenizer.
    pub text: String,
}

/// The finished embedding of one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbeddingOutput {
    /// Request id.
    pub rid: String,
    /// How the request ended; `None` while it runs.
    pub finished_reason: Option<FinishReason>,
    /// The embedding, or the scores of the classes.
    pub embedding: Vec<f32>,
    /// Token counts.
    pub counts: Counts,
    /// Sources of the cached tokens.
    pub cached_tokens_details: Option<BTreeMap<String, serde_json::Value>>,
    /// The pooled hidden state before the model's head, if the request wants it.
    pub pooled_hidden_state: Option<Vec<f32>>,
    /// Timestamps of the scheduler, with `--enable-metrics`.
    pub time_stats: Option<ReqTimeStats>,
    /// The attempt that it belongs to. `None` for a process of the reference.
    pub attempt: Option<Attempt>,
}
