//! Self-check of the planner's state, for tests and idle times.

use super::Planner;
use crate::req::ReqState;

impl Planner {
    /// Checks that every KV page has exactly one owner (the free list, the tree or one request), that admitted requests
    /// only read slots they own or pin, and that exactly the admitted requests pin the tree.
    ///
    /// # Errors
    /// A description of the first violation.
    pub fn verify(&self) -> Result<(), String> {
        if let Some(fault) = self.faults.first() {
            return Err(fault.clone());
        }
        self.tree.verify()?;
        let page_size = self.kv.page_size() as u32;
        let mut owner: Vec<Option<String>> = vec![None; self.kv.num_pages()];
        let mut own = |page: u32, who: String| match owner.get_mut(page as usize) {
            Some(place @ None) if self.kv.is_used(page) => {
                *place = Some(who);
                Ok(())
            }
            Some(None) => Err(format!("page {page} of {who} is free")),
            Some(Some(other)) => Err(format!("page {page} belongs to {other} and to {who}")),
            None => Err(format!("{who} uses page {page}, which does not exist")),
        };
        for slot in self.tree.all_slots().filter(|slot| slot % page_size == 0) {
            own(slot / page_size, "the tree".to_owned())?;
        }
        let mut locks = 0;
        for (_, req) in &self.reqs {
            let (Some(row), Some(lock)) = (req.row, req.lock) else {
                if req.row.is_some() || req.lock.is_some() || req.in_flight > 0 {
                    return Err(format!("request {} holds only a part of what it needs", req.info.rid));
                }
                continue;
            };
            locks += 1;
            let slots = self.rows.row(row);
            let mut path = Vec::new();
            self.tree.path_slots(lock, &mut path);
            if path != slots[..req.protected_len] {
                return Err(format!("request {} does not read the prefix it pins", req.info.rid));
            }
            if req.kv_done < req.protected_len || req.kv_done > slots.len() {
                return Err(format!("request {}: {} of {} computed", req.info.rid, req.kv_done, slots.len()));
            }
            for slot in slots[req.protected_len..].iter().step_by(page_size as usize) {
                own(slot / page_size, format!("request {}", req.info.rid))?;
            }
        }
        if locks != self.tree.num_locks() {
            return Err(format!("{locks} admitted requests, {} pins", self.tree.num_locks()));
        }
        for page in 0..self.kv.num_pages() as u32 {
            if self.kv.is_used(page) && owner.get(page as usize).is_none_or(Option::is_none) {
                return Err(format!("page {page} is lost: in use, but nobody's"));
            }
        }
        self.verify_queues()
    }

    /// Checks that every active request is exactly in the queue of its state.
    fn verify_queues(&self) -> Result<(), String> {
        for (id, req) in &self.reqs {
            let at = (self.waiting.contains(&id), self.chunked == Some(id), self.running.contains(&id));
            let expected = match req.state {
                ReqState::Waiting => (true, false, false),
                ReqState::Prefilling => (false, true, false),
                ReqState::Running => (false, false, true),
                ReqState::Finished => (false, false, false),
            };
            if at != expected {
                return Err(format!("request {} is {:?} but queued as {at:?}", req.info.rid, req.state));
            }
            if req.state != ReqState::Finished && self.ledger.find(&req.info.rid) != Some(id) {
                return Err(format!("request {} is {:?} and not in the ledger", req.info.rid, req.state));
            }
            let in_flight = self.in_flight.iter().flat_map(|b| &b.entries).filter(|e| e.req == id).count();
            if in_flight != req.in_flight {
                return Err(format!(
                    "request {}: {} batches counted, {in_flight} in flight",
                    req.info.rid, req.in_flight
                ));
            }
        }
        Ok(())
    }

    /// Removes a waiting request without an event, as a bug might.
    #[cfg(test)]
    pub(crate) fn lose(&mut self, rid: &str) {
        if let Some(id) = self.ledger.find(rid) {
            self.waiting.retain(|other| *other != id);
            self.reqs.try_remove(id);
        }
    }
}
