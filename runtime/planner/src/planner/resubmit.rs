//! Handles active requests that are submitted again, because output of them may have been lost.

use std::sync::Arc;

use sglang_proto::messages::Attempt;

use super::Planner;
use crate::RequestInfo;
use crate::req::{Req, ReqState};

impl Planner {
    /// Continues the request with this id as `attempt`, for a client that has `accepted` output ids. The output after
    /// them is sent again, without computing anything twice. An attempt that is not newer changes nothing. Returns
    /// `false` if there is no such request, or if the output to send again was not kept; then call [`Planner::forget`]
    /// and add the request again.
    pub fn resubmit(
        &mut self,
        rid: &str,
        attempt: Attempt,
        accepted: usize,
        input_logprobs_sent: bool,
    ) -> bool {
        let Some(id) = self.ledger.find(rid) else { return false };
        let Some(req) = self.reqs.get_mut(id) else { return false };
        if req.info.attempt.is_some_and(|known| known >= attempt) {
            return true;
        }
        // Hidden states are not kept after they are sent. Without numbered attempts, nothing is kept.
        let kept = req.hidden_states.is_none() && (req.info.attempt.is_some() || !req.sent_any);
        if !kept || !(req.resumed..=req.output_len()).contains(&accepted) {
            return false;
        }
        let ids = req.output_ids().get(..accepted).unwrap_or_default().to_vec();
        let info = RequestInfo { attempt: Some(attempt), resumed_output_ids: ids, ..(*req.info).clone() };
        req.info = Arc::new(info);
        rewind_logprobs(req, accepted);
        if let Some(state) = &mut req.input_logprob {
            state.sent = input_logprobs_sent;
        }
        req.sent = accepted;
        req.sent_any = false;
        let info = Arc::clone(&req.info);
        self.ledger.update(&info);
        self.emit_if_due(id);
        true
    }

    /// Assigns the end of the request with this id to another attempt. Returns `false` if there is no such request.
    pub fn take_attempt(&mut self, rid: &str, attempt: Attempt) -> bool {
        let found = self.ledger.find(rid).and_then(|id| self.reqs.get_mut(id));
        let Some(req) = found else { return false };
        let info = RequestInfo { attempt: Some(attempt), ..(*req.info).clone() };
        req.info = Arc::new(info);
        self.ledger.update(&req.info);
        true
    }

    /// Drops the request with this id without an event. Its computed prefix stays in the cache. Returns `false` if
    /// there is no such request.
    pub fn forget(&mut self, rid: &str) -> bool {
        let Some(id) = self.ledger.find(rid) else { return false };
        self.ledger.close(rid);
        self.totals.finished += 1;
        self.waiting.retain(|other| *other != id);
        self.running.retain(|other| *other != id);
        if self.chunked == Some(id) {
            self.chunked = None;
        }
        let Some(req) = self.reqs.get_mut(id) else { return true };
        req.state = ReqState::Finished;
        if req.in_flight == 0 {
            self.release(id);
        }
        true
    }
}

/// Marks the log-probabilities of the ids after the first `accepted` as unsent, so that they are sent again.
fn rewind_logprobs(req: &mut Req, accepted: usize) {
    let kept = (accepted - req.resumed).min(req.sent_logprobs.len());
    let mut again = req.sent_logprobs.split_off(kept);
    again.append(&mut req.unsent_logprobs);
    req.unsent_logprobs = again;
}
