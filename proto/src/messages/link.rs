//! Our own message for (re)connection; the reference has no counterpart.

use crate::wire::message;

message! {
    /// First message of a process on each of its links, sent again whenever it sees a new peer.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Hello {
        /// Unused; every message starts with the reference's two common fields.
        pub rid: Option<String>,
        /// Unused.
        pub http_worker_ipc: Option<String>,
        /// `tokenizer_manager`, `scheduler` or `detokenizer`.
        pub role: String,
        /// Number of this life of the process: larger for a later start.
        pub incarnation: u64,
        /// Identifies the launcher's run; a peer of another run is refused.
        pub run_id: String,
        ;
        /// Facts about the process for its peers (the scheduler's KV pool size, …).
        pub info: serde_json::Value = serde_json::Value::Null,
    }
}
