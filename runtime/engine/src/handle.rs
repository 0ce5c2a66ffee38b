//! What the loop does with each message.

use std::hash::{BuildHasher, Hasher};

use sglang_constrained::GrammarSpec;
use sglang_proto::grammar::GrammarHandle;
use sglang_proto::messages::{
    AbortReq, AnyMessage, FinishReason, OpenSessionReqOutput, SetInternalStateReqOutput,
    TokenizedEmbeddingReqInput, TokenizedGenerateReqInput,
};
use sglang_sched::{AbortCause, NewRequest, PauseMode, SchedulerError};

use crate::event_loop::EventLoop;
use crate::grammar::{GrammarNews, Outcome};
use crate::links::Incoming;

impl EventLoop<'_> {
    /// Handles one thing that arrived. `true` when the loop must end.
    pub(crate) fn handle(&mut self, incoming: Incoming) -> bool {
        match incoming {
            Incoming::Message(message) => return self.handle_message(message),
            Incoming::TokenizerManager { restarted: true } => {
                tracing::warn!("The tokenizer manager was restarted: its requests are dropped");
                self.grammars.abort_all();
                self.scheduler.abort_all(&AbortCause::Client);
                // Nobody waits for these ends.
                drop(self.scheduler.take_events());
            }
            Incoming::TokenizerManager { restarted: false } => {}
            Incoming::Grammar(news) => self.on_grammar_news(news),
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
            // The settings that the reference lets be changed belong to parts this scheduler does not have.
            AnyMessage::SetInternalStateReq(request) => {
                self.reply(SetInternalStateReqOutput {
                    rid: request.rid,
                    http_worker_ipc: None,
                    updated: false,
                });
            }
            AnyMessage::OpenSessionReqInput(request) => {
                self.reply(OpenSessionReqOutput {
                    rid: request.rid,
                    http_worker_ipc: None,
                    session_id: request.session_id,
                    success: false,
                });
            }
            AnyMessage::ShutdownReq(_) => return true,
            AnyMessage::CloseSessionReqInput(_) | AnyMessage::ConfigureLoggingReq(_) => {}
            other => tracing::warn!("The scheduler does not take a {}", other.class()),
        }
        false
    }

    fn add(&mut self, request: TokenizedGenerateReqInput) {
        let Some(spec) = GrammarSpec::from_sampling_params(&request.sampling_params) else {
            return self.schedule(request, None);
        };
        let rid = request.rid.as_deref().unwrap_or_default();
        if self.grammars.contains(rid) {
            return tracing::warn!("{}", SchedulerError::DuplicateRid(rid.to_owned()));
        }
        if let Some(outcome) = self.grammars.add(request, spec) {
            self.leave_grammar_queue(outcome);
        }
    }

    fn on_grammar_news(&mut self, news: GrammarNews) {
        for outcome in self.grammars.on_news(news) {
            self.leave_grammar_queue(outcome);
        }
    }

    fn leave_grammar_queue(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Ready(request, grammar) => self.schedule(*request, Some(grammar)),
            Outcome::Refused(rid, 503, why) => {
                let reason = FinishReason::refused(why, 503, "ServiceUnavailable");
                self.reply(AbortReq { rid: Some(rid), finished_reason: Some(reason), ..Default::default() });
            }
            Outcome::Refused(rid, _, why) => self.refuse(rid, &why),
        }
    }

    /// Hands a request to the scheduler.
    fn schedule(&mut self, request: TokenizedGenerateReqInput, grammar: Option<GrammarHandle>) {
        let rid = request.rid.clone().unwrap_or_default();
        if request.stream {
            let resumed = request.resumed_output_ids.as_ref().map_or(&[][..], |ids| ids.as_slice());
            self.hold_back.watch(&rid, &request.sampling_params, resumed);
        }
        let seed = self.seed_of(&rid);
        let request = NewRequest::from_message(request, seed).map(|r| NewRequest { grammar, ..r });
        self.enter(rid, request);
    }

    fn add_embedding(&mut self, request: TokenizedEmbeddingReqInput) {
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
        let reason = FinishReason::refused(message, 400, "BadRequestError");
        self.reply(AbortReq { rid: Some(rid), finished_reason: Some(reason), ..Default::default() });
    }

    fn abort(&mut self, abort: &AbortReq) {
        let waiting = match &abort.rid {
            _ if abort.abort_all => self.grammars.abort_all(),
            Some(rid) if self.grammars.abort(rid) => vec![rid.clone()],
            _ => Vec::new(),
        };
        for rid in waiting {
            let reason = FinishReason::aborted("Abort in waiting queue");
            self.reply(AbortReq { rid: Some(rid), finished_reason: Some(reason), ..Default::default() });
        }
        if abort.abort_all {
            self.scheduler.abort_all(&AbortCause::Client);
        } else if let Some(rid) = &abort.rid {
            self.scheduler.abort(rid, &AbortCause::Client);
        }
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
