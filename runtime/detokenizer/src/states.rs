//! Decoding state of live requests, bounded: when there are too many, the one that was started first is dropped.

use std::collections::{HashMap, VecDeque};

use sglang_proto::messages::Attempt;
use sglang_tokenizer::IncrementalDecoder;

/// States kept when `SGLANG_DETOKENIZER_MAX_STATES` does not say.
const MAX_STATES: usize = 1 << 16;

/// The state of one request.
#[derive(Debug)]
pub(crate) struct State {
    /// The try that it decodes; `None` where tries are not numbered.
    pub attempt: Option<Attempt>,
    /// Position of the next id.
    pub next: u64,
    pub decoder: IncrementalDecoder,
}

/// All requests by id.
#[derive(Debug)]
pub(crate) struct States {
    by_rid: HashMap<String, State>,
    /// Ids in order of arrival; may name requests that have ended.
    order: VecDeque<String>,
    max: usize,
}

impl States {
    /// Reads the bound from the environment.
    pub fn from_env() -> Self {
        let max = std::env::var("SGLANG_DETOKENIZER_MAX_STATES").ok().and_then(|v| v.parse().ok());
        Self::new(max.unwrap_or(MAX_STATES))
    }

    /// At most `max` states, at least one.
    pub fn new(max: usize) -> Self {
        Self { by_rid: HashMap::new(), order: VecDeque::new(), max: max.max(1) }
    }

    /// The state of a request, made by `start` for this try when it is new.
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

    /// A try has ended, and with it those before it.
    pub fn end(&mut self, rid: &str, attempt: Option<Attempt>) {
        if self.find(rid).is_some_and(|state| state.attempt <= attempt) {
            self.remove(rid);
        }
    }

    /// Whether the request is known.
    pub fn contains(&self, rid: &str) -> bool {
        self.by_rid.contains_key(rid)
    }

    /// Takes a request that has ended out.
    pub fn remove(&mut self, rid: &str) {
        self.by_rid.remove(rid);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.by_rid.clear();
        self.order.clear();
    }

    fn make_room(&mut self) {
        // Ended requests leave their id behind; clearing those away now and then keeps the queue short.
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
