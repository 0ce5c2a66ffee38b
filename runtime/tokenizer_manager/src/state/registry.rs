//! The ledger of requests in flight. Every entry leaves it by exactly one terminal event; one whose client has gone
//! stays until the scheduler confirms the abort, so that its id is not used twice at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::AHashMap;
use parking_lot::Mutex;
use sglang_ipc::PushLink;
use sglang_proto::messages::{AbortReq, AnyMessage, EmbeddingOutput, StrOutput, TokenizedGenerateReqInput};

use super::req_state::{Applied, ReqState};
use crate::lora::AdapterUse;
use crate::requests::ValueError;

/// How long an abort may stay unconfirmed before the entry is dropped anyway.
const ABORT_CONFIRMATION: Duration = Duration::from_secs(30);

struct Entry {
    state: Arc<ReqState>,
    /// Whether the scheduler has got the request.
    dispatched: bool,
    /// When the scheduler was asked to end it.
    abort_sent: Option<Instant>,
    /// Whether the client has gone.
    abandoned: bool,
    /// Held until the scheduler is done with the request.
    _adapter: Option<AdapterUse>,
}

/// Requests in flight by id.
pub struct Registry {
    entries: Mutex<AHashMap<String, Entry>>,
    scheduler: PushLink,
}

impl Registry {
    /// An empty ledger whose aborts go to `scheduler`.
    pub fn new(scheduler: PushLink) -> Arc<Self> {
        Arc::new(Self { entries: Mutex::default(), scheduler })
    }

    /// Whether a request with this id is in flight.
    pub fn contains(&self, rid: &str) -> bool {
        self.entries.lock().contains_key(rid)
    }

    /// The request with this id.
    pub fn state(&self, rid: &str) -> Option<Arc<ReqState>> {
        self.entries.lock().get(rid).map(|entry| entry.state.clone())
    }

    /// Requests whose clients still wait.
    pub fn live(&self) -> usize {
        self.entries.lock().values().filter(|e| !e.abandoned).count()
    }

    /// Enters a request.
    ///
    /// # Errors
    /// Its id is in flight.
    pub fn register(
        self: &Arc<Self>,
        request: TokenizedGenerateReqInput,
        created: Instant,
    ) -> Result<RequestHandle, ValueError> {
        self.enter(ReqState::new(request, created))
    }

    /// Enters a request of any kind.
    ///
    /// # Errors
    /// Its id is in flight.
    pub fn enter(self: &Arc<Self>, state: ReqState) -> Result<RequestHandle, ValueError> {
        let state = Arc::new(state);
        let mut entries = self.entries.lock();
        let expired =
            |e: &Entry| e.abandoned && e.abort_sent.is_some_and(|at| at.elapsed() > ABORT_CONFIRMATION);
        entries.retain(|rid, entry| {
            let expired = expired(entry);
            if expired {
                tracing::warn!("The scheduler never confirmed the abort of rid={rid}");
            }
            !expired
        });
        let rid = state.rid().to_owned();
        if entries.contains_key(&rid) {
            return Err(ValueError(format!("Duplicate request ID detected: {rid}")));
        }
        let entry = Entry {
            state: state.clone(),
            dispatched: false,
            abort_sent: None,
            abandoned: false,
            _adapter: state.take_adapter(),
        };
        entries.insert(rid, entry);
        Ok(RequestHandle { state, registry: self.clone(), seen: 0 })
    }

    /// Marks a request as sent to the scheduler.
    pub fn mark_dispatched(&self, rid: &str) {
        if let Some(entry) = self.entries.lock().get_mut(rid) {
            entry.dispatched = true;
        }
    }

    /// Asks the scheduler to end a request. Unknown ids and repeated calls do nothing.
    pub fn abort(&self, rid: &str) {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get_mut(rid).filter(|e| e.abort_sent.is_none() && e.dispatched) {
            entry.abort_sent = Some(Instant::now());
            self.send_abort(AbortReq { rid: Some(rid.to_owned()), ..Default::default() });
        }
    }

    /// Asks the scheduler to end every request.
    pub fn abort_all(&self) {
        self.send_abort(AbortReq { abort_all: true, ..Default::default() });
    }

    fn send_abort(&self, abort: AbortReq) {
        if let Err(error) = self.scheduler.send(abort) {
            tracing::warn!("Cannot send an abort to the scheduler: {error}");
        }
    }

    /// New output of a request. Gives the request back when this was its end.
    pub fn apply(&self, mut new: StrOutput) -> Option<Arc<ReqState>> {
        let rid = std::mem::take(&mut new.output.rid);
        self.settle(&rid, |state| state.apply(new))
    }

    /// The vector of a request. Gives the request back when this was its end.
    pub fn apply_embedding(&self, mut new: EmbeddingOutput) -> Option<Arc<ReqState>> {
        let rid = std::mem::take(&mut new.rid);
        self.settle(&rid, |state| state.apply_embedding(new))
    }

    /// The scheduler has ended a request. Gives the request back when this was its end.
    pub fn apply_abort(&self, abort: AbortReq) -> Option<Arc<ReqState>> {
        let rid = abort.rid.clone()?;
        self.settle(&rid, |state| state.apply_abort(abort))
    }

    fn settle(&self, rid: &str, apply: impl FnOnce(&ReqState) -> Applied) -> Option<Arc<ReqState>> {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get(rid) else {
            // The usual case is an abort that crossed with the last output.
            tracing::debug!("Output for rid={rid}, which is not in flight");
            return None;
        };
        match apply(&entry.state) {
            Applied::Finished => entries.remove(rid).map(|entry| entry.state),
            Applied::Running | Applied::Ignored => None,
        }
    }

    /// The unfinished requests as a restarted scheduler is to get them. Entries without a client are dropped: the new
    /// scheduler has never heard of them.
    pub fn resume(&self) -> Vec<AnyMessage> {
        let mut entries = self.entries.lock();
        entries.retain(|_, entry| !entry.abandoned);
        entries.values().filter(|entry| entry.dispatched).map(|entry| entry.state.resumed()).collect()
    }

    fn abandon(&self, rid: &str) {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(rid) else { return };
        if !entry.dispatched {
            entries.remove(rid);
            return;
        }
        entry.abandoned = true;
        entry.state.abandon();
        if entry.abort_sent.is_none() {
            entry.abort_sent = Some(Instant::now());
            self.send_abort(AbortReq { rid: Some(rid.to_owned()), ..Default::default() });
        }
    }
}

/// A client's hold on its request. Dropping it before the end aborts the request in the scheduler.
pub struct RequestHandle {
    state: Arc<ReqState>,
    registry: Arc<Registry>,
    seen: u64,
}

impl RequestHandle {
    /// The request and its output.
    pub fn state(&self) -> &ReqState {
        &self.state
    }

    /// The same, to be looked at when the handle is gone.
    pub fn shared_state(&self) -> Arc<ReqState> {
        self.state.clone()
    }

    /// Waits for news; several changes since the last call count as one.
    pub async fn next(&mut self) {
        loop {
            let revision = self.state.output().revision;
            if revision > self.seen {
                self.seen = revision;
                return;
            }
            self.state.changed().await;
        }
    }

    /// Waits for the end.
    pub async fn finished(&mut self) {
        while self.state.output().finish.is_none() {
            self.next().await;
        }
    }
}

impl Drop for RequestHandle {
    fn drop(&mut self) {
        if self.state.output().finish.is_none() {
            self.registry.abandon(self.state.rid());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::req_state::tests::{delta, request};
    use super::*;
    use sglang_ipc::{Endpoints, Identity, PullLink, Received};
    use sglang_proto::messages::FinishReason;
    use sglang_proto::wire::Role;

    fn of(rid: &str, mut new: StrOutput) -> StrOutput {
        new.output.rid = rid.to_owned();
        new
    }

    async fn fixture() -> (tempfile::TempDir, PullLink, Arc<Registry>) {
        let dir = tempfile::tempdir().unwrap();
        let endpoint = Endpoints::in_dir(dir.path()).scheduler_input;
        let pull = PullLink::bind(&endpoint).await.unwrap();
        let push =
            PushLink::connect(&endpoint, Arc::new(Identity::of_life(Role::TokenizerManager, 1, 0.into())));
        (dir, pull, Registry::new(push))
    }

    async fn next_abort(pull: &mut PullLink) -> AbortReq {
        loop {
            let received = tokio::time::timeout(Duration::from_secs(5), pull.recv()).await.unwrap().unwrap();
            if let Received::Message(AnyMessage::AbortReq(abort)) = received {
                return *abort;
            }
        }
    }

    #[tokio::test]
    async fn dropping_a_handle_aborts_once_and_the_id_is_free_after_confirmation() {
        let (_dir, mut pull, registry) = fixture().await;
        let handle = registry.register(request("r1"), Instant::now()).unwrap_or_else(|_| panic!());
        registry.mark_dispatched("r1");
        registry.abort("r1");
        registry.abort("r1");
        drop(handle);
        assert_eq!(next_abort(&mut pull).await.rid.as_deref(), Some("r1"));
        assert!(registry.register(request("r1"), Instant::now()).is_err());
        assert_eq!(registry.live(), 0);
        registry.apply_abort(AbortReq { rid: Some("r1".into()), ..Default::default() });
        assert!(registry.register(request("r1"), Instant::now()).is_ok());
        assert!(pull.try_recv().is_none());
    }

    #[tokio::test]
    async fn a_request_that_never_left_needs_no_abort() {
        let (_dir, mut pull, registry) = fixture().await;
        drop(registry.register(request("r1"), Instant::now()).unwrap_or_else(|_| panic!()));
        assert!(!registry.contains("r1"));
        let marker = registry.register(request("r2"), Instant::now()).unwrap_or_else(|_| panic!());
        registry.mark_dispatched("r2");
        drop(marker);
        assert_eq!(next_abort(&mut pull).await.rid.as_deref(), Some("r2"));
    }

    #[tokio::test]
    async fn changes_before_the_first_wait_are_seen_and_an_end_removes_the_entry() {
        let (_dir, _pull, registry) = fixture().await;
        let mut handle = registry.register(request("r1"), Instant::now()).unwrap_or_else(|_| panic!());
        registry.apply(of("r1", delta(&[1], "a", 0)));
        registry.apply(of("r1", delta(&[2], "b", 1)));
        handle.next().await;
        assert_eq!(handle.state().output().text, "ab");
        let mut last = of("r1", delta(&[], "", 2));
        last.output.finished_reason = Some(FinishReason::Length { length: 2 });
        registry.apply(last);
        handle.finished().await;
        assert!(!registry.contains("r1"));
        registry.apply(of("r1", delta(&[3], "c", 2)));
        assert_eq!(handle.state().output().text, "ab");
    }

    #[tokio::test]
    async fn a_restart_resumes_only_requests_with_a_client() {
        let (_dir, _pull, registry) = fixture().await;
        let kept = registry.register(request("kept"), Instant::now()).unwrap_or_else(|_| panic!());
        let gone = registry.register(request("gone"), Instant::now()).unwrap_or_else(|_| panic!());
        let waiting = registry.register(request("waiting"), Instant::now()).unwrap_or_else(|_| panic!());
        registry.mark_dispatched("kept");
        registry.mark_dispatched("gone");
        registry.apply(of("kept", delta(&[4], "x", 0)));
        drop(gone);
        let resumed = registry.resume();
        assert_eq!(resumed.len(), 1);
        let AnyMessage::TokenizedGenerateReqInput(first) = &resumed[0] else { panic!("a generation") };
        assert_eq!(first.rid, "kept");
        assert_eq!(first.resumed_output_ids.as_ref().unwrap().0, [4]);
        assert!(kept.state().output().finish.is_none() && waiting.state().output().finish.is_none());
    }
}
