//! Who is owed an answer. Every accepted request has an entry until its one terminal event; an entry whose request is
//! gone without one is found by [`Ledger::lost`] and becomes a failure, so that no client waits for ever.

use std::sync::Arc;

use ahash::AHashMap;

use crate::RequestInfo;

/// Live requests by id.
#[derive(Debug, Default)]
pub struct Ledger {
    open: AHashMap<Arc<str>, (usize, Arc<RequestInfo>)>,
}

impl Ledger {
    /// Enters a request that is kept under `key`. `false` if its id is live already.
    pub fn open(&mut self, info: &Arc<RequestInfo>, key: usize) -> bool {
        if self.open.contains_key(&info.rid) {
            return false;
        }
        self.open.insert(Arc::clone(&info.rid), (key, Arc::clone(info)));
        true
    }

    /// Where the request with exactly this id is kept.
    pub fn find(&self, rid: &str) -> Option<usize> {
        self.open.get(rid).map(|(key, _)| *key)
    }

    /// Strikes a request out, for its terminal event. `false` if it had one already: the event must not go out.
    pub fn close(&mut self, rid: &str) -> bool {
        self.open.remove(rid).is_some()
    }

    /// Number of live requests.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether nobody waits for an answer.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Entries whose request does not exist any more.
    pub fn lost(&self, exists: impl Fn(usize, &str) -> bool) -> Vec<Arc<RequestInfo>> {
        let lost = self.open.values().filter(|(key, info)| !exists(*key, &info.rid));
        lost.map(|(_, info)| Arc::clone(info)).collect()
    }

    /// Ids of all live requests.
    pub fn rids(&self) -> Vec<Arc<str>> {
        self.open.keys().cloned().collect()
    }
}
