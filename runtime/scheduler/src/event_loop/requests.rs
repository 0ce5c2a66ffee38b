//! Passes requests to the planner after their adapter, session and grammar are ready; and ends requests that are
//! refused or aborted before that.

use std::time::Instant;

use sglang_constrained::GrammarSpec;
use sglang_planner::{AbortCause, NewRequest, PlannerError};
use sglang_proto::grammar::GrammarHandle;
use sglang_proto::messages::{AbortReq, FinishReason, TokenizedEmbeddingReqInput, TokenizedGenerateReqInput};

use super::EventLoop;
use crate::adapters::{Found, HeldRequest};
use crate::grammar::Outcome;
use crate::sessions::RequestEnd;

impl EventLoop<'_> {
    pub(super) fn add(&mut self, mut request: TokenizedGenerateReqInput) {
        match self.adapters.find(request.lora_id.as_deref()) {
            Found::Loaded => {}
            Found::Reading => return self.adapters.hold(HeldRequest::Generate(Box::new(request))),
            Found::Nothing(why) => return self.refuse(request.rid, &why),
        }
        match self.sessions.enter_request(&mut request, Instant::now()) {
            Ok(replaced) => {
                for rid in replaced {
                    self.abort(&AbortReq { rid: Some(rid), ..Default::default() });
                }
            }
            Err(error) => return self.refuse(request.rid, &error.to_string()),
        }
        let Some(spec) = GrammarSpec::from_sampling_params(&request.sampling_params) else {
            return self.schedule(request, None, None);
        };
        if self.grammars.contains(&request.rid) {
            return tracing::warn!("{}", PlannerError::DuplicateRid(request.rid.clone()));
        }
        if let Some(outcome) = self.grammars.add(request, spec) {
            self.leave_grammar_queue(outcome);
        }
    }

    pub(super) fn leave_grammar_queue(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Ready(request, grammar, since) => self.schedule(*request, Some(grammar), Some(since)),
            Outcome::Refused(rid, 503, why) => {
                self.end(rid, RequestEnd::Refused, FinishReason::refused(why, 503, "ServiceUnavailable"));
            }
            Outcome::Refused(rid, _, why) => self.refuse(rid, &why),
        }
    }

    /// Passes a request to the planner, with its time of arrival if that was earlier.
    fn schedule(
        &mut self,
        request: TokenizedGenerateReqInput,
        grammar: Option<GrammarHandle>,
        since: Option<Instant>,
    ) {
        let rid = request.rid.clone();
        if request.stream {
            let resumed = request.resumed_output_ids.as_ref().map_or(&[][..], |ids| ids.as_slice());
            self.outputs.watch(&rid, &request.sampling_params, resumed);
        }
        let seed = self.seeds.of(&rid);
        let received_at = since.map(|since| self.monitor.now() - since.elapsed().as_secs_f64());
        let request = NewRequest::from_message(request, seed);
        self.enter(rid, NewRequest { grammar, received_at, ..request });
    }

    pub(super) fn add_embedding(&mut self, request: TokenizedEmbeddingReqInput) {
        match self.adapters.find(request.lora_id.as_deref()) {
            Found::Loaded => {}
            Found::Reading => return self.adapters.hold(HeldRequest::Embed(Box::new(request))),
            Found::Nothing(why) => return self.refuse(request.rid, &why),
        }
        let rid = request.rid.clone();
        self.enter(rid, NewRequest::from_embedding_message(request));
    }

    fn enter(&mut self, rid: String, request: NewRequest) {
        let now = self.monitor.now();
        match self.planner.add_request(request, now) {
            Ok(()) => {}
            // The request with this id goes on, and its answer is the answer.
            Err(error @ PlannerError::DuplicateRid(_)) => tracing::warn!("{error}"),
            Err(error) => self.refuse(rid, &error.to_string()),
        }
    }

    fn refuse(&mut self, rid: String, message: &str) {
        self.end(rid, RequestEnd::Refused, FinishReason::refused(message, 400, "BadRequestError"));
    }

    /// Ends a request that has not reached the planner.
    fn end(&mut self, rid: String, end: RequestEnd, reason: FinishReason) {
        self.sessions.ended(&rid, end, Instant::now());
        let abort = AbortReq { rid: Some(rid), finished_reason: Some(reason), ..Default::default() };
        self.links.answer(abort);
    }

    pub(super) fn abort(&mut self, abort: &AbortReq) {
        let mut waiting = match &abort.rid {
            _ if abort.abort_all => self.grammars.abort_all(),
            Some(rid) if self.grammars.abort(rid) => vec![rid.clone()],
            _ => Vec::new(),
        };
        waiting.extend(self.adapters.abort(abort));
        for rid in waiting {
            self.end(rid, RequestEnd::Aborted, FinishReason::aborted("Abort in waiting queue"));
        }
        if abort.abort_all {
            self.planner.abort_all(&AbortCause::Client);
        } else if let Some(rid) = &abort.rid {
            self.planner.abort(rid, &AbortCause::Client);
        }
    }
}
