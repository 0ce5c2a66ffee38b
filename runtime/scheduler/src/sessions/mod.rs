//! Sessions: prompts that continue earlier requests of the same session (reference: `session/session_controller.py`).
//!
//! A session stores token ids, not keys and values. A new request finds its shared prefix in the radix cache, like any
//! other request.

mod session;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use ahash::AHashMap;
use sglang_planner::OutputEvent;
use sglang_proto::messages::{
    CloseSessionReqInput, FinishReason, OpenSessionReqInput, OpenSessionReqOutput, SessionParams,
    TokenizedGenerateReqInput,
};

pub use session::RequestEnd;
use session::Session;

/// Most open sessions.
const MAX_SESSIONS: usize = 65_536;
/// Most tokens that all sessions together store (128 MiB).
const MAX_KEPT_TOKENS: usize = 32 << 20;

/// Why a request cannot continue a session; the texts are the reference's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// There is no such session.
    #[error("Invalid request: session id {0} does not exist")]
    Unknown(String),
    /// The session will be closed when its request has ended.
    #[error("Invalid request: close was requested for session {0}")]
    Closing(String),
    /// The session has no such request.
    #[error("Invalid request session id")]
    UnknownRid,
    /// The request to continue is still running.
    #[error("Session request is appending to a request that hasn't finished.")]
    NotFinished,
    /// The prompt is empty.
    #[error("A session request must contain input tokens after restoring history.")]
    Empty,
    /// A streaming session runs one request at a time.
    #[error("Streaming session already has an active request.")]
    Busy,
    /// A streaming session only supports appending.
    #[error("Streaming sessions do not support {0}.")]
    Streaming(&'static str),
    /// The sessions have reached the limit of stored tokens.
    #[error(
        "The open sessions hold {0} tokens, which is the most they may; close sessions that are not needed."
    )]
    Full(usize),
}

/// A request of a session, ready to be served.
#[derive(Debug, PartialEq, Eq)]
pub struct SessionRequest {
    /// Its whole prompt.
    pub input_ids: Vec<u32>,
    /// Running requests that it replaces, which must end.
    pub replaced: Vec<String>,
}

/// Inputs of [`SessionController`].
#[derive(Debug)]
pub enum SessionsInput {
    /// Open a session.
    Open(OpenSessionReqInput),
    /// Close a session. There is no answer.
    Close(CloseSessionReqInput),
}

/// All open sessions (reference: `SessionController`).
///
/// No state survives a restart, as in the reference: requests of a lost session are refused, and the client opens a new
/// one.
#[derive(Debug, Default)]
pub struct SessionController {
    /// The id that the tokenizer adds at the start of every text.
    bos: Option<u32>,
    sessions: AHashMap<String, Session>,
    /// Session of each running request.
    running: AHashMap<String, String>,
}

impl SessionController {
    /// Starts without sessions. `bos` is the id that the tokenizer adds at the start of every text.
    pub fn new(bos: Option<u32>) -> Self {
        Self { bos, ..Self::default() }
    }

    /// Handles one input and returns the answer, if there is one.
    pub fn handle(&mut self, input: SessionsInput, now: Instant) -> Option<OpenSessionReqOutput> {
        match input {
            SessionsInput::Open(request) => {
                self.reap(now);
                let success = self.open(&request, now);
                let (rid, session_id) = (request.rid, request.session_id);
                Some(OpenSessionReqOutput { rid, session_id, success })
            }
            SessionsInput::Close(request) => {
                self.close(&request.session_id);
                None
            }
        }
    }

    /// If a request continues a session, prepends the session's history to its prompt. Returns the ids of running
    /// requests that it replaces, which must end.
    ///
    /// # Errors
    /// The session cannot accept the request, and stores nothing of it.
    pub fn enter_request(
        &mut self,
        request: &mut TokenizedGenerateReqInput,
        now: Instant,
    ) -> Result<Vec<String>, SessionError> {
        let Some(params) = request.session_params.as_ref().filter(|params| params.id.is_some()) else {
            return Ok(Vec::new());
        };
        self.reap(now);
        let rid = request.rid.as_str();
        // A duplicate id is refused later; the session must not treat it as a new turn.
        if self.is_running(rid) {
            return Ok(Vec::new());
        }
        if request.resubmitted
            && let Some(session) = params.id.as_ref().and_then(|id| self.sessions.get_mut(id))
            && let Some(prompt) = session.run_again(rid, now)
        {
            self.running.insert(rid.to_owned(), params.id.clone().unwrap_or_default());
            request.input_ids = Some(prompt.into());
            return Ok(Vec::new());
        }
        let new = request.input_ids.as_ref().map_or(&[][..], |ids| ids.as_slice());
        let entered = self.enter(rid, params, new, self.bos, now)?;
        request.input_ids = Some(entered.input_ids.into());
        Ok(entered.replaced)
    }

    /// Opens a session. Returns `false` if its id is in use or missing, or if there are too many sessions.
    pub fn open(&mut self, request: &OpenSessionReqInput, now: Instant) -> bool {
        let Some(id) = &request.session_id else { return false };
        if self.sessions.contains_key(id) {
            tracing::warn!("session id {id} already exist, cannot open.");
            return false;
        }
        if self.sessions.len() >= MAX_SESSIONS {
            tracing::warn!("{MAX_SESSIONS} sessions are open, cannot open another.");
            return false;
        }
        // A timeout too long to represent means no timeout.
        let timeout = request.timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        self.sessions.insert(id.clone(), Session::new(request.streaming.unwrap_or(false), timeout, now));
        tracing::info!("Session opened: {id} (active={})", self.sessions.len());
        true
    }

    /// Closes a session and drops its requests. Running ones continue; a streaming session closes after its running
    /// request.
    pub fn close(&mut self, id: &str) {
        let Some(session) = self.sessions.get_mut(id) else {
            return tracing::warn!("session id {id} does not exist, cannot delete.");
        };
        if session.is_streaming() && session.is_running() {
            tracing::info!("Deferring session close for {id} (unfinished request)");
            session.closing = true;
            return;
        }
        self.sessions.remove(id);
        self.running.retain(|_, session| session != id);
        tracing::info!("Session closed: {id} (active={})", self.sessions.len());
    }

    /// Number of open sessions.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether no session is open.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Whether a request with this id runs in a session.
    pub fn is_running(&self, rid: &str) -> bool {
        self.running.contains_key(rid)
    }

    /// Adds the request `rid`, which appends `new` ids to the session in `params`. Drops a leading `bos` of appended
    /// text.
    ///
    /// # Errors
    /// The session cannot accept the request, and stores nothing of it.
    pub fn enter(
        &mut self,
        rid: &str,
        params: &SessionParams,
        new: &[u32],
        bos: Option<u32>,
        now: Instant,
    ) -> Result<SessionRequest, SessionError> {
        let id = params.id.clone().unwrap_or_default();
        let kept: usize = self.sessions.values().map(Session::kept).sum();
        let session = match self.sessions.get_mut(&id) {
            None => return Err(SessionError::Unknown(id)),
            Some(session) if session.closing => return Err(SessionError::Closing(id)),
            Some(session) => session,
        };
        if kept >= MAX_KEPT_TOKENS {
            return Err(SessionError::Full(kept));
        }
        let mut continuation = session.continue_with(params, new, bos)?;
        session.start(rid, &continuation, now);
        let replaced = std::mem::take(&mut continuation.replaced);
        for rid in &replaced {
            self.running.remove(rid);
        }
        self.running.insert(rid.to_owned(), id);
        Ok(SessionRequest { input_ids: continuation.ids, replaced })
    }

    /// Stores the output of requests that run in sessions.
    pub fn observe(&mut self, events: &[OutputEvent], now: Instant) {
        if self.running.is_empty() {
            return;
        }
        for event in events {
            let Some(session) = self.running.get(event.rid()).and_then(|id| self.sessions.get_mut(id)) else {
                continue;
            };
            if event.first {
                session.begin_output(event.rid(), &event.request.resumed_output_ids);
            }
            session.append(event.rid(), &event.output_ids);
            if let Some(reason) = &event.finish_reason {
                self.ended(event.rid(), end_of(reason), now);
            }
        }
    }

    /// Handles the end of a request. Ignores requests without a session.
    pub fn ended(&mut self, rid: &str, end: RequestEnd, now: Instant) {
        let Some(id) = self.running.remove(rid) else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.finish(rid, end, now);
        if session.closing {
            self.close(&id);
        }
    }

    /// Closes sessions that have been idle for too long.
    pub fn reap(&mut self, now: Instant) {
        let due = |session: &Session| session.deadline().is_some_and(|deadline| deadline <= now);
        let due: Vec<String> =
            self.sessions.iter().filter(|(_, session)| due(session)).map(|(id, _)| id.clone()).collect();
        for id in due {
            tracing::info!("Session {id} timed out, closing.");
            self.close(&id);
        }
    }

    /// When [`SessionController::reap`] must close the next session.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.sessions.values().filter_map(Session::deadline).min()
    }
}

fn end_of(reason: &FinishReason) -> RequestEnd {
    match reason {
        FinishReason::Abort { status_code: Some(_), .. } => RequestEnd::Refused,
        FinishReason::Abort { status_code: None, .. } => RequestEnd::Aborted,
        FinishReason::Stop { .. } | FinishReason::Length { .. } => RequestEnd::Served,
    }
}
