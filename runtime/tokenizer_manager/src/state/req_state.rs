//! The state of one request: the source of truth about what was requested and what has arrived.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use sglang_proto::HiddenStates;
use sglang_proto::messages::{
    AbortReq, AnyMessage, Attempt, Counts, EmbeddingOutput, FinishReason, ReqTimeStats, StrOutput,
    TokenizedEmbeddingReqInput, TokenizedGenerateReqInput, WeightVersionSpan,
};
use sglang_proto::wire::TokenIds;
use tokio::sync::Notify;

use crate::lora::AdapterUse;
use crate::requests::EmbeddingParams;

use super::abort_log::log_abort;
use super::logprobs::Logprobs;
use super::reasoning::ReasoningCounter;
use super::timing::{Timing, TokenTiming};

/// How a request ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Finish {
    /// The reason, for the client.
    pub reason: FinishReason,
    /// Whether it came as a separate abort message and not with the last output. Such answers have fewer counts.
    pub by_abort_message: bool,
    /// Seconds from arrival to the end.
    pub e2e_latency: f64,
}

/// Output so far.
#[derive(Debug, Default)]
pub struct Output {
    /// Text.
    pub text: String,
    /// Token ids, including a stop token.
    pub output_ids: Vec<u32>,
    /// Token counts, as last reported by the scheduler.
    pub counts: Counts,
    /// Log-probabilities.
    pub logprobs: Logprobs,
    /// Where cached tokens came from.
    pub cached_tokens_details: Option<BTreeMap<String, serde_json::Value>>,
    /// Weight version of each span of the output.
    pub weight_versions: Option<Vec<WeightVersionSpan>>,
    /// Rank that ran the request.
    pub dp_rank: Option<i64>,
    /// The scheduler's times, as last reported.
    pub times: Option<ReqTimeStats>,
    /// Hidden states, if requested.
    pub hidden_states: Option<HiddenStates>,
    /// The vector, or the scores of classes, of an embedding request.
    pub embedding: Vec<f32>,
    /// The hidden state before the model's head, if requested.
    pub pooled_hidden_state: Option<Vec<f32>>,
    /// How it ended; set once.
    pub finish: Option<Finish>,
    /// The counter of reasoning tokens, if the request starts with reasoning.
    pub reasoning: Option<ReasoningCounter>,
    /// Number of changes, with which a reader notices new output.
    pub revision: u64,
    /// Whether any output has arrived.
    pub began: bool,
}

/// The effect of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The request continues.
    Running,
    /// The output ended the request.
    Finished,
    /// Nothing is new: a repetition, or output after the end.
    Ignored,
    /// The output does not start where the output so far ends. The request must be sent again from there.
    Misplaced,
}

/// One request in flight.
#[derive(Debug)]
pub struct ReqState {
    /// What was sent to the scheduler, so that it can be sent again.
    pub request: TokenizedGenerateReqInput,
    /// Set for an embedding request. Then only the fields of `request` that such requests have are used.
    pub embedding: Option<EmbeddingParams>,
    /// The use of its adapter, until the registry takes it.
    adapter: Mutex<Option<AdapterUse>>,
    /// The times of its events.
    pub timing: Timing,
    output: Mutex<Output>,
    notify: Notify,
    abandoned: AtomicBool,
}

impl ReqState {
    /// A request that starts now.
    pub fn new(request: TokenizedGenerateReqInput, created: Instant) -> Self {
        Self {
            request,
            embedding: None,
            adapter: Mutex::default(),
            timing: Timing::new(created),
            output: Mutex::default(),
            notify: Notify::new(),
            abandoned: AtomicBool::new(false),
        }
    }

    /// The same, as an embedding request.
    pub fn with_embedding(self, params: EmbeddingParams) -> Self {
        Self { embedding: Some(params), ..self }
    }

    /// The same, with an adapter.
    pub fn with_adapter(mut self, adapter: Option<AdapterUse>) -> Self {
        if let Some(adapter) = &adapter {
            self.request.lora_id = Some(adapter.lora.lora_id.clone());
            self.request.lora_name = Some(adapter.lora.name().to_owned());
        }
        Self { adapter: Mutex::new(adapter), ..self }
    }

    /// Hands the use of the adapter to the registry, which knows when the scheduler no longer works on the request.
    pub(super) fn take_adapter(&self) -> Option<AdapterUse> {
        self.adapter.lock().take()
    }

    /// The message that submits the request under this attempt, continuing after the output so far. `again`: it was
    /// sent before.
    pub fn submission(&self, attempt: Attempt, again: bool) -> AnyMessage {
        let attempt = Some(attempt);
        if let Some(params) = &self.embedding {
            let message = self.embedding_message(params);
            return TokenizedEmbeddingReqInput { attempt, resubmitted: again, ..message }.into();
        }
        let output = self.output.lock();
        TokenizedGenerateReqInput {
            attempt,
            resubmitted: again,
            resumed_output_ids: again.then(|| TokenIds(output.output_ids.clone())),
            input_logprobs_sent: output.logprobs.has_input(),
            ..self.request.clone()
        }
        .into()
    }

    fn embedding_message(&self, params: &EmbeddingParams) -> TokenizedEmbeddingReqInput {
        let request = &self.request;
        TokenizedEmbeddingReqInput {
            rid: request.rid.clone(),
            input_text: request.input_text.clone(),
            input_ids: request.input_ids.clone(),
            token_type_ids: params.token_type_ids.clone(),
            sampling_params: request.sampling_params.clone(),
            lora_id: request.lora_id.clone(),
            lora_name: request.lora_name.clone(),
            priority: request.priority,
            dimensions: params.dimensions,
            return_pooled_hidden_states: params.return_pooled_hidden_states,
            ..Default::default()
        }
    }

    /// The request's id.
    pub fn rid(&self) -> &str {
        &self.request.rid
    }

    /// Starts to count the output up to the first `end`, inclusive, as reasoning.
    pub fn count_reasoning_up_to(&self, end: Vec<u32>) {
        self.output.lock().reasoning = Some(ReasoningCounter::new(end));
    }

    /// The output so far. Hold the lock only briefly, since the receiving task waits for it.
    pub fn output(&self) -> MutexGuard<'_, Output> {
        self.output.lock()
    }

    /// Notes that `new_tokens` arrived now, with the scheduler's `times`.
    pub fn note_output(&self, new_tokens: usize, times: Option<&ReqTimeStats>) -> TokenTiming {
        // Without streaming, many tokens arrive at once, long after the first one was generated.
        let made_ts = times.filter(|_| !self.request.stream).map(|times| times.prefill_finished_time);
        self.timing.note_output(new_tokens, made_ts)
    }

    /// Waits for a change. A change between a look at the output and this call is not missed.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }

    /// Adds new output, if it starts where the output so far ends. A process of the reference cannot be asked to send
    /// output again. From such a process, a part that is already known is skipped, and a missing part ends the request
    /// with an error, because the text after the gap would be wrong.
    pub fn apply(&self, new: StrOutput) -> Applied {
        let StrOutput { output: mut new, mut text } = new;
        let mut output = self.output.lock();
        if output.finish.is_some() {
            return Applied::Ignored;
        }
        let mut logprobs = new.logprobs.take().map(|lists| Logprobs::from(*lists)).unwrap_or_default();
        let known = output.output_ids.len() as u64;
        if new.attempt.is_some() && new.output_offset.is_some_and(|offset| offset != known) {
            return Applied::Misplaced;
        }
        // Without ids there is no position that could be wrong.
        let offset = new.output_offset.filter(|_| !new.output_ids.is_empty()).unwrap_or(known);
        if offset > known {
            tracing::error!(
                "Output of rid={} from position {known} to {offset} was lost between processes",
                self.rid()
            );
            let reason = FinishReason::refused(
                "A part of the output was lost between processes. Please try again.",
                500,
                "InternalServerError",
            );
            self.end(&mut output, reason, true);
            return Applied::Finished;
        }
        let repeated = usize::try_from(known - offset).unwrap_or(usize::MAX);
        if repeated > 0 && repeated >= new.output_ids.len() && new.finished_reason.is_none() {
            return Applied::Ignored;
        }
        let mut new_ids = new.output_ids.0;
        if repeated > 0 {
            // The text of known ids has arrived with them.
            new_ids.drain(..repeated.min(new_ids.len()));
            logprobs.skip_output(repeated);
            if let Some(HiddenStates::List(chunks)) = &mut new.hidden_states {
                chunks.drain(..repeated.min(chunks.len()));
            }
            if new_ids.is_empty() {
                text.clear();
            }
        }
        if self.request.logprob_start_len < 0 {
            // The entry for the position after the prompt may be included, but the client did not ask for any prompt
            // position.
            logprobs.clear_input();
        }
        output.text.push_str(&text);
        let cached_tokens = output.counts.cached_tokens;
        let began = std::mem::replace(&mut output.began, true);
        output.counts = new.counts;
        if began {
            // A later attempt finds in the cache what an earlier attempt put there, so the first count is kept.
            output.counts.cached_tokens = cached_tokens;
        }
        if output.logprobs.has_input() {
            logprobs.clear_input();
        }
        if let Some(counter) = &mut output.reasoning {
            output.counts.reasoning_tokens = counter.push(&new_ids);
        }
        output.output_ids.append(&mut new_ids);
        output.logprobs.append(logprobs);
        output.weight_versions = new.weight_versions.or(output.weight_versions.take());
        if !began {
            output.cached_tokens_details = new.cached_tokens_details;
        }
        match (&mut output.hidden_states, new.hidden_states) {
            (Some(HiddenStates::List(all)), Some(HiddenStates::List(mut new))) => all.append(&mut new),
            (known, Some(new)) => *known = Some(new),
            (_, None) => {}
        }
        output.dp_rank = new.dp_rank.or(output.dp_rank);
        output.times = new.time_stats.or(output.times.take());
        self.go_on_or_end(&mut output, new.finished_reason)
    }

    /// Applies the vector of an embedding request.
    pub fn apply_embedding(&self, new: EmbeddingOutput) -> Applied {
        let mut output = self.output.lock();
        if output.finish.is_some() {
            return Applied::Ignored;
        }
        output.counts = new.counts;
        output.cached_tokens_details = new.cached_tokens_details;
        output.times = new.time_stats.or(output.times.take());
        output.embedding = new.embedding;
        output.pooled_hidden_state = new.pooled_hidden_state;
        self.go_on_or_end(&mut output, new.finished_reason)
    }

    /// Notes that output was added. With a `reason` it was the last.
    fn go_on_or_end(&self, output: &mut Output, reason: Option<FinishReason>) -> Applied {
        match reason {
            Some(reason) => {
                self.end(output, reason, false);
                Applied::Finished
            }
            None => {
                output.revision += 1;
                self.notify.notify_one();
                Applied::Running
            }
        }
    }

    /// Ends the request because the scheduler aborted it.
    pub fn apply_abort(&self, abort: AbortReq) -> Applied {
        let reason = abort.finished_reason.unwrap_or_else(|| {
            FinishReason::aborted(abort.abort_message.unwrap_or_else(|| "Abort in waiting queue".into()))
        });
        let mut output = self.output.lock();
        output.weight_versions = abort.weight_versions.or(output.weight_versions.take());
        drop(output);
        self.fail(reason)
    }

    /// Ends the request for a reason of this process. Only the first end counts.
    pub fn fail(&self, reason: FinishReason) -> Applied {
        let mut output = self.output.lock();
        if output.finish.is_some() {
            return Applied::Ignored;
        }
        self.end(&mut output, reason, true);
        Applied::Finished
    }

    /// Notes that nobody waits for the answer any more.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    fn end(&self, output: &mut Output, reason: FinishReason, by_abort_message: bool) {
        let e2e_latency = self.timing.elapsed();
        let has_client = !self.abandoned.load(Ordering::Relaxed);
        log_abort(&self.request, has_client, &reason, output.output_ids.len(), e2e_latency);
        output.finish = Some(Finish { reason, by_abort_message, e2e_latency });
        output.revision += 1;
        self.notify.notify_one();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use sglang_proto::messages::{self, GenerationOutput};

    pub(crate) fn request(rid: &str) -> TokenizedGenerateReqInput {
        let body = serde_json::json!({"input_ids": [1, 2], "rid": rid});
        let item = crate::requests::GenerateReqInput::from_json(body.as_object().unwrap())
            .unwrap()
            .normalize()
            .unwrap()
            .items
            .remove(0);
        crate::requests::tokenize::RequestLimits {
            context_len: 100,
            vocab_size: 100,
            preferred_sampling_params: None,
            allow_auto_truncate: false,
            default_priority: None,
            hidden_states: sglang_proto::CaptureHiddenMode::Null,
            dp_size: 1,
            grammars: false,
            embedding: None,
            codec: None,
        }
        .tokenize(item)
        .unwrap()
    }

    pub(crate) fn delta(ids: &[u32], text: &str, offset: u64) -> StrOutput {
        let output = GenerationOutput {
            output_ids: TokenIds(ids.to_vec()),
            output_offset: Some(offset),
            ..GenerationOutput::default()
        };
        StrOutput { output, text: text.into() }
    }

    #[test]
    fn output_accumulates_and_repeats_are_left_out() {
        let state = ReqState::new(request("a"), Instant::now());
        assert_eq!(state.apply(delta(&[1, 2], "ab", 0)), Applied::Running);
        assert_eq!(state.apply(delta(&[1, 2], "ab", 0)), Applied::Ignored);
        assert_eq!(state.apply(delta(&[2], "b", 1)), Applied::Ignored);
        assert_eq!(state.apply(delta(&[3], "c", 2)), Applied::Running);
        let output = state.output();
        assert_eq!((output.text.as_str(), output.output_ids.as_slice()), ("abc", [1, 2, 3].as_slice()));
    }

    #[test]
    fn a_gap_ends_the_request_with_an_error_instead_of_wrong_text() {
        let state = ReqState::new(request("a"), Instant::now());
        assert_eq!(state.apply(delta(&[9], "x", 5)), Applied::Finished);
        let finish = state.output().finish.clone().unwrap();
        assert!(matches!(finish.reason, FinishReason::Abort { status_code: Some(500), .. }));
        assert!(state.output().text.is_empty());
    }

    #[test]
    fn only_the_first_end_counts() {
        let state = ReqState::new(request("a"), Instant::now());
        let mut last = delta(&[1], "a", 0);
        last.output.finished_reason = Some(FinishReason::Length { length: 1 });
        assert_eq!(state.apply(last), Applied::Finished);
        assert_eq!(state.apply_abort(AbortReq::default()), Applied::Ignored);
        assert_eq!(state.fail(FinishReason::aborted("late")), Applied::Ignored);
        assert_eq!(state.output().finish.clone().unwrap().reason, FinishReason::Length { length: 1 });
    }

    #[test]
    fn without_a_start_position_prompt_lists_stay_empty() {
        let shown = |start| {
            let request = TokenizedGenerateReqInput { logprob_start_len: start, ..request("a") };
            let state = ReqState::new(request, Instant::now());
            let mut first = delta(&[1], "a", 0);
            first.output.logprobs = Some(Box::new(messages::Logprobs {
                input_token: Some(vec![(None, 7)]),
                input_token_ids: Some(vec![None]),
                ..messages::Logprobs::default()
            }));
            state.apply(first);
            let lists = state.output().logprobs.clone();
            (lists.input_token.len(), lists.input_token_ids.len())
        };
        assert_eq!((shown(-1), shown(1)), ((0, 0), (1, 1)));
    }

    #[test]
    fn hidden_states_accumulate_without_repeats_and_the_last_one_replaces() {
        let chunk = |x: f32| sglang_proto::HiddenStateChunk::Vector(vec![x]);
        let state = ReqState::new(request("a"), Instant::now());
        for (ids, offset, chunks) in [
            (&[1, 2][..], 0, vec![chunk(1.0), chunk(2.0)]),
            (&[2, 3], 1, vec![chunk(2.0), chunk(3.0)]),
            (&[3], 2, vec![chunk(3.0)]),
        ] {
            let mut new = delta(ids, "x", offset);
            new.output.hidden_states = Some(HiddenStates::List(chunks));
            state.apply(new);
        }
        let expected = HiddenStates::List(vec![chunk(1.0), chunk(2.0), chunk(3.0)]);
        assert_eq!(state.output().hidden_states, Some(expected));
        let state = ReqState::new(request("b"), Instant::now());
        for (ids, at) in [(&[1][..], 0), (&[2], 1)] {
            let mut new = delta(ids, "x", at);
            new.output.hidden_states = Some(HiddenStates::Vector(vec![at as f32]));
            state.apply(new);
        }
        state.apply(delta(&[3], "x", 2));
        assert_eq!(state.output().hidden_states, Some(HiddenStates::Vector(vec![1.0])));
    }

    const ATTEMPT: Attempt = Attempt { life: 2, number: 7 };

    fn submission(state: &ReqState) -> TokenizedGenerateReqInput {
        match state.submission(ATTEMPT, true) {
            AnyMessage::TokenizedGenerateReqInput(sent) => *sent,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_that_is_sent_again_carries_its_output() {
        let state = ReqState::new(request("a"), Instant::now());
        state.apply(delta(&[7, 8], "x", 0));
        let sent = submission(&state);
        assert_eq!((sent.rid.as_str(), sent.attempt, sent.resubmitted), ("a", Some(ATTEMPT), true));
        assert_eq!(sent.resumed_output_ids.unwrap().0, [7, 8]);
    }

    #[test]
    fn what_comes_once_is_kept_when_a_request_is_sent_again() {
        let request = TokenizedGenerateReqInput { logprob_start_len: 0, ..request("a") };
        let state = ReqState::new(request, Instant::now());
        let mut first = delta(&[1], "a", 0);
        first.output.counts.cached_tokens = 3;
        let logprobs = messages::Logprobs { input_token: Some(vec![(None, 7)]), ..Default::default() };
        first.output.logprobs = Some(Box::new(logprobs));
        assert!(!submission(&state).input_logprobs_sent);
        let mut again = first.clone();
        state.apply(first);
        assert!(submission(&state).input_logprobs_sent);
        again.output.output_offset = Some(1);
        again.output.counts.cached_tokens = 9;
        state.apply(again);
        let output = state.output();
        assert_eq!((output.logprobs.input_token.len(), output.counts.cached_tokens), (1, 3));
    }

    #[test]
    fn an_embedding_request_is_sent_again_as_it_was() {
        let params = EmbeddingParams { dimensions: Some(3), ..Default::default() };
        let state = ReqState::new(request("e"), Instant::now()).with_embedding(params);
        let sent = state.submission(ATTEMPT, true);
        let AnyMessage::TokenizedEmbeddingReqInput(sent) = sent else { panic!("an embedding") };
        assert_eq!((sent.rid.as_str(), sent.dimensions), ("e", Some(3)));
        assert_eq!(sent.input_ids.as_ref().unwrap().0, [1, 2]);
        assert!(sent.resubmitted && sent.attempt == Some(ATTEMPT));
    }
}
