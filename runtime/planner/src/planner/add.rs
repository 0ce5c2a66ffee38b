//! Accepts or refuses new requests.

use std::sync::Arc;

use sglang_proto::messages::FinishReason;
use sglang_proto::refusal;

use super::Planner;
use crate::hidden_states::HiddenStateCollector;
use crate::radix_cache::Namespace;
use crate::req::{InputLogprobState, Req, ReqState};
use crate::request::PROMPT_TAIL_LEN;
use crate::{NewRequest, PlannerError, ReqTimes, RequestInfo};

/// Why a request is refused.
struct Refusal {
    reason: FinishReason,
    via_abort_req: bool,
}

fn bad_request(message: String) -> Refusal {
    Refusal { reason: FinishReason::refused(message, 400, "BadRequestError"), via_abort_req: false }
}

fn unavailable(message: &str) -> FinishReason {
    FinishReason::Abort { message: message.to_owned(), status_code: Some(503), err_type: None }
}

impl Planner {
    /// Accepts a request at time `now` (in seconds since any fixed moment). It is queued, or refused with an event: 400
    /// for invalid prompts, 503 if the queue is full.
    ///
    /// # Errors
    /// [`PlannerError::DuplicateRid`]: the request that has this id continues, so the new one cannot get an event.
    pub fn add_request(&mut self, request: NewRequest, now: f64) -> Result<(), PlannerError> {
        if self.ledger.find(&request.rid).is_some() {
            return Err(PlannerError::DuplicateRid(request.rid));
        }
        self.now = now;
        self.totals.requests += 1;
        let exempt = request.resubmitted;
        let (req, refusal) = self.make_req(request);
        let info = Arc::clone(&req.info);
        let resumed_to_the_end = req.output_len() > 0 && req.remaining_new_tokens() == 0;
        let max_new_tokens = req.max_new_tokens as u64;
        let id = self.reqs.insert(req);
        self.ledger.open(&info, id);
        if let Some(Refusal { reason, via_abort_req }) = refusal {
            self.finish(id, reason, via_abort_req);
        } else if resumed_to_the_end {
            self.finish(id, FinishReason::Length { length: max_new_tokens }, false);
        } else if exempt || self.has_queue_room(id) {
            self.enqueue(id);
            // A higher priority may preempt a running request.
            self.batch_is_full &= !self.config.enable_priority_scheduling;
        }
        Ok(())
    }

    /// The request with all limits applied, and the reason if it is refused.
    fn make_req(&self, mut request: NewRequest) -> (Req, Option<Refusal>) {
        let config = &self.config;
        let mut refusal = self.check_kind(&request).or_else(|| self.check_ids(&request));
        let mut params = std::mem::take(&mut request.sampling_params);
        if request.embedding.is_some() {
            params.max_new_tokens = Some(0);
        }
        let max_new_tokens = self.clip_max_new_tokens(request.input_ids.len(), params.max_new_tokens);
        params.max_new_tokens = Some(max_new_tokens as i64);
        // Otherwise the end of sequence would always be suppressed.
        params.min_new_tokens = params.min_new_tokens.min(max_new_tokens as i64);

        // An embedding request has no output, so its prompt may fill the context.
        let (len, limit) = (request.input_ids.len(), config.max_req_input_len());
        let (max_len, too_long) = match request.embedding {
            Some(_) => (config.context_length, len > config.context_length),
            None => (limit, len >= limit),
        };
        if too_long && refusal.is_none() {
            if config.allow_auto_truncate && max_len > 0 {
                request.input_ids.truncate(max_len);
            } else {
                let pool = match config.max_total_num_tokens < config.context_length {
                    true => format!(" {}", self.pool_hint()),
                    false => String::new(),
                };
                refusal = Some(bad_request(format!(
                    "Input length ({len} tokens) exceeds the maximum allowed length ({max_len} tokens). Use a shorter \
                     input or enable --allow-auto-truncate.{pool}"
                )));
            }
        }
        let prompt_len = request.input_ids.len();
        if refusal.is_none() && prompt_len + config.page_size >= self.kv.size() {
            refusal = Some(bad_request(format!(
                "Request prompt exceeds the KV memory budget: input_len={prompt_len}. {}",
                self.pool_hint()
            )));
        }
        let input_logprob = match logprob_start(&request, prompt_len) {
            Ok(start) => start.map(|start| InputLogprobState {
                start,
                rows: Vec::new(),
                complete: start >= prompt_len,
                sent: false,
            }),
            Err(why) => {
                refusal = refusal.or(Some(why));
                None
            }
        };
        if request.priority.is_some()
            && !config.enable_priority_scheduling
            && config.abort_on_priority_when_disabled
        {
            let reason = unavailable(
                "Using priority is disabled for this server. Please send a new request without a priority.",
            );
            refusal = refusal.or(Some(Refusal { reason, via_abort_req: true }));
        }
        let info = RequestInfo {
            rid: Arc::from(request.rid),
            attempt: request.attempt,
            prompt_tokens: prompt_len,
            prompt_tail: request.input_ids[prompt_len.saturating_sub(PROMPT_TAIL_LEN)..].to_vec(),
            resumed_output_ids: request.resumed_output_ids.clone(),
            stream: request.stream,
            return_logprob: request.return_logprob,
            top_logprobs_num: request.top_logprobs_num,
            token_ids_logprob: request.token_ids_logprob,
            return_hidden_states: request.return_hidden_states,
            skip_special_tokens: params.skip_special_tokens,
            spaces_between_special_tokens: params.spaces_between_special_tokens,
            no_stop_trim: params.no_stop_trim,
            is_embedding: request.embedding.is_some(),
        };
        let sent = request.resumed_output_ids.len();
        let mut tokens = request.input_ids;
        tokens.extend(request.resumed_output_ids);
        let req = Req {
            info: Arc::new(info),
            tokens,
            prompt_len,
            max_new_tokens,
            params,
            grammar: request.grammar,
            embedding: request.embedding,
            unsent_embedding: None,
            namespace: Arc::new(Namespace {
                extra_key: request.extra_key.filter(|key| !key.is_empty()),
                cache_salt: request.cache_salt.filter(|salt| !salt.is_empty()),
                lora_id: request.lora_id,
            }),
            priority: self.rank_of(request.priority),
            arrival: self.totals.requests,
            overdue_at: 0,
            arrived_at: self.now,
            times: ReqTimes::new(request.received_at.unwrap_or(self.now)),
            state: ReqState::Waiting,
            row: None,
            lock: None,
            protected_len: 0,
            fill_len: 0,
            kv_done: 0,
            in_flight: 0,
            pending_samples: 0,
            cached_tokens: None,
            retraction_count: 0,
            input_logprob,
            unsent_logprobs: Vec::new(),
            sent_logprobs: Vec::new(),
            resumed: sent,
            hidden_states: HiddenStateCollector::new(request.return_hidden_states),
            sent,
            sent_any: false,
        };
        (req, refusal)
    }

    /// Generating models only accept generation requests, embedding models only embedding requests.
    fn check_kind(&self, request: &NewRequest) -> Option<Refusal> {
        match (self.config.is_generation, &request.embedding) {
            (true, Some(_)) => Some(bad_request(refusal::NOT_AN_EMBEDDING_MODEL.to_owned())),
            (false, None) => Some(bad_request(refusal::NOT_A_GENERATION_MODEL.to_owned())),
            _ => None,
        }
    }

    /// A prompt must not be empty. Ids outside the vocabulary would read outside the embedding table.
    fn check_ids(&self, request: &NewRequest) -> Option<Refusal> {
        if request.input_ids.is_empty() {
            return Some(bad_request(refusal::EMPTY_INPUT_IDS.to_owned()));
        }
        let vocab_size = self.config.vocab_size;
        let mut ids = request.input_ids.iter().chain(&request.resumed_output_ids);
        let unknown = ids.find(|id| **id >= vocab_size);
        unknown.map(|id| bad_request(refusal::out_of_vocabulary("input_ids", id, vocab_size)))
    }

    /// A hint for prompts that do not fit into the whole pool.
    fn pool_hint(&self) -> String {
        format!(
            "The KV cache holds {} tokens; --max-total-tokens or a larger --mem-fraction-static makes it larger.",
            self.kv.size()
        )
    }

    /// `max_new_tokens`, limited to what fits into the context and an empty KV pool (reference:
    /// `Scheduler.init_req_max_new_tokens`).
    fn clip_max_new_tokens(&self, input_len: usize, wanted: Option<i64>) -> usize {
        let wanted = wanted.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(0));
        let page_size = self.config.page_size;
        let in_context = self.config.max_req_len().saturating_sub(input_len + 1);
        let in_pool = self.kv.size().saturating_sub(input_len.next_multiple_of(page_size) + page_size + 1);
        let allowed = self.config.tuning.max_new_tokens_limit.unwrap_or(usize::MAX);
        wanted.min(allowed).min(in_context).min(in_pool)
    }

    /// Priority as a rank; larger goes first.
    fn rank_of(&self, priority: Option<i64>) -> i64 {
        match priority.or(self.config.default_priority_value) {
            Some(value) if self.config.schedule_low_priority_values_first => value.saturating_neg(),
            Some(value) => value,
            None if self.config.enable_priority_scheduling => i64::MIN,
            None => 0,
        }
    }

    /// If the queue is full, ends one request with 503: the new one, or with priorities the least important one.
    /// Returns whether the new one may be queued.
    fn has_queue_room(&mut self, new: usize) -> bool {
        if self.config.max_queued_requests.is_none_or(|max| self.waiting.len() < max) {
            return true;
        }
        let rank = |id: usize| {
            self.reqs.get(id).map_or((i64::MAX, u64::MAX), |r| (r.priority, u64::MAX - r.arrival))
        };
        if self.config.enable_priority_scheduling
            && let Some((at, least)) =
                self.waiting.iter().copied().enumerate().min_by_key(|(_, id)| rank(*id))
            && rank(least).0 < rank(new).0
        {
            self.waiting.remove(at);
            self.finish(least, unavailable("The request is aborted by a higher priority request."), true);
            return true;
        }
        self.finish(new, unavailable("The request queue is full."), true);
        false
    }
}

/// First prompt position whose log-probability is reported; `None` if the request wants no log-probabilities.
fn logprob_start(request: &NewRequest, prompt_len: usize) -> Result<Option<usize>, Refusal> {
    if !request.return_logprob || request.input_logprobs_sent {
        return Ok(None);
    }
    match usize::try_from(request.logprob_start_len) {
        // Only the last prompt position: its own entry is null, but its row is needed for `token_ids_logprob`.
        Err(_) if request.token_ids_logprob.is_some() => Ok(Some(prompt_len.saturating_sub(1))),
        Err(_) => Ok(Some(prompt_len)),
        Ok(start) if start > prompt_len => Err(bad_request(format!(
            "req.logprob_start_len={start} is higher than the number of input tokens \
             len(req.origin_input_ids)={prompt_len}. Please use a smaller logprob_start_len."
        ))),
        Ok(start) => Ok(Some(start)),
    }
}
