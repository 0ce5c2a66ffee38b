//! What the planner reports to its caller: outputs of requests, and statistics for the log.

use std::sync::Arc;

use sglang_proto::HiddenStateChunk;
use sglang_proto::forward::{Embedding, PositionLogprobs};
use sglang_proto::messages::FinishReason;

use crate::{ReqTimes, RequestInfo};

/// New output of a request, or its end. Exactly one event per request, its last, has a `finish_reason`.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputEvent {
    /// The request.
    pub request: Arc<RequestInfo>,
    /// New output ids since the previous event, including a matched stop token.
    pub output_ids: Vec<u32>,
    /// Position of the first of `output_ids` in the whole output.
    pub output_offset: usize,
    /// One row per new id, if the request wants log-probabilities. With `max_new_tokens` 0 there is one row without id:
    /// the distribution after the prompt.
    pub output_logprobs: Vec<PositionLogprobs>,
    /// Log-probabilities of the prompt, sent once with the first event after the prefill.
    pub input_logprobs: Option<InputLogprobs>,
    /// One chunk per new id if the request wants all hidden states; the newest vector if it wants only the last.
    pub hidden_states: Vec<HiddenStateChunk>,
    /// The embedding, in the last event of an embedding request.
    pub embedding: Option<Embedding>,
    /// How the request ended; `None` while it runs.
    pub finish_reason: Option<FinishReason>,
    /// Whether this is the first event of the request, with which the detokenizer needs the prompt's last ids.
    pub first: bool,
    /// Whether the reference reports this end with an `AbortReq` message instead of an output. It does so for requests
    /// that are refused, aborted in the waiting queue or between chunks, or ended for lack of memory.
    pub via_abort_req: bool,
    /// Output tokens so far, including those generated before a restart of the scheduler.
    pub completion_tokens: usize,
    /// Prompt tokens that came from the cache at the first prefill.
    pub cached_tokens: usize,
    /// How often the request was retracted or preempted.
    pub retraction_count: u64,
    /// Timestamps of the request, if there are new ones since the previous event.
    pub times: Option<Box<ReqTimes>>,
}

impl OutputEvent {
    /// Request id.
    pub fn rid(&self) -> &str {
        &self.request.rid
    }
}

/// Log-probabilities of prompt positions `start..prompt_tokens`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InputLogprobs {
    /// First reported prompt position.
    pub start: usize,
    /// Prompt ids from `start` on.
    pub token_ids: Vec<u32>,
    /// One entry per id. The first is `None`, because it would need the position before `start`.
    pub rows: Vec<Option<PositionLogprobs>>,
}

/// Decodes output ids for stop strings and matches `stop_regex`. The process that has the tokenizer implements it.
pub trait TailDecoder {
    /// Text of the given last output ids, including special tokens.
    fn decode_tail(&mut self, ids: &[u32]) -> String;

    /// Whether `pattern` matches anywhere in `text`.
    ///
    /// # Errors
    /// The pattern is invalid. The request ends with 400 and this text.
    fn regex_matches(&mut self, pattern: &str, text: &str) -> Result<bool, String>;
}

/// Statistics of a planned batch, for the log line of its step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchReport {
    /// Requests that prefill.
    pub num_prefill_reqs: usize,
    /// Requests that prefill for the first time in this step.
    pub num_new_seqs: usize,
    /// Prompt tokens computed.
    pub num_new_tokens: usize,
    /// Prompt tokens taken from the cache.
    pub num_cached_tokens: usize,
    /// Requests that decode.
    pub num_decode_reqs: usize,
    /// Running requests without work in this step.
    pub num_running_reqs: usize,
    /// Waiting requests.
    pub num_queue_reqs: usize,
    /// Tokens in use: owned by requests or pinned in the cache.
    pub num_used_tokens: usize,
    /// Used fraction of the KV pool, 0 to 1.
    pub token_usage: f64,
}

/// A retraction, for the warning `KV cache pool is full. Retract requests.`
#[derive(Clone, Debug, PartialEq)]
pub struct RetractionReport {
    /// Requests sent back to the queue.
    pub num_retracted_reqs: usize,
    /// Requests that could not continue even alone and were ended.
    pub num_aborted_reqs: usize,
    /// Free tokens gained.
    pub num_tokens_gained: usize,
    /// `new_token_ratio` before the retraction.
    pub old_ratio: f64,
    /// `new_token_ratio` after the retraction.
    pub new_ratio: f64,
}
