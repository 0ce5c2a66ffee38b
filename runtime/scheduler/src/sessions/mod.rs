//! Sessions: prompts that continue earlier requests of the same session (reference: `session/session_controller.py`).
//!
//! A session remembers token ids, not keys and values: what a new request shares with earlier ones is found in the radix
//! cache like any other prefix.

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

/// Most sessions that are open at once.
const MAX_SESSIONS: usize = 65_536;
/// Most tokens that all sessions together remember (128 MiB).
const MAX_KEPT_TOKENS: usize = 32 << 20;

/// Why a request cannot continue a session; the texts are the reference's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// There is no such session.
    #[error("Invalid request: session id {0} does not exist")]
    Unknown(String),
    /// The session is closed once its request has ended.
    #[error("Invalid request: close was requested for session {0}")]
    Closing(String),
    /// The session has no such request.
    #[error("Invalid request session id")]
    UnknownRid,
    /// The request that is to be continued still runs.
    #[error("Session request is appending to a request that hasn't finished.")]
    NotFinished,
    /// There is no prompt at all.
    #[error("A session request must contain input tokens after restoring history.")]
    Empty,
    /// A streaming session runs one request at a time.
    #[error("Streaming session already has an active request.")]
    Busy,
    /// A streaming session only grows.
    #[error("Streaming sessions do not support {0}.")]
    Streaming(&'static str),
    /// The sessions remember as much as they may.
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
    /// Running requests that it replaces and that have to end.
    pub replaced: Vec<String>,
}

/// What concerns the sessions themselves.
#[derive(Debug)]
pub enum SessionsInput {
    /// Open a session.
    Open(OpenSessionReqInput),
    /// Close a session; there is no answer.
    Close(CloseSessionReqInput),
}

/// All open sessions (reference: `SessionController`).
///
/// Nothing here survives a restart, as in the reference: a request of a session that is gone is refused, and its client
/// opens another.
#[derive(Debug, Default)]
pub struct SessionController {
    /// The id that the tokenizer puts in front of every text.
    bos: Option<u32>,
    sessions: AHashMap<String, Session>,
    /// Session of each running request.
    running: AHashMap<String, String>,
}

impl SessionController {
    /// Without sessions. `bos` is the id that the tokenizer puts in front of every text.
    pub fn new(bos: Option<u32>) -> Self {
        Self { bos, ..Self::default() }
    }

    /// Handles one input; gives the answer if there is one.
    pub fn handle(&mut self, input: SessionsInput, now: Instant) -> Option<OpenSessionReqOutput> {
        match input {
            SessionsInput::Open(request) => {
                self.reap(now);
                let success = self.open(&request, now);
                let (rid, session_id) = (request.rid, request.session_id);
                Some(OpenSessionReqOutput { rid, http_worker_ipc: None, session_id, success })
            }
            SessionsInput::Close(request) => {
                self.close(&request.session_id);
                None
            }
        }
    }

    /// Puts the history of its session in front of a request that continues one. Gives the ids of running requests that
    /// it replaces and that have to end.
    ///
    /// # Errors
    /// The session cannot take the request; nothing is remembered of it.
    pub fn enter_request(
        &mut self,
        request: &mut TokenizedGenerateReqInput,
        now: Instant,
    ) -> Result<Vec<String>, SessionError> {
        let Some(params) = request.session_params.as_ref().filter(|params| params.id.is_some()) else {
            return Ok(Vec::new());
        };
        self.reap(now);
        let rid = request.rid.as_deref().unwrap_or_default();
        // An id that is in use goes on to be refused as such; its session must not take it for a new turn.
        if self.is_running(rid) {
            return Ok(Vec::new());
        }
        let new = request.input_ids.as_ref().map_or(&[][..], |ids| ids.as_slice());
        let entered = self.enter(rid, params, new, self.bos, now)?;
        request.input_ids = Some(entered.input_ids.into());
        Ok(entered.replaced)
    }

    /// Opens a session; `false` when one with its id is open, it has no id, or there are too many.
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
        // A time that is too long to be counted is for ever.
        let timeout = request.timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        self.sessions.insert(id.clone(), Session::new(request.streaming.unwrap_or(false), timeout, now));
        tracing::info!("Session opened: {id} (active={})", self.sessions.len());
        true
    }

    /// Closes a session and forgets its requests. Those that run go on; a streaming session waits for its own.
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

    /// Enters the request `rid`, which adds `new` ids to the session that `params` name. An opening `bos` of an added
    /// text is left out.
    ///
    /// # Errors
    /// The session cannot take the request; nothing is remembered of it.
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

    /// Keeps the output of requests that run in sessions.
    pub fn observe(&mut self, events: &[OutputEvent], now: Instant) {
        if self.running.is_empty() {
            return;
        }
        for event in events {
            let Some(session) = self.running.get(event.rid()).and_then(|id| self.sessions.get_mut(id)) else {
                continue;
            };
            session.append(event.rid(), &event.output_ids);
            if let Some(reason) = &event.finish_reason {
                self.ended(event.rid(), end_of(reason), now);
            }
        }
    }

    /// A request has ended; those that run in no session are none of ours.
    pub fn ended(&mut self, rid: &str, end: RequestEnd, now: Instant) {
        let Some(id) = self.running.remove(rid) else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.finish(rid, end, now);
        if session.closing {
            self.close(&id);
        }
    }

    /// Closes what has been idle for too long.
    pub fn reap(&mut self, now: Instant) {
        let due = |session: &Session| session.deadline().is_some_and(|deadline| deadline <= now);
        let due: Vec<String> =
            self.sessions.iter().filter(|(_, session)| due(session)).map(|(id, _)| id.clone()).collect();
        for id in due {
            tracing::info!("Session {id} timed out, closing.");
            self.close(&id);
        }
    }

    /// When the next session is due for [`SessionController::reap`].
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
