//! What the loop does with each message.

use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use sglang_constrained::GrammarSpec;
use sglang_proto::grammar::GrammarHandle;
use sglang_proto::messages::{
    AbortReq, AnyMessage, ConfigureLoggingReq, ExpertDistributionReq, ExpertDistributionReqOutput,
    FinishReason, OpenSessionReqOutput, SetInternalStateReqOutput, SlowDownReqInput, SlowDownReqOutput,
    TokenizedEmbeddingReqInput, TokenizedGenerateReqInput,
};
use sglang_proto::worker::ModelWorker;
use sglang_sched::{AbortCause, NewRequest, PauseMode, SchedulerError};

use crate::adapters::Found;
use crate::event_loop::EventLoop;
use crate::grammar::{GrammarNews, Outcome};
use crate::links::Incoming;
use crate::sessions::{RequestEnd, SessionError};

impl EventLoop<'_> {
    /// Handles one thing that arrived. `true` when the loop must end.
    pub(crate) fn handle(&mut self, incoming: Incoming) -> bool {
        match incoming {
            Incoming::Message(message) => return self.handle_message(message),
            Incoming::TokenizerManager { restarted: true } => {
                tracing::warn!("The tokenizer manager was restarted: its requests are dropped");
                for rid in self.grammars.abort_all() {
                    self.sessions.ended(&rid, RequestEnd::Aborted, Instant::now());
                }
                self.scheduler.abort_all(&AbortCause::Client);
                // Nobody but the sessions waits for these ends.
                let events = self.scheduler.take_events();
                self.sessions.observe(&events, Instant::now());
            }
            Incoming::TokenizerManager { restarted: false } => {}
            Incoming::Grammar(news) => self.on_grammar_news(news),
            Incoming::Adapter(request, result) => self.on_adapter(*request, result),
            Incoming::Weights(result) => self.on_weights(result),
            Incoming::Shutdown => return true,
        }
        false
    }

    fn handle_message(&mut self, message: AnyMessage) -> bool {
        match message {
            AnyMessage::TokenizedGenerateReqInput(request) => self.add(*request),
            AnyMessage::BatchTokenizedGenerateReqInput(batch) => {
                for request in batch.batch {
                    self.add(request);
                }
            }
            AnyMessage::TokenizedEmbeddingReqInput(request) => self.add_embedding(*request),
            AnyMessage::BatchTokenizedEmbeddingReqInput(batch) => {
                for request in batch.batch {
                    self.add_embedding(request);
                }
            }
            AnyMessage::AbortReq(abort) => self.abort(&abort),
            AnyMessage::FlushCacheReqInput(request) => self.flush(*request),
            AnyMessage::PauseGenerationReqInput(pause) => self.pause(&pause.mode),
            AnyMessage::ContinueGenerationReqInput(_) => self.scheduler.resume(),
            AnyMessage::ExpertDistributionReq(request) => self.expert_distribution(&request),
            AnyMessage::UpdateWeightFromDiskReqInput(request) => self.update_weights_from_disk(*request),
            AnyMessage::LoadLoRAAdapterReqInput(request) => self.load_adapter(*request),
            AnyMessage::UnloadLoRAAdapterReqInput(request) => self.unload_adapter(&request),
            AnyMessage::ReleaseMemoryOccupationReqInput(request) => self.release_memory_occupation(*request),
            AnyMessage::ResumeMemoryOccupationReqInput(request) => self.resume_memory_occupation(*request),
            AnyMessage::SlowDownReqInput(request) => self.slow_down(*request),
            AnyMessage::CheckWeightsReqInput(request) => self.check_weights(*request),
            AnyMessage::GetWeightsByNameReqInput(request) => self.get_weights_by_name(*request),
            AnyMessage::SetInternalStateReq(request) => {
                let updated = self.set_internal_state(&request.server_args);
                self.reply(SetInternalStateReqOutput { rid: request.rid, http_worker_ipc: None, updated });
            }
            AnyMessage::OpenSessionReqInput(request) => {
                self.sessions.reap(Instant::now());
                let success = self.sessions.open(&request, Instant::now());
                self.reply(OpenSessionReqOutput {
                    rid: request.rid,
                    http_worker_ipc: None,
                    session_id: request.session_id,
                    success,
                });
            }
            AnyMessage::ShutdownReq(_) => return true,
            AnyMessage::CloseSessionReqInput(request) => self.sessions.close(&request.session_id),
            AnyMessage::ConfigureLoggingReq(request) => {
                configure_logging(&request);
                // The tokenizer manager has no link to the detokenizer of its own.
                if let Err(error) = self.links.detokenizer.send(*request) {
                    tracing::error!("Cannot tell the detokenizer: {error}");
                }
            }
            AnyMessage::ProfileReq(request) => self.profile(&request),
            other => tracing::warn!("The scheduler does not take a {}", other.class()),
        }
        false
    }

    pub(crate) fn add(&mut self, mut request: TokenizedGenerateReqInput) {
        match self.adapters.find(request.lora_id.as_deref()) {
            Found::Loaded => {}
            Found::Reading => return self.adapters.hold(request.into()),
            Found::Nothing(why) => return self.refuse(request.rid.unwrap_or_default(), &why),
        }
        if let Err(error) = self.enter_session(&mut request) {
            return self.refuse(request.rid.unwrap_or_default(), &error.to_string());
        }
        let Some(spec) = GrammarSpec::from_sampling_params(&request.sampling_params) else {
            return self.schedule(request, None, None);
        };
        let rid = request.rid.as_deref().unwrap_or_default();
        if self.grammars.contains(rid) {
            return tracing::warn!("{}", SchedulerError::DuplicateRid(rid.to_owned()));
        }
        if let Some(outcome) = self.grammars.add(request, spec) {
            self.leave_grammar_queue(outcome);
        }
    }

    /// Puts the history of its session in front of a request that continues one.
    fn enter_session(&mut self, request: &mut TokenizedGenerateReqInput) -> Result<(), SessionError> {
        let Some(params) = request.session_params.as_ref().filter(|params| params.id.is_some()) else {
            return Ok(());
        };
        let now = Instant::now();
        self.sessions.reap(now);
        let rid = request.rid.as_deref().unwrap_or_default();
        // An id that is in use goes on to be refused as such; its session must not take it for a new turn.
        if self.sessions.is_running(rid) {
            return Ok(());
        }
        let new = request.input_ids.as_ref().map_or(&[][..], |ids| ids.as_slice());
        let entered = self.sessions.enter(rid, params, new, self.bos_token_id, now)?;
        request.input_ids = Some(entered.input_ids.into());
        for rid in entered.replaced {
            self.abort(&AbortReq { rid: Some(rid), ..Default::default() });
        }
        Ok(())
    }

    fn on_grammar_news(&mut self, news: GrammarNews) {
        for outcome in self.grammars.on_news(news) {
            self.leave_grammar_queue(outcome);
        }
    }

    fn leave_grammar_queue(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Ready(request, grammar, since) => self.schedule(*request, Some(grammar), Some(since)),
            Outcome::Refused(rid, 503, why) => {
                self.sessions.ended(&rid, RequestEnd::Refused, Instant::now());
                let reason = FinishReason::refused(why, 503, "ServiceUnavailable");
                self.reply(AbortReq { rid: Some(rid), finished_reason: Some(reason), ..Default::default() });
            }
            Outcome::Refused(rid, _, why) => self.refuse(rid, &why),
        }
    }

    /// Hands a request to the scheduler, one that came earlier with that moment.
    fn schedule(
        &mut self,
        request: TokenizedGenerateReqInput,
        grammar: Option<GrammarHandle>,
        since: Option<Instant>,
    ) {
        let rid = request.rid.clone().unwrap_or_default();
        if request.stream {
            let resumed = request.resumed_output_ids.as_ref().map_or(&[][..], |ids| ids.as_slice());
            self.hold_back.watch(&rid, &request.sampling_params, resumed);
        }
        let seed = self.seed_of(&rid);
        let received_at = since.map(|since| self.now() - since.elapsed().as_secs_f64());
        let request = NewRequest::from_message(request, seed);
        let request = request.map(|r| NewRequest { grammar, received_at, ..r });
        self.enter(rid, request);
    }

    pub(crate) fn add_embedding(&mut self, request: TokenizedEmbeddingReqInput) {
        match self.adapters.find(request.lora_id.as_deref()) {
            Found::Loaded => {}
            Found::Reading => return self.adapters.hold(request.into()),
            Found::Nothing(why) => return self.refuse(request.rid.unwrap_or_default(), &why),
        }
        let rid = request.rid.clone().unwrap_or_default();
        self.enter(rid, NewRequest::from_embedding_message(request));
    }

    fn enter(&mut self, rid: String, request: Result<NewRequest, SchedulerError>) {
        let now = self.now();
        match request.and_then(|request| self.scheduler.add_request(request, now)) {
            Ok(()) => {}
            // The request with this id goes on, and its answer is the answer.
            Err(error @ SchedulerError::DuplicateRid(_)) => tracing::warn!("{error}"),
            Err(error) => self.refuse(rid, &error.to_string()),
        }
    }

    /// The seed of a request that brings none: fixed by the server's seed and the request's id, so that it stays the
    /// same when the request is sent again after a restart.
    fn seed_of(&self, rid: &str) -> u64 {
        let mut hasher = ahash::RandomState::with_seeds(self.settings.random_seed, 1, 2, 3).build_hasher();
        hasher.write(rid.as_bytes());
        hasher.finish()
    }

    fn refuse(&mut self, rid: String, message: &str) {
        self.sessions.ended(&rid, RequestEnd::Refused, Instant::now());
        let reason = FinishReason::refused(message, 400, "BadRequestError");
        self.reply(AbortReq { rid: Some(rid), finished_reason: Some(reason), ..Default::default() });
    }

    fn abort(&mut self, abort: &AbortReq) {
        let mut waiting = match &abort.rid {
            _ if abort.abort_all => self.grammars.abort_all(),
            Some(rid) if self.grammars.abort(rid) => vec![rid.clone()],
            _ => Vec::new(),
        };
        waiting.extend(self.adapters.abort(abort));
        for rid in waiting {
            self.sessions.ended(&rid, RequestEnd::Aborted, Instant::now());
            let reason = FinishReason::aborted("Abort in waiting queue");
            self.reply(AbortReq { rid: Some(rid), finished_reason: Some(reason), ..Default::default() });
        }
        if abort.abort_all {
            self.scheduler.abort_all(&AbortCause::Client);
        } else if let Some(rid) = &abort.rid {
            self.scheduler.abort(rid, &AbortCause::Client);
        }
    }

    /// Passes the wish on to the model, after the steps that were submitted before it.
    fn expert_distribution(&self, request: &ExpertDistributionReq) {
        let action = request.action;
        let call = move |worker: &mut dyn ModelWorker| worker.expert_distribution(action);
        let done = self.worker.call(self.settings.watchdog_timeout, call);
        let message = match done {
            Ok(Ok(())) => String::new(),
            Ok(Err(message)) => message,
            Err(error) => error.to_string(),
        };
        self.reply(ExpertDistributionReqOutput {
            rid: request.rid.clone(),
            http_worker_ipc: None,
            success: message.is_empty(),
            message,
        });
    }

    /// Has every step wait, at most a third of the time after which the loop would take the model for dead.
    fn slow_down(&self, request: SlowDownReqInput) {
        let seconds = request.forward_sleep_time.unwrap_or_default().max(0.0);
        let delay = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        self.worker.slow_down(delay.min(self.settings.watchdog_timeout / 3));
        self.reply(SlowDownReqOutput { rid: request.rid, http_worker_ipc: None });
    }

    fn pause(&mut self, mode: &str) {
        match mode.parse::<PauseMode>() {
            Ok(mode) => self.scheduler.pause(mode),
            Err(error) => tracing::warn!("Not paused: {error}"),
        }
    }

    /// Answers the tokenizer manager.
    pub(crate) fn reply(&self, message: impl Into<AnyMessage>) {
        if let Err(error) = self.links.tokenizer.send(message) {
            tracing::error!("Cannot answer the tokenizer manager: {error}");
        }
    }
}

/// Sets the level of this process's log.
fn configure_logging(request: &ConfigureLoggingReq) {
    let Some(level) = &request.log_level else { return };
    if let Err(error) = sglang_process::logging::set_level(level) {
        tracing::warn!("{error}");
    }
}
