//! The registry of requests in flight: the ledger of the recovery protocol. Every entry leaves it through exactly one
//! terminal event. An entry whose client has gone stays until the scheduler confirms the abort, so that no two requests
//! use the same id at once.
//!
//! Every attempt to serve a request has a number. When messages may have been lost, all requests are sent again under
//! new numbers ([`Registry::recover`]). Outputs of earlier attempts are ignored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ahash::AHashMap;
use parking_lot::Mutex;
use sglang_ipc::{IpcError, PushLink};
use sglang_proto::messages::{AbortReq, Attempt, EmbeddingOutput, StrOutput, TokenizedGenerateReqInput};

use super::req_state::{Applied, ReqState};
use crate::lora::AdapterUse;
use crate::requests::ValueError;

/// How long an abort may stay unconfirmed until the entry is dropped anyway.
const ABORT_CONFIRMATION: Duration = Duration::from_secs(30);

struct Entry {
    state: Arc<ReqState>,
    /// Order of arrival.
    order: u64,
    /// The number of the current attempt; `None` before the first.
    attempt: Option<Attempt>,
    /// When the scheduler was first asked to abort it. From then on it is never submitted again.
    abort_sent: Option<Instant>,
    /// Whether the client has gone.
    abandoned: bool,
    /// Held until the scheduler no longer works on the request.
    _adapter: Option<AdapterUse>,
}

impl Entry {
    /// Whether output of this attempt belongs to the request. A scheduler of the reference does not number attempts.
    fn is_current(&self, attempt: Option<Attempt>) -> bool {
        attempt.is_none() || attempt == self.attempt
    }
}

/// The requests in flight, by id.
pub struct Registry {
    entries: Mutex<AHashMap<String, Entry>>,
    scheduler: PushLink,
    /// The number of requests so far.
    arrivals: AtomicU64,
    /// The number of attempts so far.
    attempts: AtomicU64,
}

impl Registry {
    /// An empty registry that sends aborts to `scheduler`.
    pub fn new(scheduler: PushLink) -> Arc<Self> {
        let (arrivals, attempts) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { entries: Mutex::default(), scheduler, arrivals, attempts })
    }

    /// A number that is larger than all before it, including those of this role's earlier lives.
    fn next_attempt(&self) -> Attempt {
        Attempt { life: self.scheduler.life(), number: 1 + self.attempts.fetch_add(1, Ordering::Relaxed) }
    }

    /// Whether a request with this id is in flight.
    pub fn contains(&self, rid: &str) -> bool {
        self.entries.lock().contains_key(rid)
    }

    /// The requests in flight, in no particular order.
    pub fn states(&self) -> Vec<Arc<ReqState>> {
        self.entries.lock().values().map(|entry| entry.state.clone()).collect()
    }

    /// The number of requests whose clients are still waiting.
    pub fn live(&self) -> usize {
        self.entries.lock().values().filter(|e| !e.abandoned).count()
    }

    /// Adds a generation request.
    ///
    /// # Errors
    /// If its id is already in flight.
    pub fn register(
        self: &Arc<Self>,
        request: TokenizedGenerateReqInput,
        created: Instant,
    ) -> Result<RequestHandle, ValueError> {
        self.enter(ReqState::new(request, created))
    }

    /// Adds a request of any kind.
    ///
    /// # Errors
    /// If its id is already in flight.
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
            order: self.arrivals.fetch_add(1, Ordering::Relaxed),
            attempt: None,
            abort_sent: None,
            abandoned: false,
            _adapter: state.take_adapter(),
        };
        entries.insert(rid, entry);
        Ok(RequestHandle { state, registry: self.clone(), seen: 0 })
    }

    /// Sends a request to the scheduler for the first time.
    ///
    /// # Errors
    /// If the link does not accept the message.
    pub fn submit(&self, rid: &str) -> Result<(), IpcError> {
        let mut entries = self.entries.lock();
        match entries.get_mut(rid) {
            Some(entry) => self.send_entry(entry),
            None => Ok(()),
        }
    }

    /// Asks the scheduler to abort a request. Unknown ids and repeated calls have no effect.
    pub fn abort(&self, rid: &str) {
        if let Some(entry) = self.entries.lock().get_mut(rid) {
            self.abort_entry(entry);
        }
    }

    /// Asks the scheduler to abort every request.
    pub fn abort_all(&self) {
        let mut entries = self.entries.lock();
        entries.values_mut().for_each(|entry| self.abort_entry(entry));
        // This also covers requests that the scheduler may still have from an earlier tokenizer manager.
        self.send_abort(AbortReq { abort_all: true, ..Default::default() });
    }

    fn abort_entry(&self, entry: &mut Entry) {
        if entry.abort_sent.is_some() {
            return;
        }
        entry.abort_sent = Some(Instant::now());
        // Before its submission there is nothing to abort. Then the abort is sent instead of the submission.
        if entry.attempt.is_some() {
            let rid = Some(entry.state.rid().to_owned());
            self.send_abort(AbortReq { rid, attempt: entry.attempt, ..Default::default() });
        }
    }

    fn send_abort(&self, abort: AbortReq) {
        if let Err(error) = self.scheduler.send(abort) {
            tracing::warn!("Cannot send an abort to the scheduler: {error}");
        }
    }

    /// Sends a request under a new attempt: as a submission that continues after the output so far, or as an abort if
    /// it is being aborted.
    fn send_entry(&self, entry: &mut Entry) -> Result<(), IpcError> {
        let attempt = self.next_attempt();
        let again = entry.attempt.replace(attempt).is_some();
        if entry.abort_sent.is_some() {
            let rid = Some(entry.state.rid().to_owned());
            return self.scheduler.send(AbortReq { rid, attempt: Some(attempt), ..Default::default() });
        }
        self.scheduler.send(entry.state.submission(attempt, again))
    }

    /// The rule of recovery: messages between the processes may have been lost, so all requests are sent again, in
    /// their order. Returns the number of sent requests.
    pub fn recover(&self) -> usize {
        let mut entries = self.entries.lock();
        let mut sent: Vec<&mut Entry> = entries.values_mut().filter(|e| e.attempt.is_some()).collect();
        sent.sort_unstable_by_key(|entry| entry.order);
        for entry in &mut sent {
            if let Err(error) = self.send_entry(entry) {
                tracing::error!("Cannot send rid={} again: {error}", entry.state.rid());
            }
        }
        sent.len()
    }

    /// The request with this id, if `attempt` is its current one. Output of other attempts must have no effect.
    pub fn current(&self, rid: &str, attempt: Option<Attempt>) -> Option<Arc<ReqState>> {
        let entries = self.entries.lock();
        entries.get(rid).filter(|entry| entry.is_current(attempt)).map(|entry| entry.state.clone())
    }

    /// Applies new output of a request. Returns the request if this was its end.
    pub fn apply(&self, mut new: StrOutput) -> Option<Arc<ReqState>> {
        let (rid, attempt) = (std::mem::take(&mut new.output.rid), new.output.attempt);
        self.settle(&rid, attempt, |state| state.apply(new))
    }

    /// Applies the vector of a request. Returns the request if this was its end.
    pub fn apply_embedding(&self, mut new: EmbeddingOutput) -> Option<Arc<ReqState>> {
        let (rid, attempt) = (std::mem::take(&mut new.rid), new.attempt);
        self.settle(&rid, attempt, |state| state.apply_embedding(new))
    }

    /// Applies the scheduler's abort of a request. Returns the request if this was its end.
    pub fn apply_abort(&self, abort: AbortReq) -> Option<Arc<ReqState>> {
        let rid = abort.rid.clone()?;
        self.settle(&rid, abort.attempt, |state| state.apply_abort(abort))
    }

    fn settle(
        &self,
        rid: &str,
        attempt: Option<Attempt>,
        apply: impl FnOnce(&ReqState) -> Applied,
    ) -> Option<Arc<ReqState>> {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(rid).filter(|entry| entry.is_current(attempt)) else {
            // Usually an abort that was sent while the last output was on its way.
            tracing::debug!("Output for rid={rid}, which is not in flight");
            return None;
        };
        match apply(&entry.state) {
            Applied::Finished => entries.remove(rid).map(|entry| entry.state),
            Applied::Running | Applied::Ignored => None,
            Applied::Misplaced => {
                tracing::debug!("Output of rid={rid} is not where its client stands; it is sent again");
                if let Err(error) = self.send_entry(entry) {
                    tracing::error!("Cannot send rid={rid} again: {error}");
                }
                None
            }
        }
    }

    fn abandon(&self, rid: &str) {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(rid) else { return };
        if entry.attempt.is_none() {
            entries.remove(rid);
            return;
        }
        entry.abandoned = true;
        entry.state.abandon();
        self.abort_entry(entry);
    }
}

/// A client's handle on its request. To drop it before the end aborts the request in the scheduler.
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

    /// The same, for use after the handle is dropped.
    pub fn shared_state(&self) -> Arc<ReqState> {
        self.state.clone()
    }

    /// Waits for a change. Several changes since the last call count as one.
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

    /// Waits for the end of the request.
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
    use sglang_proto::messages::{AnyMessage, FinishReason};
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

    /// The next message about a request.
    async fn next_message(pull: &mut PullLink) -> AnyMessage {
        loop {
            let received = tokio::time::timeout(Duration::from_secs(5), pull.recv()).await.unwrap().unwrap();
            if let Received::Message(message) = received {
                return message;
            }
        }
    }

    /// Id, attempt, output so far, and whether the request was sent before.
    async fn next_submission(pull: &mut PullLink) -> (String, Attempt, Vec<u32>, bool) {
        match next_message(pull).await {
            AnyMessage::TokenizedGenerateReqInput(r) => (
                r.rid,
                r.attempt.unwrap(),
                r.resumed_output_ids.map(|ids| ids.0).unwrap_or_default(),
                r.resubmitted,
            ),
            other => panic!("{other:?}"),
        }
    }

    fn at(attempt: Attempt, mut new: StrOutput) -> StrOutput {
        new.output.attempt = Some(attempt);
        new
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
        registry.submit("r1").unwrap();
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
        registry.submit("r2").unwrap();
        drop(marker);
        assert_eq!(next_abort(&mut pull).await.rid.as_deref(), Some("r2"));
    }

    #[tokio::test]
    async fn an_abort_before_the_submission_is_not_forgotten() {
        let (_dir, mut pull, registry) = fixture().await;
        let mut handle = registry.register(request("r1"), Instant::now()).unwrap_or_else(|_| panic!());
        registry.abort("r1");
        registry.submit("r1").unwrap();
        let AnyMessage::AbortReq(abort) = next_message(&mut pull).await else { panic!("an abort") };
        assert!(abort.attempt.is_some());
        registry.apply_abort(*abort);
        handle.finished().await;
        assert!(!registry.contains("r1"));
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
    async fn everything_is_sent_again_in_order_from_where_clients_stand() {
        let (_dir, mut pull, registry) = fixture().await;
        let enter = |rid: &str| registry.register(request(rid), Instant::now()).unwrap_or_else(|_| panic!());
        let mut handles: Vec<_> = ["c", "a", "b"].into_iter().map(enter).collect();
        let waiting = enter("waiting");
        let mut first = Vec::new();
        for rid in ["c", "a", "b"] {
            registry.submit(rid).unwrap();
            let (sent, attempt, accepted, again) = next_submission(&mut pull).await;
            assert_eq!((sent.as_str(), accepted.len(), again), (rid, 0, false));
            first.push(attempt);
        }
        assert!(first.is_sorted());
        registry.apply(at(first[0], of("c", delta(&[4], "x", 0))));
        drop(handles.remove(1));
        assert_eq!(next_abort(&mut pull).await.attempt, Some(first[1]));
        assert_eq!(registry.recover(), 3);
        let (rid, second, accepted, again) = next_submission(&mut pull).await;
        assert_eq!((rid.as_str(), accepted, again), ("c", vec![4], true));
        assert!(second > first[2]);
        // The request whose client has gone is not submitted again, and still ends.
        let aborted = next_abort(&mut pull).await;
        assert_eq!(aborted.rid.as_deref(), Some("a"));
        assert_eq!(next_submission(&mut pull).await.0, "b");
        registry.apply_abort(AbortReq { attempt: Some(first[1]), ..aborted.clone() });
        assert!(registry.contains("a"), "an end of an earlier try ends nothing");
        registry.apply_abort(aborted);
        assert!(!registry.contains("a") && registry.contains("waiting"));
        drop(waiting);
    }

    #[tokio::test]
    async fn output_of_an_earlier_try_changes_nothing_and_a_gap_is_asked_for_again() {
        let (_dir, mut pull, registry) = fixture().await;
        let handle = registry.register(request("r"), Instant::now()).unwrap_or_else(|_| panic!());
        registry.submit("r").unwrap();
        let first = next_submission(&mut pull).await.1;
        registry.apply(at(first, of("r", delta(&[1, 2], "ab", 0))));
        registry.recover();
        let (_, second, accepted, _) = next_submission(&mut pull).await;
        assert_eq!(accepted, [1, 2]);
        // Late and overlapping output must add neither ids nor text twice.
        registry.apply(at(first, of("r", delta(&[3], "c", 2))));
        registry.apply(at(second, of("r", delta(&[2, 3], "bc", 1))));
        let (_, third, accepted, _) = next_submission(&mut pull).await;
        assert_eq!(accepted, [1, 2]);
        registry.apply(at(third, of("r", delta(&[3, 4], "cd", 2))));
        registry.apply(at(third, of("r", delta(&[6], "f", 5))));
        let (_, fourth, accepted, _) = next_submission(&mut pull).await;
        assert_eq!(accepted, [1, 2, 3, 4]);
        let mut last = at(fourth, of("r", delta(&[5], "e", 4)));
        last.output.finished_reason = Some(FinishReason::Length { length: 5 });
        registry.apply(last);
        let output = handle.state().output();
        assert_eq!((output.text.as_str(), &output.output_ids[..]), ("abcde", &[1, 2, 3, 4, 5][..]));
        assert!(output.finish.is_some());
    }
}
