//! Ends requests that waited or ran for too long (reference: `Scheduler._poll_timeout_aborts`).

use std::sync::Arc;

use super::Planner;
use crate::AbortCause;
use crate::req::ReqState;

/// Texts of the reference.
const WAITED: &str = "Request waiting timeout reached.";
const RAN: &str = "Request running timeout reached.";

impl Planner {
    /// When the next request exceeds its time limit, on the clock of [`Planner::plan`]. `None` if no request has a
    /// limit.
    pub fn next_timeout(&self) -> Option<f64> {
        self.timeouts().map(|(at, _, _)| at).min_by(f64::total_cmp)
    }

    /// Ends requests with 503 that have waited longer than `waiting_timeout`, or were first run longer than
    /// `running_timeout` ago. The wait of a retracted request starts at its retraction.
    pub(super) fn end_overdue(&mut self) {
        let overdue = |(at, rid, why): (f64, &Arc<str>, _)| (at < self.now).then(|| (Arc::clone(rid), why));
        let overdue: Vec<(Arc<str>, &str)> = self.timeouts().filter_map(overdue).collect();
        for (rid, why) in overdue {
            self.abort(&rid, &AbortCause::Server(why.to_owned()));
        }
    }

    /// All requests that have a limit now: its time, the request id, and the error text.
    fn timeouts(&self) -> impl Iterator<Item = (f64, &Arc<str>, &'static str)> {
        let (waiting, running) = (self.config.tuning.waiting_timeout, self.config.tuning.running_timeout);
        // Without limits, skip the iteration: this runs in every step.
        let limited = waiting.is_some() || running.is_some();
        limited.then(|| self.reqs.iter()).into_iter().flatten().filter_map(move |(_, req)| {
            let (since, limit, why) = match req.state {
                ReqState::Waiting => (req.times.waiting_since(), waiting, WAITED),
                ReqState::Finished => return None,
                _ => (req.times.forward, running, RAN),
            };
            Some((since? + limit?, &req.info.rid, why))
        })
    }
}
