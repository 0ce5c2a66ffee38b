//! The planner. This file has its state; each file beside it adds one operation.

mod abort;
mod adapters;
mod add;
mod batch;
mod decode;
mod emit;
mod hold;
mod pause;
mod plan;
mod preempt;
mod prefill;
mod release;
mod resubmit;
mod result;
mod retract;
mod snapshot;
mod timeouts;
mod verify;

use std::collections::VecDeque;

use ahash::AHashSet;
use slab::Slab;

pub use abort::AbortCause;
pub use pause::PauseMode;
pub use plan::Plan;

use crate::admission::NewTokenRatio;
use crate::ledger::Ledger;
use crate::memory::{ReqToTokenPool, TokenToKvPoolAllocator};
use crate::policy::{PrefixKey, SchedulePolicy};
use crate::radix_cache::RadixCache;
use crate::req::{Req, ReqState};
use crate::{OutputEvent, PlannerConfig, PlannerError};

/// A request's part of a batch in flight.
#[derive(Clone, Copy, Debug)]
struct Entry {
    req: usize,
    extend_len: usize,
    sample: bool,
    /// Number of requested rows of input log-probabilities.
    logprob_rows: usize,
    /// Number of requested hidden states.
    hidden_rows: usize,
    /// The prefix that it prefills, for deferral.
    prefix_key: Option<PrefixKey>,
}

/// A batch that the worker is running.
#[derive(Debug)]
struct InFlight {
    forward_id: u64,
    entries: Vec<Entry>,
}

/// Totals since the start.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    steps: u64,
    requests: u64,
    finished: u64,
    admitted: u64,
    retractions: u64,
    prefill_tokens: u64,
    output_tokens: u64,
    cache_query_tokens: u64,
    cache_hit_tokens: u64,
}

/// Plans batches and tracks requests and KV slots. The crate's documentation explains how a step works.
#[derive(Debug)]
pub struct Planner {
    config: PlannerConfig,
    kv: TokenToKvPoolAllocator,
    rows: ReqToTokenPool,
    tree: RadixCache,
    policy: SchedulePolicy,
    ratio: NewTokenRatio,
    reqs: Slab<Req>,
    ledger: Ledger,
    waiting: VecDeque<usize>,
    running: Vec<usize>,
    /// The single request whose prompt is only partly planned.
    chunked: Option<usize>,
    in_flight: VecDeque<InFlight>,
    /// No more requests can be admitted until one ends.
    batch_is_full: bool,
    /// A chunk ran while other requests were waiting to decode, so a decode step is next.
    decode_owed: bool,
    pause: Option<PauseMode>,
    /// Adapters with a reserved place in every batch.
    pinned_adapters: AHashSet<String>,
    /// Whether waiting requests are held back.
    admission_held: bool,
    events: Vec<OutputEvent>,
    faults: Vec<String>,
    totals: Totals,
    now: f64,
}

impl Planner {
    /// An idle planner.
    ///
    /// # Errors
    /// See [`PlannerConfig::check`].
    pub fn new(config: PlannerConfig) -> Result<Self, PlannerError> {
        config.check()?;
        let tree =
            RadixCache::new(config.page_size, config.radix_eviction_policy, config.disable_radix_cache);
        let policy = SchedulePolicy::new(
            config.schedule_policy,
            &tree,
            config.enable_priority_scheduling,
            config.page_size,
            config.random_seed,
        );
        Ok(Self {
            kv: TokenToKvPoolAllocator::new(config.max_total_num_tokens, config.page_size),
            rows: ReqToTokenPool::new(config.max_running_requests),
            ratio: NewTokenRatio::new(config.schedule_conservativeness, &config.tuning),
            tree,
            policy,
            reqs: Slab::new(),
            ledger: Ledger::default(),
            waiting: VecDeque::new(),
            running: Vec::new(),
            chunked: None,
            in_flight: VecDeque::new(),
            batch_is_full: false,
            decode_owed: false,
            pause: None,
            pinned_adapters: AHashSet::new(),
            admission_held: false,
            events: Vec::new(),
            faults: Vec::new(),
            totals: Totals::default(),
            now: 0.0,
            config,
        })
    }

    /// The settings.
    pub fn config(&self) -> &PlannerConfig {
        &self.config
    }

    /// Sets the current time, on the clock of [`Planner::plan`]. Call it before passing in a result.
    pub fn set_now(&mut self, now: f64) {
        self.now = now;
    }

    /// Returns the events since the last call, in order.
    pub fn take_events(&mut self) -> Vec<OutputEvent> {
        std::mem::take(&mut self.events)
    }

    /// Returns inconsistencies in the planner's state since the last call, for the log. Only a bug can cause any.
    pub fn take_faults(&mut self) -> Vec<String> {
        std::mem::take(&mut self.faults)
    }

    /// Number of batches in flight.
    pub fn num_in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Id of the batch that is planned next.
    pub fn next_forward_id(&self) -> u64 {
        self.totals.steps
    }

    /// Whether no request is active and no batch in flight.
    pub fn is_idle(&self) -> bool {
        self.reqs.is_empty() && self.in_flight.is_empty()
    }

    /// Free and evictable slots.
    fn available_tokens(&self) -> usize {
        self.kv.available_size() + self.tree.evictable_size()
    }

    /// Evicts until `tokens` slots are free; `false` if that is not possible.
    fn make_room(&mut self, tokens: usize) -> bool {
        let free = self.kv.available_size();
        if free < tokens
            && let Err(fault) = self.tree.evict(tokens - free, &mut self.kv)
        {
            self.faults.push(fault.to_string());
        }
        self.kv.available_size() >= tokens
    }

    /// Number of a request's positions that have slots.
    fn kv_len(&self, req: &Req) -> usize {
        req.row.map_or(0, |row| self.rows.row(row).len())
    }

    /// Adds a request to the queue, which is in order of arrival until the policy sorts it.
    fn enqueue(&mut self, id: usize) {
        let Some(req) = self.reqs.get_mut(id) else { return };
        req.state = ReqState::Waiting;
        req.times.enter_queue(self.now);
        req.overdue_at = self.totals.admitted + self.waiting.len() as u64 + self.config.starvation_bound;
        let arrival = req.arrival;
        let newest =
            self.waiting.back().and_then(|last| self.reqs.get(*last)).is_none_or(|r| r.arrival < arrival);
        if newest {
            self.waiting.push_back(id);
        } else {
            let later = |other: &usize| self.reqs.get(*other).is_some_and(|r| r.arrival > arrival);
            let at = self.waiting.iter().position(later).unwrap_or(self.waiting.len());
            self.waiting.insert(at, id);
        }
    }
}
