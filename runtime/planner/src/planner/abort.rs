//! Aborts requests.

use sglang_proto::messages::FinishReason;

use super::Planner;
use crate::req::ReqState;

/// Why a request is aborted.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum AbortCause {
    /// The client asked for it or disconnected.
    #[default]
    Client,
    /// The server decided so, for example after a timeout: 503 with this text.
    Server(String),
}

impl Planner {
    /// Ends the request with exactly this id, in any state. Its memory is freed at once, or when the running batch is
    /// back. Returns whether there was such a request; a second abort finds none.
    pub fn abort(&mut self, rid: &str, cause: &AbortCause) -> bool {
        let Some(id) = self.ledger.find(rid) else { return false };
        let Some(state) = self.reqs.get(id).map(|req| req.state) else { return false };
        if state == ReqState::Waiting {
            self.waiting.retain(|other| *other != id);
        }
        self.finish(id, reason(cause, state), state != ReqState::Running);
        true
    }

    /// Ends all requests and returns their number.
    pub fn abort_all(&mut self, cause: &AbortCause) -> usize {
        self.waiting.clear();
        let live: Vec<(usize, ReqState)> = self
            .reqs
            .iter()
            .map(|(id, req)| (id, req.state))
            .filter(|(_, state)| *state != ReqState::Finished)
            .collect();
        for (id, state) in &live {
            self.finish(*id, reason(cause, *state), *state != ReqState::Running);
        }
        live.len()
    }
}

fn reason(cause: &AbortCause, state: ReqState) -> FinishReason {
    match (cause, state) {
        (AbortCause::Client, ReqState::Waiting) => FinishReason::aborted("Abort in waiting queue"),
        (AbortCause::Client, _) => FinishReason::aborted("Aborted"),
        (AbortCause::Server(message), _) => {
            FinishReason::Abort { message: message.clone(), status_code: Some(503), err_type: None }
        }
    }
}
