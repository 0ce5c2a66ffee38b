//! Passes requests to the planner after their adapter, session and grammar are ready; and ends requests that are
//! refused or aborted before that.

use std::time::Instant;

use sglang_constrained::GrammarSpec;
use sglang_planner::{AbortCause, NewRequest, PlannerError};
use sglang_proto::grammar::GrammarHandle;
use sglang_proto::messages::{
    AbortReq, Attempt, FinishReason, TokenizedEmbeddingReqInput, TokenizedGenerateReqInput,
};

use super::EventLoop;
use crate::adapters::{Found, HeldRequest};
use crate::grammar::Outcome;
use crate::sessions::RequestEnd;

impl EventLoop<'_> {
    pub(super) fn add(&mut self, mut request: TokenizedGenerateReqInput) {
        if let Some(attempt) = request.attempt {
            let accepted = request.resumed_output_ids.as_ref().map_or(0, |ids| ids.len());
            if self.planner.resubmit(&request.rid, attempt, accepted, request.input_logprobs_sent) {
                // Output that was held back is sent again with the rest.
                self.watch(&request);
                return self.send_events();
            }
            self.start_attempt(&request.rid, attempt);
        }
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
        self.watch(&request);
        let seed = self.seeds.of(&rid);
        let received_at = since.map(|since| self.monitor.now() - since.elapsed().as_secs_f64());
        let request = NewRequest::from_message(request, seed);
        self.enter(rid, NewRequest { grammar, received_at, ..request });
    }

    fn watch(&mut self, request: &TokenizedGenerateReqInput) {
        if request.stream {
            let resumed = request.resumed_output_ids.as_ref().map_or(&[][..], |ids| ids.as_slice());
            self.outputs.watch(&request.rid, &request.sampling_params, resumed);
        }
    }

    /// Starts a new attempt of a request. Drops an earlier request with this id, which cannot continue under the new
    /// attempt or has not reached the planner.
    fn start_attempt(&mut self, rid: &str, attempt: Attempt) {
        let held = self.adapters.abort(&AbortReq { rid: Some(rid.to_owned()), ..Default::default() });
        if self.planner.forget(rid) || self.grammars.abort(rid) || !held.is_empty() {
            self.sessions.ended(rid, RequestEnd::Aborted, Instant::now());
        }
        self.attempts.insert(rid.to_owned(), attempt);
    }

    pub(super) fn add_embedding(&mut self, request: TokenizedEmbeddingReqInput) {
        if let Some(attempt) = request.attempt {
            if self.planner.resubmit(&request.rid, attempt, 0, false) {
                return;
            }
            self.start_attempt(&request.rid, attempt);
        }
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
            Ok(()) => {
                self.attempts.remove(&rid);
            }
            // The earlier request with this id continues; its output is the answer.
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
        let attempt = self.attempts.remove(&rid);
        let abort = AbortReq { rid: Some(rid), attempt, finished_reason: Some(reason), ..Default::default() };
        self.publish();
        self.outputs.send_end(abort, &self.links);
    }

    pub(super) fn abort(&mut self, abort: &AbortReq) {
        let mut waiting = match &abort.rid {
            _ if abort.abort_all => self.grammars.abort_all(),
            Some(rid) if self.grammars.abort(rid) => vec![rid.clone()],
            _ => Vec::new(),
        };
        waiting.extend(self.adapters.abort(abort));
        if let (Some(rid), Some(attempt)) = (&abort.rid, abort.attempt) {
            // The end is sent for the attempt that the abort names, even if there is no such request.
            match waiting.is_empty() && !self.planner.take_attempt(rid, attempt) {
                true => return self.end_unknown(rid.clone(), attempt),
                false => drop(self.attempts.insert(rid.clone(), attempt)),
            }
        }
        for rid in waiting {
            self.end(rid, RequestEnd::Aborted, FinishReason::aborted("Abort in waiting queue"));
        }
        if abort.abort_all {
            self.planner.abort_all(&AbortCause::Client);
        } else if let Some(rid) = &abort.rid {
            self.planner.abort(rid, &AbortCause::Client);
            self.attempts.remove(rid);
        }
    }

    /// Sends the end of an unknown request that is to be aborted: it has already ended or never arrived.
    fn end_unknown(&mut self, rid: String, attempt: Attempt) {
        self.attempts.insert(rid.clone(), attempt);
        self.end(rid, RequestEnd::Aborted, FinishReason::aborted("Aborted"));
    }
}
