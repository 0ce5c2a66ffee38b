//! A request inside the planner (reference: `managers/schedule_batch.py`, `Req`).

use std::sync::Arc;

use sglang_proto::SamplingParams;
use sglang_proto::forward::{Embedding, EmbeddingSpec, PositionLogprobs, ReqSampling};
use sglang_proto::grammar::GrammarHandle;

use crate::events::InputLogprobs;
use crate::hidden_states::HiddenStateCollector;
use crate::radix_cache::{Namespace, NodeId};
use crate::{ReqTimes, RequestInfo};

/// State of a request.
///
/// ```text
///  Waiting ──► Prefilling (more chunks to come) ──► Running ──► Finished
///     ▲              │                                 │
///     └──────────────┴── retracted, preempted, paused ─┘
/// ```
/// An abort leads from every state to `Finished`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReqState {
    /// In the queue; has neither row nor slots.
    Waiting,
    /// Admitted, but part of its prompt is not planned yet.
    Prefilling,
    /// Its whole prompt is planned; it decodes.
    Running,
    /// Ended; kept while a batch in flight still uses its row.
    Finished,
}

/// Log-probabilities of the prompt, collected chunk by chunk.
#[derive(Clone, Debug, Default)]
pub struct InputLogprobState {
    /// First reported prompt position.
    pub start: usize,
    /// Rows `start..` of the model's output received so far. Row `r` gives the log-probability of token `r + 1`.
    pub rows: Vec<PositionLogprobs>,
    /// Whether everything has been collected.
    pub complete: bool,
    /// Whether it has been sent.
    pub sent: bool,
}

/// A request with its state, output and memory.
#[derive(Debug)]
pub struct Req {
    pub info: Arc<RequestInfo>,
    /// Prompt and output.
    pub tokens: Vec<u32>,
    pub prompt_len: usize,
    pub params: SamplingParams,
    /// After clipping to context and KV pool.
    pub max_new_tokens: usize,
    /// The grammar that the output follows.
    pub grammar: Option<GrammarHandle>,
    /// Set for embedding requests.
    pub embedding: Option<Arc<EmbeddingSpec>>,
    /// The embedding, until it is sent.
    pub unsent_embedding: Option<Embedding>,
    pub namespace: Arc<Namespace>,
    pub priority: i64,
    /// Order of arrival.
    pub arrival: u64,
    /// The request goes ahead of the policy's order once this many requests have been admitted in total.
    pub overdue_at: u64,
    /// Time of arrival, on the caller's clock in seconds.
    pub arrived_at: f64,
    pub times: ReqTimes,

    pub state: ReqState,
    /// Its row in the `ReqToTokenPool`, while admitted.
    pub row: Option<u32>,
    /// The tree node it pins, while admitted.
    pub lock: Option<NodeId>,
    /// Number of first positions whose slots belong to the tree and are pinned. The row's other slots belong to the
    /// request.
    pub protected_len: usize,
    /// Positions to prefill, set at admission.
    pub fill_len: usize,
    /// Positions whose KV is known to be computed: their batch is back.
    pub kv_done: usize,
    /// Batches in flight that use the row.
    pub in_flight: usize,
    /// Tokens sampled by batches in flight.
    pub pending_samples: usize,

    /// Cached tokens of the first prefill; `None` before it.
    pub cached_tokens: Option<usize>,
    pub retraction_count: u64,
    pub input_logprob: Option<InputLogprobState>,
    /// Output log-probabilities not sent yet.
    pub unsent_logprobs: Vec<PositionLogprobs>,
    /// Output log-probabilities sent since the request arrived. They may have to be sent again.
    pub sent_logprobs: Vec<PositionLogprobs>,
    /// Number of output ids that the request arrived with.
    pub resumed: usize,
    /// Collects hidden states, if the request wants them.
    pub hidden_states: Option<Box<HiddenStateCollector>>,
    /// Number of output ids already sent.
    pub sent: usize,
    pub sent_any: bool,
}

impl Req {
    /// Number of output tokens received from the worker.
    pub fn output_len(&self) -> usize {
        self.tokens.len() - self.prompt_len
    }

    /// Output so far.
    pub fn output_ids(&self) -> &[u32] {
        &self.tokens[self.prompt_len..]
    }

    /// Number of output tokens still to generate; those in flight do not count as generated.
    pub fn remaining_new_tokens(&self) -> usize {
        self.max_new_tokens.saturating_sub(self.output_len())
    }

    /// Whether the tokens in flight are its last ones.
    pub fn finishes_in_flight(&self) -> bool {
        self.pending_samples > 0 && self.output_len() + self.pending_samples >= self.max_new_tokens
    }

    /// Length of the longest prefix that it may take from the cache. At least one token must be computed to sample
    /// from, and so must all positions whose log-probabilities are wanted. After a retraction, positions from the first
    /// missing hidden state on must be computed too.
    pub fn max_prefix_len(&self) -> usize {
        let mut longest = self.tokens.len().saturating_sub(1);
        if let Some(wanted) = self.input_logprob.as_ref().filter(|wanted| !wanted.complete) {
            longest = longest.min(wanted.start);
        }
        if let (Some(collector), Some(cached), 0) =
            (&self.hidden_states, self.cached_tokens, self.output_len())
        {
            longest = longest.min(collector.collected_to(cached).unwrap_or(usize::MAX));
        }
        longest
    }

    /// First position of the computed range `from..to` whose hidden state is wanted.
    pub fn hidden_rows_from(&self, from: usize, to: usize) -> Option<usize> {
        let collector = self.hidden_states.as_ref()?;
        let prompt = from < self.fill_len && self.output_len() == 0;
        let first = match prompt.then_some(self.cached_tokens).flatten() {
            Some(cached) if collector.wants_prompt() => from.max(cached),
            _ if to >= self.fill_len => to.saturating_sub(1).max(from),
            _ => return None,
        };
        (first < to).then_some(first)
    }

    /// Wanted log-probability rows of the positions `from..to`: the first row, and the target tokens.
    pub fn logprob_rows(&self, from: usize, to: usize) -> Option<(usize, Vec<u32>)> {
        let wanted = self.input_logprob.as_ref().filter(|wanted| !wanted.complete)?;
        let first = from.max(wanted.start);
        let last = to.min(self.prompt_len.saturating_sub(1));
        (first < last).then(|| (first, self.tokens[first + 1..=last].to_vec()))
    }

    /// The prompt's log-probabilities, in the form in which they are sent.
    pub fn input_logprobs(&self) -> Option<InputLogprobs> {
        let state = self.input_logprob.as_ref().filter(|state| state.complete && !state.sent)?;
        let token_ids = self.tokens[state.start.min(self.prompt_len)..self.prompt_len].to_vec();
        let mut rows = Vec::with_capacity(token_ids.len());
        if !token_ids.is_empty() {
            rows.push(None);
            rows.extend(state.rows.iter().cloned().map(Some));
        }
        Some(InputLogprobs { start: state.start, token_ids, rows })
    }

    /// The parameters and current output that the sampler needs.
    pub fn sampling(&self, eos_token_ids: &[u32]) -> ReqSampling {
        let mut stop_token_ids = eos_token_ids.to_vec();
        let own = self.params.stop_token_ids.iter().flatten();
        stop_token_ids.extend(own.filter_map(|id| u32::try_from(*id).ok()));
        stop_token_ids.sort_unstable();
        stop_token_ids.dedup();
        ReqSampling {
            params: self.params.clone(),
            prompt_len: self.prompt_len as u32,
            output_ids: self.output_ids().to_vec(),
            stop_token_ids,
            return_logprob: self.info.return_logprob,
            top_logprobs_num: self.info.top_logprobs_num,
            token_ids_logprob: self.info.token_ids_logprob.clone().unwrap_or_default(),
            grammar: self.grammar.clone(),
        }
    }
}
