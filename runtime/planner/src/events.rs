//! What the planner tells the process around it: outputs of requests, and reports for logs.

use std::sync::Arc;

use sglang_proto::HiddenStateChunk;
use sglang_proto::forward::{Embedding, PositionLogprobs};
use sglang_proto::messages::FinishReason;

use crate::{ReqTimes, RequestInfo};

/// New output of one request, or its end. Exactly one event per request has a `finish_reason`, and it is the last.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputEvent {
    /// The request.
    pub request: Arc<RequestInfo>,
    /// New output ids since the event before; the matched stop token is among them.
    pub output_ids: Vec<u32>,
    /// Position in the output of the first of `output_ids`.
    pub output_offset: usize,
    /// One row per new id when the request wants log-probabilities. With `max_new_tokens` 0 there is one row although
    /// there is no id: the distribution after the prompt.
    pub output_logprobs: Vec<PositionLogprobs>,
    /// Log-probabilities of the prompt; sent once, with the first event after the prefill.
    pub input_logprobs: Option<InputLogprobs>,
    /// A chunk per new id when the request wants all hidden states, the newest vector when it wants the last.
    pub hidden_states: Vec<HiddenStateChunk>,
    /// The vector of an embedding request, with its end.
    pub embedding: Option<Embedding>,
    /// How the request ended; `None` while it goes on.
    pub finish_reason: Option<FinishReason>,
    /// Whether this is the first event of the request (the detokenizer then needs the prompt's tail).
    pub first: bool,
    /// Whether the reference reports this end with an `AbortReq` instead of an output: requests refused or aborted in
    /// the waiting queue, aborted between chunks, or ended for lack of memory.
    pub via_abort_req: bool,
    /// Output tokens so far, over all lives of the request.
    pub completion_tokens: usize,
    /// Prompt tokens that came from the cache at the first prefill.
    pub cached_tokens: usize,
    /// How often the request was retracted or preempted.
    pub retraction_count: u64,
    /// Its times, when there are new ones since the event before.
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
    /// One entry per id; the first is `None`, because it would need the position before `start`.
    pub rows: Vec<Option<PositionLogprobs>>,
}

/// Turns ids into text for stop strings, and matches `stop_regex`. Supplied by the process that has the tokenizer.
pub trait TailDecoder {
    /// Text of the last output ids, special tokens included.
    fn decode_tail(&mut self, ids: &[u32]) -> String;

    /// Whether `pattern` matches anywhere in `text`.
    ///
    /// # Errors
    /// The pattern cannot be compiled; the text says why and ends the request with 400.
    fn regex_matches(&mut self, pattern: &str, text: &str) -> Result<bool, String>;
}

/// What a planned batch consists of, for the log line of a step.
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
    /// Requests that run besides, without work in this step.
    pub num_running_reqs: usize,
    /// Requests that wait.
    pub num_queue_reqs: usize,
    /// Tokens in use: owned by requests or pinned in the cache.
    pub num_used_tokens: usize,
    /// Used share of the KV pool, 0 to 1.
    pub token_usage: f64,
}

/// A retraction, for the warning `KV cache pool is full. Retract requests.`
#[derive(Clone, Debug, PartialEq)]
pub struct RetractionReport {
    /// Requests sent back to the queue.
    pub num_retracted_reqs: usize,
    /// Requests that could not go on at all and were ended.
    pub num_aborted_reqs: usize,
    /// Free tokens gained.
    pub num_tokens_gained: usize,
    /// `new_token_ratio` before.
    pub old_ratio: f64,
    /// `new_token_ratio` after.
    pub new_ratio: f64,
}
