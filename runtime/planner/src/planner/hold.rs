//! Letting what runs come to its end while nothing new starts, for an exchange of the weights; and running fewer
//! requests at once.

use std::sync::Arc;

use super::Planner;
use crate::req::ReqState;

impl Planner {
    /// While held, no waiting request is admitted; those that run go on to their end, and new ones queue.
    pub fn hold_admission(&mut self, held: bool) {
        self.admission_held = held;
    }

    /// Most requests that run at once from now on, at most `max_running_requests`. Those that run already go on
    /// (reference: `pp_max_micro_batch_size`).
    pub fn set_max_micro_batch_size(&mut self, requests: usize) {
        self.rows.set_limit(requests);
        self.batch_is_full = false;
    }

    /// Whether no request holds keys and values that a step still needs, and no batch is in flight.
    pub fn is_drained(&self) -> bool {
        self.running.is_empty() && self.chunked.is_none() && self.in_flight.is_empty()
    }

    /// Requests that have not ended.
    pub fn num_live(&self) -> usize {
        self.reqs.iter().filter(|(_, req)| req.state != ReqState::Finished).count()
    }

    /// Id and number of output tokens of every request that has not ended.
    pub fn live_outputs(&self) -> Vec<(Arc<str>, usize)> {
        let live = self.reqs.iter().filter(|(_, req)| req.state != ReqState::Finished);
        live.map(|(_, req)| (Arc::clone(&req.info.rid), req.output_len())).collect()
    }
}
