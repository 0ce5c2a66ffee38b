//! One session: the requests it remembers and how a new one continues them.

use std::time::{Duration, Instant};

use ahash::{AHashMap, AHashSet};
use sglang_proto::messages::SessionParams;

use super::SessionError;

/// A request of a session with everything it said and was told.
#[derive(Debug)]
struct Node {
    /// Number of the node within its session; requests may use an id again.
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
    /// Only appends, one request at a time.
    streaming: bool,
    /// Idle time after which it is closed.
    timeout: Option<Duration>,
    last_active: Instant,
    /// By request id.
    nodes: AHashMap<String, Node>,
    next_serial: u64,
    /// Tokens of all nodes.
    kept: usize,
    /// Is closed as soon as its request has ended.
    pub(super) closing: bool,
}

/// What a new request of a session means.
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

    /// When it is closed for want of requests; never while one runs.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let timeout = self.timeout.filter(|_| !self.is_running())?;
        self.last_active.checked_add(timeout)
    }

    /// Tokens it remembers.
    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    fn count(&mut self) {
        self.kept = self.nodes.values().map(|node| node.ids.len()).sum();
    }

    /// The prompt of a request with `params` and `new` ids, whose first is dropped when it continues another request
    /// and is `bos`. Forgets what is replaced; after an error nothing has changed.
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

    /// What a streaming session does not do.
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

    /// Forgets what continues the node `rid`, or everything without one. Gives the ids of what is still running.
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

    /// Remembers a request that is about to run. `continuation` is what [`Session::continue_with`] gave.
    pub(super) fn start(&mut self, rid: &str, continuation: &Continuation, now: Instant) {
        self.last_active = now;
        let serial = self.next_serial;
        self.next_serial += 1;
        let ids = continuation.ids.clone();
        let node = Node { serial, parent: continuation.parent, prompt_len: ids.len(), ids, finished: false };
        self.nodes.insert(rid.to_owned(), node);
        self.count();
    }

    /// New output of a request.
    pub(super) fn append(&mut self, rid: &str, ids: &[u32]) {
        if let Some(node) = self.nodes.get_mut(rid).filter(|node| !node.finished) {
            node.ids.extend_from_slice(ids);
            self.kept += ids.len();
        }
    }

    /// A request has ended. One that was never served, or that a streaming session lost, is forgotten; otherwise later
    /// ones can continue it.
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

    /// Forgets everything that continues the node; ids of what is still running go to `running`.
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
    /// By itself.
    Served,
    /// The client ended it.
    Aborted,
    /// It could not be served.
    Refused,
}

/// The end of `list[:offset]`, as Python counts.
fn python_index(offset: i64, len: usize) -> usize {
    match usize::try_from(offset) {
        Ok(offset) => offset.min(len),
        Err(_) => len.saturating_sub(usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX)),
    }
}
