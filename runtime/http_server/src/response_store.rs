//! Stored responses, with the conversations that led to them (reference: `response_store` and `msg_store`).
//!
//! Unlike the reference's, the store is limited: when it is full, the oldest responses are dropped.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

/// Most stored responses.
pub const MAX_RESPONSES: usize = 10_000;
/// Most memory for stored responses, as JSON text in bytes.
pub const MAX_BYTES: usize = 256 << 20;

#[derive(Debug)]
struct Stored {
    response: Value,
    /// Input items and output items of the whole conversation.
    history: Arc<Vec<Value>>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Inner {
    by_id: HashMap<String, Stored>,
    /// Ids, oldest first.
    order: VecDeque<String>,
    bytes: usize,
}

/// The stored responses of a server.
#[derive(Debug)]
pub struct ResponseStore {
    inner: Mutex<Inner>,
    max_responses: usize,
    max_bytes: usize,
}

impl Default for ResponseStore {
    fn default() -> Self {
        Self { inner: Mutex::default(), max_responses: MAX_RESPONSES, max_bytes: MAX_BYTES }
    }
}

fn is_open(response: &Value) -> bool {
    response["status"] == "queued" || response["status"] == "in_progress"
}

impl ResponseStore {
    /// The response in its current state.
    pub fn get(&self, id: &str) -> Option<Value> {
        self.inner.lock().by_id.get(id).map(|stored| stored.response.clone())
    }

    /// The conversation up to and including the response.
    pub fn history(&self, id: &str) -> Option<Arc<Vec<Value>>> {
        self.inner.lock().by_id.get(id).map(|stored| Arc::clone(&stored.history))
    }

    /// Stores a response; returns whether it was stored. A cancelled one stays as it is.
    pub fn put(&self, id: &str, response: &Value, history: Vec<Value>) -> bool {
        let bytes =
            response.to_string().len() + history.iter().map(|item| item.to_string().len()).sum::<usize>();
        let mut inner = self.inner.lock();
        let old = inner.by_id.get(id).map(|stored| (stored.response["status"] == "cancelled", stored.bytes));
        match old {
            Some((true, _)) => return false,
            Some((false, bytes)) => inner.bytes -= bytes,
            None => inner.order.push_back(id.to_owned()),
        }
        inner.bytes += bytes;
        let stored = Stored { response: response.clone(), history: Arc::new(history), bytes };
        inner.by_id.insert(id.to_owned(), stored);
        while (inner.order.len() > self.max_responses || inner.bytes > self.max_bytes)
            && inner.order.len() > 1
        {
            let Some(oldest) = inner.order.pop_front() else { break };
            if let Some(gone) = inner.by_id.remove(&oldest) {
                inner.bytes -= gone.bytes;
            }
        }
        true
    }

    /// Marks a queued response as begun; false if it was cancelled or dropped meanwhile.
    pub fn begin(&self, id: &str) -> bool {
        let mut inner = self.inner.lock();
        let Some(stored) = inner.by_id.get_mut(id).filter(|stored| is_open(&stored.response)) else {
            return false;
        };
        stored.response["status"] = "in_progress".into();
        true
    }

    /// Cancels an unfinished response; returns it, and whether there was something to end.
    pub fn cancel(&self, id: &str) -> Option<(Value, bool)> {
        let mut inner = self.inner.lock();
        let stored = inner.by_id.get_mut(id)?;
        let open = is_open(&stored.response);
        if open {
            stored.response["status"] = "cancelled".into();
        }
        Some((stored.response.clone(), open))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cancelled_response_stays_cancelled() {
        let store = ResponseStore::default();
        assert!(store.get("a").is_none() && store.cancel("a").is_none() && !store.begin("a"));
        assert!(store.put("a", &json!({"status": "queued"}), vec![json!(1)]));
        assert!(store.begin("a"));
        assert_eq!(store.get("a").unwrap()["status"], "in_progress");
        assert_eq!(store.cancel("a").unwrap(), (json!({"status": "cancelled"}), true));
        assert!(!store.put("a", &json!({"status": "completed"}), Vec::new()));
        assert!(!store.begin("a"));
        assert_eq!(store.cancel("a").unwrap(), (json!({"status": "cancelled"}), false));
        assert_eq!(*store.history("a").unwrap(), [json!(1)]);
        assert!(store.put("b", &json!({"status": "completed"}), Vec::new()));
        assert_eq!(store.cancel("b").unwrap(), (json!({"status": "completed"}), false));
    }

    #[test]
    fn the_oldest_go_when_the_store_is_full() {
        let store = ResponseStore { max_responses: 3, max_bytes: 1000, ..ResponseStore::default() };
        let put = |id: &str, bytes: usize| store.put(id, &json!({}), vec!["x".repeat(bytes).into()]);
        for id in ["a", "b", "c", "d"] {
            put(id, 10);
        }
        assert!(store.get("a").is_none() && store.get("b").is_some(), "three fit");
        put("e", 980);
        assert!(store.get("c").is_none() && store.get("d").is_some() && store.get("e").is_some());
        put("e", 990);
        assert!(store.get("d").is_none() && store.get("e").is_some(), "what is kept anew counts once");
        put("f", 2000);
        assert!(store.get("e").is_none() && store.get("f").is_some(), "the newest always stays");
        let inner = store.inner.lock();
        assert_eq!(inner.bytes, inner.by_id.values().map(|s| s.bytes).sum::<usize>());
        assert_eq!(inner.order.len(), inner.by_id.len());
    }
}
