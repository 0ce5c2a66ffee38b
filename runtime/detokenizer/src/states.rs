//! Decoding states of active requests. Their number is limited: when there are too many, the oldest is dropped.

use std::collections::{HashMap, VecDeque};

use sglang_proto::messages::Attempt;
use sglang_tokenizer::IncrementalDecoder;

/// Default of `SGLANG_DETOKENIZER_MAX_STATES`, the most states.
const MAX_STATES: usize = 1 << 16;

/// The state of one request.
#[derive(Debug)]
pub(crate) struct State {
    /// The attempt that it decodes; `None` if attempts are not numbered.
    pub attempt: Option<Attempt>,
    /// Position of the next id.
    pub next: u64,
    pub decoder: IncrementalDecoder,
}

/// The states of all requests, by id.
#[derive(Debug)]
pub(crate) struct States {
    by_rid: HashMap<String, State>,
    /// Ids in order of arrival; may contain requests that have ended.
    order: VecDeque<String>,
    max: usize,
}

impl States {
    /// Creates an empty map with the limit from the environment.
    pub fn from_env() -> Self {
        let max = std::env::var("SGLANG_DETOKENIZER_MAX_STATES").ok().and_then(|v| v.parse().ok());
        Self::new(max.unwrap_or(MAX_STATES))
    }

    /// Creates an empty map for at most `max` states, but at least one.
    pub fn new(max: usize) -> Self {
        Self { by_rid: HashMap::new(), order: VecDeque::new(), max: max.max(1) }
    }

    /// The state of a request. If there is none, `start` creates it for this attempt.
    pub fn entry(
        &mut self,
        rid: &str,
        attempt: Option<Attempt>,
        start: impl FnOnce() -> IncrementalDecoder,
    ) -> &mut State {
        if !self.by_rid.contains_key(rid) {
            self.make_room();
            self.order.push_back(rid.to_owned());
        }
        let new = || State { attempt, next: 0, decoder: start() };
        self.by_rid.entry(rid.to_owned()).or_insert_with(new)
    }

    /// The state of a request.
    pub fn find(&self, rid: &str) -> Option<&State> {
        self.by_rid.get(rid)
    }

    /// Handles the end of an attempt, which also ends all earlier attempts of the request.
    pub fn end(&mut self, rid: &str, attempt: Option<Attempt>) {
        if self.find(rid).is_some_and(|state| state.attempt <= attempt) {
            self.remove(rid);
        }
    }

    /// Whether the request is known.
    pub fn contains(&self, rid: &str) -> bool {
        self.by_rid.contains_key(rid)
    }

    /// Removes a request that has ended.
    pub fn remove(&mut self, rid: &str) {
        self.by_rid.remove(rid);
    }

    /// Removes all requests.
    pub fn clear(&mut self) {
        self.by_rid.clear();
        self.order.clear();
    }

    fn make_room(&mut self) {
        // Requests that have ended leave their id in the queue. Removing these from time to time keeps it short.
        if self.order.len() > 2 * self.by_rid.len() + 64 {
            let by_rid = &self.by_rid;
            self.order.retain(|rid| by_rid.contains_key(rid));
        }
        while self.by_rid.len() >= self.max {
            let Some(oldest) = self.order.pop_front() else { return };
            if self.by_rid.remove(&oldest).is_some() {
                tracing::warn!(
                    "Too many requests to decode: the state of {oldest} was dropped (SGLANG_DETOKENIZER_MAX_STATES \
                     is {})",
                    self.max
                );
            }
        }
    }
}
