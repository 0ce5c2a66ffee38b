//! Messages about processes and their links. The reference has no counterpart, so they are sent in the extension of a
//! message that changes nothing.

use serde::{Deserialize, Serialize};

use crate::wire::{message, positional};

/// Number of one attempt to serve a request. Every submission gets a new one, larger than all earlier ones; the life of
/// the tokenizer manager is compared first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// Life of the tokenizer manager that submitted the request.
    pub life: u64,
    /// Number within that life, starting at 1.
    pub number: u64,
}

positional! {
    /// First message of a process on each connection, repeated when something may have been lost.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Hello {
        /// How many times in this life something from upstream may have been lost. The first contact counts, so it
        /// starts at 1; it is 0 for a process without upstream.
        pub epoch: u64 = 0,
        /// Number of operations of the log of desired state that have been applied.
        pub applied: u64 = 0,
        /// Facts about the process for its peers (the scheduler's KV pool size, …).
        pub info: serde_json::Value = serde_json::Value::Null,
    }
}

message! {
    /// Changes logging at run time. Without a change, it carries a [`Hello`] or is a ping.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ConfigureLoggingReq {
        unused(rid, http_worker_ipc),
        /// Whether to log requests.
        pub log_requests: Option<bool> = None,
        /// Level of detail, 0 to 3.
        pub log_requests_level: Option<i64> = None,
        /// `text` or `json`.
        pub log_requests_format: Option<String> = None,
        /// Log level, such as `debug` or `info`.
        pub log_level: Option<String> = None,
        /// Folder for request dumps.
        pub dump_requests_folder: Option<String> = None,
        /// Number of requests per dump.
        pub dump_requests_threshold: Option<i64> = None,
        /// Folder for crash dumps.
        pub crash_dump_folder: Option<String> = None,
        /// Keys left out of dumps.
        pub dump_requests_exclude_meta_keys: Option<Vec<String>> = None,
        own {
            /// Introduces the sender.
            pub hello: Option<Hello> = None,
            /// Whether this is a ping. It shows that the sender is alive, and its sequence number shows whether an
            /// earlier frame is missing.
            pub ping: bool = false,
        }
    }
}

impl ConfigureLoggingReq {
    /// A message that only carries a hello.
    pub fn hello(hello: Hello) -> Self {
        Self { hello: Some(hello), ..Self::default() }
    }

    /// A ping.
    pub fn ping() -> Self {
        Self { ping: true, ..Self::default() }
    }
}
