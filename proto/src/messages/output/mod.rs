//! Outputs on their way back: ids from the scheduler, text from the detokenizer, vectors. Inside a process an output is a
//! row, one per request; on the wire a batch is the reference's parallel lists. [`batch`] alone knows both forms.

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

/// Token counts of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Prompt tokens.
    pub prompt_tokens: u64,
    /// Output tokens so far, over all lives of the request, a stop token included.
    pub completion_tokens: u64,
    /// Output tokens inside reasoning.
    pub reasoning_tokens: u64,
    /// Prompt tokens that came from the cache.
    pub cached_tokens: u64,
    /// How often the request was retracted.
    pub num_retractions: u64,
}

/// New output of one request. The scheduler makes it, the detokenizer passes it on, and the tokenizer manager adds it to
/// what the request has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationOutput {
    /// Request id.
    pub rid: String,
    /// How the request ended; `None` while it goes on.
    pub finished_reason: Option<FinishReason>,
    /// New output ids.
    pub output_ids: TokenIds,
    /// Position in the output of the first new id, so that a gap or a repeat is seen. `None` from the reference's
    /// scheduler.
    pub output_offset: Option<u64>,
    /// The try that it belongs to. `None` from or for a process of the reference.
    pub attempt: Option<Attempt>,
    /// Counts so far.
    pub counts: Counts,
    /// New log-probabilities, where the request wants them.
    pub logprobs: Option<Box<Logprobs>>,
    /// New hidden states, where the request wants them: a chunk for each new output id, or the newest vector. The
    /// reference sends those of all ids so far again and again.
    pub hidden_states: Option<HiddenStates>,
    /// Weight versions per output span, with the end.
    pub weight_versions: Option<Vec<WeightVersionSpan>>,
    /// Where cached tokens came from.
    pub cached_tokens_details: Option<BTreeMap<String, serde_json::Value>>,
    /// Rank that ran the request.
    pub dp_rank: Option<i64>,
    /// The scheduler's times, when there are new ones, with `--enable-metrics`.
    pub time_stats: Option<ReqTimeStats>,
}

/// New tokens of one request, and how to decode them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenIdOutput {
    /// What is passed on.
    pub output: GenerationOutput,
    /// New ids to decode; the first time they start with the last prompt ids, as context.
    pub decode_ids: TokenIds,
    /// Where output starts in the first `decode_ids`.
    pub read_offset: u64,
    /// Leave special tokens out of the text.
    pub skip_special_tokens: bool,
    /// Spaces between special tokens.
    pub spaces_between_special_tokens: bool,
    /// Keep the matched stop in the text.
    pub no_stop_trim: bool,
}

/// New text of one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StrOutput {
    /// What the scheduler said.
    pub output: GenerationOutput,
    /// New text; empty when there is no tokenizer.
    pub text: String,
}

/// The finished vector of one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbeddingOutput {
    /// Request id.
    pub rid: String,
    /// How the request ended; `None` while it goes on.
    pub finished_reason: Option<FinishReason>,
    /// The vector, or the scores of classes.
    pub embedding: Vec<f32>,
    /// Counts.
    pub counts: Counts,
    /// Where cached tokens came from.
    pub cached_tokens_details: Option<BTreeMap<String, serde_json::Value>>,
    /// The hidden state in front of the model's head, where the request wants it.
    pub pooled_hidden_state: Option<Vec<f32>>,
    /// The scheduler's times, with `--enable-metrics`.
    pub time_stats: Option<ReqTimeStats>,
    /// The try that it belongs to. `None` for a process of the reference.
    pub attempt: Option<Attempt>,
}
