//! Tracks requests that still need a terminal event. Every accepted request has an entry until its terminal event.
//! [`Ledger::lost`] finds entries whose request disappeared without one, so that they end with an error and no client
//! waits forever.

use std::sync::Arc;

use ahash::AHashMap;

use crate::RequestInfo;

/// Active requests by id.
#[derive(Debug, Default)]
pub struct Ledger {
    open: AHashMap<Arc<str>, (usize, Arc<RequestInfo>)>,
}

impl Ledger {
    /// Adds a request stored under `key`. `false` if its id is already active.
    pub fn open(&mut self, info: &Arc<RequestInfo>, key: usize) -> bool {
        if self.open.contains_key(&info.rid) {
            return false;
        }
        self.open.insert(Arc::clone(&info.rid), (key, Arc::clone(info)));
        true
    }

    /// The key under which the request with exactly this id is stored.
    pub fn find(&self, rid: &str) -> Option<usize> {
        self.open.get(rid).map(|(key, _)| *key)
    }

    /// Updates a request that continues under another attempt.
    pub fn update(&mut self, info: &Arc<RequestInfo>) {
        if let Some((_, known)) = self.open.get_mut(&info.rid) {
            *known = Arc::clone(info);
        }
    }

    /// Removes a request for its terminal event. `false` if it already had one; the event must then not be sent.
    pub fn close(&mut self, rid: &str) -> bool {
        self.open.remove(rid).is_some()
    }

    /// Number of active requests.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether no request is active.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Entries whose request no longer exists.
    pub fn lost(&self, exists: impl Fn(usize, &str) -> bool) -> Vec<Arc<RequestInfo>> {
        let lost = self.open.values().filter(|(key, info)| !exists(*key, &info.rid));
        lost.map(|(_, info)| Arc::clone(info)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewRequest, Planner, PlannerConfig};

    #[test]
    fn a_request_that_is_lost_gets_a_failure_and_no_second_end() {
        let mut planner = Planner::new(PlannerConfig::default()).unwrap();
        planner.add_request(NewRequest::new("a", vec![1, 2, 3]), 0.0).unwrap();
        planner.lose("a");
        assert!(planner.plan(0.0).batch.is_none());
        let events = planner.take_events();
        assert_eq!(events.len(), 1);
        let told = serde_json::to_value(&events[0].finish_reason).unwrap();
        assert_eq!(told["message"], "Internal error: the scheduler lost the request.");
        assert_eq!(told["status_code"], 500);
        assert_eq!(planner.take_faults(), ["request a was lost"]);
        assert!(planner.plan(0.0).batch.is_none());
        assert!(planner.take_events().is_empty());
    }

    #[test]
    fn an_entry_closes_once() {
        let info = |rid: &str| {
            let mut planner = Planner::new(PlannerConfig::default()).unwrap();
            planner.add_request(NewRequest::new(rid, Vec::new()), 0.0).unwrap();
            Arc::clone(&planner.take_events()[0].request)
        };
        let mut ledger = Ledger::default();
        assert!(ledger.open(&info("a"), 1));
        assert!(!ledger.open(&info("a"), 2));
        assert_eq!((ledger.find("a"), ledger.find("a_1"), ledger.len()), (Some(1), None, 1));
        assert!(ledger.close("a"));
        assert!(!ledger.close("a"));
        assert!(ledger.is_empty());
    }
}
