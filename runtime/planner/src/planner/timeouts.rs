//! Requests that waited or ran for too long (reference: `Scheduler._poll_timeout_aborts`).

use std::sync::Arc;

use super::Planner;
use crate::AbortCause;
use crate::req::ReqState;

/// The reference's words.
const WAITED: &str = "Request waiting timeout reached.";
const RAN: &str = "Request running timeout reached.";

impl Planner {
    /// When the first request will have waited or run for too long, in the seconds of [`Planner::plan`]. `None` where
    /// there are no such limits.
    pub fn next_timeout(&self) -> Option<f64> {
        self.timeouts().map(|(at, _, _)| at).min_by(f64::total_cmp)
    }

    /// Ends with 503 what waits since more than `waiting_timeout`, or was first run more than `running_timeout` ago. A
    /// request that has been retracted waits since then.
    pub(super) fn end_overdue(&mut self) {
        let overdue = |(at, rid, why): (f64, &Arc<str>, _)| (at < self.now).then(|| (Arc::clone(rid), why));
        let overdue: Vec<(Arc<str>, &str)> = self.timeouts().filter_map(overdue).collect();
        for (rid, why) in overdue {
            self.abort(&rid, &AbortCause::Server(why.to_owned()));
        }
    }

    /// Every request that has a limit now: when it comes, the request's id, and what it will be told.
    fn timeouts(&self) -> impl Iterator<Item = (f64, &Arc<str>, &'static str)> {
        let (waiting, running) = (self.config.tuning.waiting_timeout, self.config.tuning.running_timeout);
        // Without limits nothing is walked: this is part of every step.
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
