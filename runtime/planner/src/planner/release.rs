//! Releases row, slots and pins of requests.

use super::Planner;
use crate::req::ReqState;

impl Planner {
    /// Releases row, slots and pin of a request that will run again later. Its slots are not cached, because they are
    /// needed at once. The prefix that it already shared stays in the tree until it is evicted.
    pub(super) fn retract(&mut self, id: usize) {
        self.give_back(id, false);
        if let Some(req) = self.reqs.get_mut(id) {
            req.state = ReqState::Waiting;
            req.retraction_count += 1;
            req.fill_len = 0;
            if let Some(state) = req.input_logprob.as_mut().filter(|state| !state.complete) {
                state.rows.clear();
            }
            self.totals.retractions += 1;
        }
    }

    /// Removes an ended request that no batch in flight uses, and caches its computed tokens.
    pub(super) fn release(&mut self, id: usize) {
        self.give_back(id, true);
        if let Some(req) = self.reqs.try_remove(id)
            && req.state != ReqState::Finished
        {
            self.faults.push(format!("request {} was removed before it ended", req.info.rid));
            self.answer_lost();
        }
    }

    fn give_back(&mut self, id: usize, keep_in_cache: bool) {
        let Some(req) = self.reqs.get_mut(id) else { return };
        let (Some(row), Some(lock)) = (req.row.take(), req.lock.take()) else { return };
        let slots = self.rows.row(row);
        let (from, len) = (req.protected_len, slots.len());
        let mut free_from = from;
        if keep_in_cache {
            // The newest output token does not count as computed, even if a step in flight has processed it.
            let known = req.tokens.len() - usize::from(req.output_len() > 0);
            let valid = req.kv_done.min(known).max(from);
            let inserted =
                self.tree.insert(lock, &req.tokens[from..valid], &slots[from..valid], req.priority);
            let duplicates = &slots[from..from + inserted.duplicates];
            if let Err(fault) = self.kv.free(duplicates) {
                self.faults.push(fault.to_string());
            }
            free_from += inserted.duplicates + inserted.taken;
        }
        if let Err(fault) = self.kv.free(&slots[free_from..len]) {
            self.faults.push(fault.to_string());
        }
        self.tree.unlock(lock);
        self.rows.free(row);
        req.protected_len = 0;
        req.kv_done = 0;
        self.batch_is_full = false;
    }
}
