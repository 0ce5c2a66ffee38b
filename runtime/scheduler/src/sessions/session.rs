//! One session: its stored requests, and how a new one continues them.

use std::time::{Duration, Instant};

use ahash::{AHashMap, AHashSet};
use sglang_proto::messages::SessionParams;

use super::SessionError;

/// A request of a session with its prompt and output.
#[derive(Debug)]
struct Node {
    /// Unique number within the session, because requests may reuse an id.
    serial: u64,
    parent: Option<u64>,
    /// Prompt, then output.
    ids: Vec<u32>,
    prompt_len: usize,
    finished: bool,
}

impl Node {
    /// The prompt of a request that continues this one with `new` ids.
    fn continued_by(&self, params: &SessionParams, new: &[u32], bos: Option<u32>) -> Vec<u32> {
        let known = match params.drop_previous_output {
            Some(true) => &self.ids[..self.prompt_len],
            _ => &self.ids[..],
        };
        let kept = match params.offset {
            None | Some(0) => known.len(),
            Some(offset) => python_index(offset, known.len()),
        };
        let new = match new.split_first() {
            Some((first, rest)) if bos == Some(*first) => rest,
            _ => new,
        };
        known[..kept].iter().chain(new).copied().collect()
    }
}

/// A session (reference: `Session`).
#[derive(Debug)]
pub(super) struct Session {
    /// Whether the session only supports appending, one request at a time.
    streaming: bool,
    /// Idle time after which the session is closed.
    timeout: Option<Duration>,
    last_active: Instant,
    /// Requests by id.
    nodes: AHashMap<String, Node>,
    next_serial: u64,
    /// Number of tokens of all nodes.
    kept: usize,
    /// Whether the session is to be closed when its request has ended.
    pub(super) closing: bool,
}

/// How a new request continues a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Continuation {
    /// The whole prompt.
    pub(super) ids: Vec<u32>,
    /// Running requests that the new one replaces.
    pub(super) replaced: Vec<String>,
    parent: Option<u64>,
}

impl Session {
    pub(super) fn new(streaming: bool, timeout: Option<Duration>, now: Instant) -> Self {
        let nodes = AHashMap::new();
        Self { streaming, timeout, last_active: now, nodes, next_serial: 0, kept: 0, closing: false }
    }

    pub(super) fn is_streaming(&self) -> bool {
        self.streaming
    }

    pub(super) fn is_running(&self) -> bool {
        self.nodes.values().any(|node| !node.finished)
    }

    /// When the session times out; `None` while a request runs.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let timeout = self.timeout.filter(|_| !self.is_running())?;
        self.last_active.checked_add(timeout)
    }

    /// Number of stored tokens.
    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    fn count(&mut self) {
        self.kept = self.nodes.values().map(|node| node.ids.len()).sum();
    }

    /// The prompt of a request with `params` and `new` ids. If it continues another request, a leading `bos` of `new`
    /// is dropped. Removes replaced requests. Nothing changes after an error.
    pub(super) fn continue_with(
        &mut self,
        params: &SessionParams,
        new: &[u32],
        bos: Option<u32>,
    ) -> Result<Continuation, SessionError> {
        let replace = params.replace.unwrap_or(false);
        let parent = match &params.rid {
            _ if self.streaming => {
                self.check_append(params)?;
                self.nodes.values().next()
            }
            None => None,
            Some(rid) => match self.nodes.get(rid) {
                None => return Err(SessionError::UnknownRid),
                Some(node) if !node.finished && !replace => return Err(SessionError::NotFinished),
                node => node,
            },
        };
        let ids = match parent {
            None => new.to_vec(),
            Some(node) => node.continued_by(params, new, bos),
        };
        if ids.is_empty() {
            return Err(SessionError::Empty);
        }
        let parent = parent.map(|node| node.serial);
        let replaced = if replace { self.replace(params.rid.as_deref(), parent) } else { Vec::new() };
        Ok(Continuation { ids, replaced, parent })
    }

    /// Returns an error for options that a streaming session does not support.
    fn check_append(&self, params: &SessionParams) -> Result<(), SessionError> {
        if self.is_running() {
            return Err(SessionError::Busy);
        }
        let refused = [
            ("replace", params.replace.unwrap_or(false)),
            ("drop_previous_output", params.drop_previous_output.unwrap_or(false)),
            ("offset", params.offset.is_some_and(|offset| offset != 0)),
        ];
        match refused.into_iter().find(|(_, asked)| *asked) {
            Some((what, _)) => Err(SessionError::Streaming(what)),
            None => Ok(()),
        }
    }

    /// Removes the requests that continue the node `rid`, or all if it is `None`. Returns the ids of running ones.
    fn replace(&mut self, rid: Option<&str>, serial: Option<u64>) -> Vec<String> {
        let mut running = Vec::new();
        if let (Some(rid), Some(serial)) = (rid, serial) {
            if self.nodes.get(rid).is_some_and(|node| !node.finished) {
                running.push(rid.to_owned());
            }
            self.forget_below(serial, &mut running);
        } else {
            running.extend(self.nodes.drain().filter(|(_, node)| !node.finished).map(|(rid, _)| rid));
        }
        self.count();
        running
    }

    /// Stores a request that is about to run. `continuation` comes from [`Session::continue_with`].
    pub(super) fn start(&mut self, rid: &str, continuation: &Continuation, now: Instant) {
        self.last_active = now;
        let serial = self.next_serial;
        self.next_serial += 1;
        let ids = continuation.ids.clone();
        let node = Node { serial, parent: continuation.parent, prompt_len: ids.len(), ids, finished: false };
        self.nodes.insert(rid.to_owned(), node);
        self.count();
    }

    /// Replaces the stored output of a request with `accepted`; [`Session::append`] adds the output after it.
    pub(super) fn begin_output(&mut self, rid: &str, accepted: &[u32]) {
        if let Some(node) = self.nodes.get_mut(rid).filter(|node| !node.finished) {
            self.kept -= node.ids.len();
            node.ids.truncate(node.prompt_len);
            node.ids.extend_from_slice(accepted);
            self.kept += node.ids.len();
        }
    }

    /// Runs a stored request again because its end was lost. Returns its whole prompt.
    pub(super) fn run_again(&mut self, rid: &str, now: Instant) -> Option<Vec<u32>> {
        let node = self.nodes.get_mut(rid)?;
        node.finished = false;
        self.last_active = now;
        node.ids.truncate(node.prompt_len);
        let prompt = node.ids.clone();
        self.count();
        Some(prompt)
    }

    /// Appends new output of a request.
    pub(super) fn append(&mut self, rid: &str, ids: &[u32]) {
        if let Some(node) = self.nodes.get_mut(rid).filter(|node| !node.finished) {
            node.ids.extend_from_slice(ids);
            self.kept += ids.len();
        }
    }

    /// Handles the end of a request. Removes it if it was refused, or if it was aborted in a streaming session;
    /// otherwise later requests can continue it.
    pub(super) fn finish(&mut self, rid: &str, end: RequestEnd, now: Instant) {
        self.last_active = now;
        let keep = match end {
            RequestEnd::Served => true,
            RequestEnd::Aborted => !self.streaming,
            RequestEnd::Refused => false,
        };
        if !keep {
            self.nodes.remove(rid);
        } else if self.streaming {
            self.nodes.retain(|other, _| other == rid);
        }
        if let Some(node) = self.nodes.get_mut(rid) {
            node.finished = true;
        }
        self.count();
    }

    /// Removes all requests that continue the node; adds the ids of running ones to `running`.
    fn forget_below(&mut self, serial: u64, running: &mut Vec<String>) {
        let mut gone: AHashSet<u64> = AHashSet::from_iter([serial]);
        loop {
            let below = |node: &Node| node.parent.is_some_and(|parent| gone.contains(&parent));
            let next: Vec<String> =
                self.nodes.iter().filter(|(_, node)| below(node)).map(|(rid, _)| rid.clone()).collect();
            if next.is_empty() {
                return;
            }
            for rid in next {
                let Some(node) = self.nodes.remove(&rid) else { continue };
                gone.insert(node.serial);
                if !node.finished {
                    running.push(rid);
                }
            }
        }
    }
}

/// How a request of a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestEnd {
    /// It was served to its end.
    Served,
    /// The client aborted it.
    Aborted,
    /// It was refused.
    Refused,
}

/// The end index of Python's `list[:offset]`.
fn python_index(offset: i64, len: usize) -> usize {
    match usize::try_from(offset) {
        Ok(offset) => offset.min(len),
        Err(_) => len.saturating_sub(usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX)),
    }
}
