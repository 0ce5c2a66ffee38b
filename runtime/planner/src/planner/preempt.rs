//! Preempts running requests for one of higher priority (reference: `PrefillAdder.preempt_to_schedule` in
//! `managers/schedule_policy.py`).

use std::cmp::Reverse;

use super::Planner;
use crate::admission::PrefillBudget;

/// Outcome of a preemption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preemption {
    /// Requests were preempted; try again.
    Done,
    /// Requests can be preempted when the batch in flight is back.
    NeedsResult,
    /// No request's priority is lower by more than the threshold, or preempting them would not free enough.
    No,
}

impl Planner {
    /// Preempts as many running requests of lower priority as `candidate` needs, lowest priority and latest arrival
    /// first. Releases them and adds them to `preempted`; the caller queues them.
    pub(super) fn preempt_to_schedule(
        &mut self,
        candidate: usize,
        budget: &mut PrefillBudget,
        preempted: &mut Vec<usize>,
    ) -> Preemption {
        let Some(req) = self.reqs.get(candidate).filter(|_| self.preempts()) else { return Preemption::No };
        let (_, cached) = self.tree.peek_prefix(&req.namespace, &req.tokens[..req.max_prefix_len()]);
        let wanted = req.tokens.len() - cached
            + req.remaining_new_tokens().min(self.config.tuning.clip_max_new_tokens)
            + self.config.page_size;
        let mut missing = wanted as f64 - (self.available_tokens() as f64 - budget.total_offset);
        let mut row_missing = self.rows.available_size() == 0;
        let (priority, threshold) = (req.priority, self.config.priority_scheduling_preemption_threshold);
        let mut order = self.running.clone();
        order.sort_by_key(|id| self.reqs.get(*id).map(|r| (r.priority, Reverse(r.arrival))));
        let mut victims = Vec::new();
        for id in order {
            if missing < 0.0 && !row_missing {
                break;
            }
            let Some(running) = self.reqs.get(id) else { continue };
            if priority.saturating_sub(running.priority) <= threshold {
                break;
            }
            let own = self.kv_len(running) - running.protected_len;
            let pinned = running.lock.map_or(0, |node| self.tree.exclusive_len(node));
            missing -= self.expects(running) + (own + pinned) as f64;
            row_missing = false;
            victims.push(id);
        }
        if victims.is_empty() || missing >= 0.0 || row_missing {
            return Preemption::No;
        }
        if !self.in_flight.is_empty() {
            return Preemption::NeedsResult;
        }
        for id in &victims {
            if let Some(running) = self.reqs.get(*id) {
                budget.total_offset -= self.expects(running);
            }
            self.retract(*id);
        }
        self.running.retain(|id| !victims.contains(id));
        preempted.extend(victims);
        Preemption::Done
    }
}
