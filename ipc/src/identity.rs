//! Who a process is on its links.

use std::time::{SystemTime, UNIX_EPOCH};

use sglang_proto::messages::Hello;

/// Role and life of this process.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// `tokenizer_manager`, `scheduler` or `detokenizer`.
    pub role: &'static str,
    /// Nanoseconds since 1970 at the start of this life: a later life has a larger number.
    pub incarnation: u64,
    /// The launcher's run (`SGLANG_RUN_ID`); empty for a process started by hand.
    pub run_id: String,
    /// Facts for the peers, sent with the hello.
    pub info: serde_json::Value,
}

impl Identity {
    /// The identity of a process that starts now.
    pub fn new(role: &'static str, info: serde_json::Value) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            role,
            incarnation: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
            run_id: std::env::var("SGLANG_RUN_ID").unwrap_or_default(),
            info,
        }
    }

    /// The message that announces this life.
    pub fn hello(&self) -> Hello {
        Hello {
            rid: None,
            http_worker_ipc: None,
            role: self.role.into(),
            incarnation: self.incarnation,
            run_id: self.run_id.clone(),
            info: self.info.clone(),
        }
    }
}
