//! Holds admission while running requests finish, for weight updates; and limits the number of running requests.

use std::sync::Arc;

use super::Planner;
use crate::req::ReqState;

impl Planner {
    /// While admission is held, no waiting request is admitted; running requests continue to their end, and new ones
    /// queue.
    pub fn hold_admission(&mut self, held: bool) {
        self.admission_held = held;
    }

    /// Sets the most requests that may run at once, up to `max_running_requests`. Running requests continue (reference:
    /// `pp_max_micro_batch_size`).
    pub fn set_max_micro_batch_size(&mut self, requests: usize) {
        self.rows.set_limit(requests);
        self.batch_is_full = false;
    }

    /// Whether no request has KV that a step still needs, and no batch is in flight.
    pub fn is_drained(&self) -> bool {
        self.running.is_empty() && self.chunked.is_none() && self.in_flight.is_empty()
    }

    /// Number of requests that have not ended.
    pub fn num_live(&self) -> usize {
        self.reqs.iter().filter(|(_, req)| req.state != ReqState::Finished).count()
    }

    /// Id and number of output tokens of every request that has not ended.
    pub fn live_outputs(&self) -> Vec<(Arc<str>, usize)> {
        let live = self.reqs.iter().filter(|(_, req)| req.state != ReqState::Finished);
        live.map(|(_, req)| (Arc::clone(&req.info.rid), req.output_len())).collect()
    }
}
