//! Emits output events: when they are due, and at the end of a request (reference:
//! `managers/scheduler_components/output_streamer.py`).

use std::sync::Arc;

use sglang_proto::messages::FinishReason;

use super::Planner;
use crate::OutputEvent;
use crate::req::ReqState;

/// Error text for a request that the planner lost.
const LOST: &str = "Internal error: the scheduler lost the request.";

impl Planner {
    /// Emits new ids if enough have accumulated: the first at once, then at the request's interval.
    pub(super) fn emit_if_due(&mut self, id: usize) {
        let Some(req) = self.reqs.get(id) else { return };
        let unsent = req.output_len() - req.sent;
        let due = if req.info.stream {
            let own = req.params.stream_interval.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
            unsent >= own.unwrap_or(self.config.stream_interval) || (!req.sent_any && unsent > 0)
        } else {
            unsent > 0 && req.output_len().is_multiple_of(self.config.tuning.force_stream_interval)
        };
        if due {
            self.emit(id, None, false);
        }
    }

    /// Ends a request: emits its terminal event, and releases its memory as soon as no batch in flight uses it. Does
    /// nothing if the request has already ended.
    pub(super) fn finish(&mut self, id: usize, reason: FinishReason, via_abort_req: bool) {
        let Some(req) = self.reqs.get_mut(id).filter(|req| req.state != ReqState::Finished) else { return };
        req.state = ReqState::Finished;
        let in_flight = req.in_flight;
        let rid = Arc::clone(&req.info.rid);
        self.running.retain(|other| *other != id);
        if self.chunked == Some(id) {
            self.chunked = None;
        }
        if self.ledger.close(&rid) {
            self.totals.finished += 1;
            self.emit(id, Some(reason), via_abort_req);
        } else {
            self.faults.push(format!("request {rid} ended twice; the second end was not sent"));
        }
        if in_flight == 0 {
            self.release(id);
        }
    }

    fn emit(&mut self, id: usize, finish_reason: Option<FinishReason>, via_abort_req: bool) {
        let Some(req) = self.reqs.get_mut(id) else { return };
        let input_logprobs = req.input_logprobs();
        // With numbered attempts, they may have to be sent again.
        if let Some(mut state) = req.input_logprob.take() {
            let complete = state.complete;
            state.sent |= complete;
            req.input_logprob = Some(state).filter(|_| !complete || req.info.attempt.is_some());
        }
        let output_logprobs = std::mem::take(&mut req.unsent_logprobs);
        if req.info.attempt.is_some() {
            req.sent_logprobs.extend_from_slice(&output_logprobs);
        }
        let new_ids = req.output_len() - req.sent;
        let event = OutputEvent {
            request: Arc::clone(&req.info),
            output_ids: req.output_ids()[req.sent..].to_vec(),
            output_offset: req.sent,
            output_logprobs,
            input_logprobs,
            hidden_states: req.hidden_states.as_mut().map_or_else(Vec::new, |h| h.take_unsent(new_ids)),
            embedding: req.unsent_embedding.take(),
            finish_reason,
            first: !req.sent_any,
            via_abort_req,
            completion_tokens: req.output_len(),
            cached_tokens: req.cached_tokens.unwrap_or(0),
            retraction_count: req.retraction_count,
            times: req.times.take_news(),
        };
        req.sent = req.output_len();
        req.sent_any = true;
        self.events.push(event);
    }

    /// Ends requests with 500 that are in the ledger but no longer exist. Only a bug can cause this.
    pub(super) fn answer_lost(&mut self) {
        let reqs = &self.reqs;
        let exists = |id: usize, rid: &str| {
            reqs.get(id).is_some_and(|req| &*req.info.rid == rid && req.state != ReqState::Finished)
        };
        for info in self.ledger.lost(exists) {
            self.ledger.close(&info.rid);
            self.totals.finished += 1;
            self.faults.push(format!("request {} was lost", info.rid));
            self.events.push(OutputEvent {
                output_ids: Vec::new(),
                output_offset: info.resumed_output_ids.len(),
                output_logprobs: Vec::new(),
                input_logprobs: None,
                hidden_states: Vec::new(),
                embedding: None,
                finish_reason: Some(FinishReason::refused(LOST, 500, "InternalServerError")),
                first: true,
                via_abort_req: true,
                completion_tokens: info.resumed_output_ids.len(),
                cached_tokens: 0,
                retraction_count: 0,
                times: None,
                request: info,
            });
        }
    }
}
