//! Pauses generation, and flushes the cache.

use std::str::FromStr;

use super::Planner;
use crate::req::ReqState;
use crate::{AbortCause, PlannerError};

/// What `/pause_generation` does with running requests. New ones queue in every mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseMode {
    /// All requests end.
    Abort,
    /// Running requests return to the queue and keep their output; their KV is dropped and recomputed later.
    Retract,
    /// All requests and their KV stay in place.
    InPlace,
}

impl FromStr for PauseMode {
    type Err = PlannerError;

    fn from_str(name: &str) -> Result<Self, PlannerError> {
        match name {
            "abort" => Ok(Self::Abort),
            "retract" => Ok(Self::Retract),
            "in_place" => Ok(Self::InPlace),
            other => Err(PlannerError::InvalidConfig {
                setting: "mode",
                value: other.to_owned(),
                valid: "expected abort, retract or in_place".to_owned(),
            }),
        }
    }
}

impl Planner {
    /// Plans no more steps until [`Planner::resume`]. Results of batches in flight are still processed; a retracting
    /// pause is complete when none is left ([`Planner::num_in_flight`] is 0).
    pub fn pause(&mut self, mode: PauseMode) {
        self.pause = Some(mode);
        match mode {
            PauseMode::Abort => {
                self.abort_all(&AbortCause::Client);
            }
            PauseMode::Retract if self.in_flight.is_empty() => self.retract_all(),
            PauseMode::Retract | PauseMode::InPlace => {}
        }
    }

    /// Continues after a pause. If a batch is still in flight, a retracting pause has then retracted nothing.
    pub fn resume(&mut self) {
        self.pause = None;
    }

    /// Whether generation is paused.
    pub fn is_paused(&self) -> bool {
        self.pause.is_some()
    }

    /// Returns all admitted requests to the queue. Nothing may be in flight.
    pub(super) fn retract_all(&mut self) {
        let chunked = self.chunked.take();
        let admitted: Vec<usize> = self.running.drain(..).chain(chunked).collect();
        for id in admitted {
            if self.reqs.get(id).is_some_and(|req| req.state != ReqState::Finished) {
                self.retract(id);
                self.enqueue(id);
            }
        }
        self.decode_owed = false;
    }

    /// Empties the cache and resets the hit counters. Returns `false` and does nothing while requests run, or while
    /// requests wait outside a pause and admission is not held.
    pub fn flush_cache(&mut self) -> bool {
        let may_wait = self.is_paused() || self.admission_held;
        if !self.is_drained() || self.tree.num_locks() > 0 || (!self.waiting.is_empty() && !may_wait) {
            return false;
        }
        self.tree.reset();
        self.kv.clear();
        self.totals.cache_query_tokens = 0;
        self.totals.cache_hit_tokens = 0;
        self.batch_is_full = false;
        true
    }
}
