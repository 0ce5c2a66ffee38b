//! What processes say about themselves and their links. The reference has no counterpart, so it rides in the extension of
//! a message that says nothing.

use serde::{Deserialize, Serialize};

use crate::wire::{message, positional};

/// Numbers one try to serve a request. Every submission takes a new one, larger than all before it: lives of the
/// tokenizer manager come first in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// Life of the tokenizer manager that submitted.
    pub life: u64,
    /// Number within that life, from 1.
    pub number: u64,
}

positional! {
    /// First message of a process on each of its connections, said again when something may have been lost.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Hello {
        /// How often in this life something from upstream may have been lost, from 1: the first contact counts. 0 from a
        /// process that has no upstream.
        pub epoch: u64 = 0,
        /// Operations of the log of desired state that are applied.
        pub applied: u64 = 0,
        /// Facts about the process for its peers (the scheduler's KV pool size, …).
        pub info: serde_json::Value = serde_json::Value::Null,
    }
}

message! {
    /// Changes logging at run time. Without anything to change it carries a [`Hello`], or is a sign of life.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ConfigureLoggingReq {
        unused(rid, http_worker_ipc),
        /// Log requests.
        pub log_requests: Option<bool> = None,
        /// 0 to 3.
        pub log_requests_level: Option<i64> = None,
        /// `text` or `json`.
        pub log_requests_format: Option<String> = None,
        /// `debug`, `info`, …
        pub log_level: Option<String> = None,
        /// Folder for request dumps.
        pub dump_requests_folder: Option<String> = None,
        /// Requests per dump.
        pub dump_requests_threshold: Option<i64> = None,
        /// Folder for crash dumps.
        pub crash_dump_folder: Option<String> = None,
        /// Keys left out of dumps.
        pub dump_requests_exclude_meta_keys: Option<Vec<String>> = None,
        own {
            /// What the sender says of itself.
            pub hello: Option<Hello> = None,
            /// Nothing is meant: the sender is alive, and the frame's number shows whether one before it is missing.
            pub ping: bool = false,
        }
    }
}

impl ConfigureLoggingReq {
    /// A message that changes nothing and carries a hello.
    pub fn hello(hello: Hello) -> Self {
        Self { hello: Some(hello), ..Self::default() }
    }

    /// A message that changes nothing and shows that its sender is alive.
    pub fn ping() -> Self {
        Self { ping: true, ..Self::default() }
    }
}
