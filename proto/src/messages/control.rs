//! Control messages and their replies.

use std::collections::BTreeMap;

use super::FinishReason;
use crate::wire::message;

macro_rules! control {
    ($( $(#[$meta:meta])* $name:ident { $( $(#[$rmeta:meta])* $rfield:ident : $rty:ty ),* ; $( $(#[$fmeta:meta])* $field:ident : $fty:ty = $default:expr ),* } )*) => { $(
        message! {
            $(#[$meta])*
            #[derive(Clone, Debug, PartialEq)]
            pub struct $name {
                /// Request id, or the id of the control call.
                pub rid: Option<String>,
                /// Unused.
                pub http_worker_ipc: Option<String>,
                $( $(#[$rmeta])* pub $rfield: $rty, )*
                ;
                $( $(#[$fmeta])* pub $field: $fty = $default, )*
            }
        }
    )* };
}

pub(super) use control;

control! {
    /// Asks for the radix cache to be emptied.
    FlushCacheReqInput {; /// How long to wait for the server to become idle.
        timeout_s: Option<f64> = None }
    /// Answer to [`FlushCacheReqInput`].
    FlushCacheReqOutput { /// Whether the cache was emptied.
        success: bool; /// Why not.
        message: String = String::new() }
    /// Stops stepping: `abort`, `retract` or `in_place`.
    PauseGenerationReqInput {; /// What happens to running requests.
        mode: String = "abort".into() }
    /// Steps again after a pause.
    ContinueGenerationReqInput {; /// Give cached device memory back first.
        torch_empty_cache: bool = true }
    /// Asks for the scheduler's live state.
    GetInternalStateReq {; }
    /// Answer to [`GetInternalStateReq`].
    GetInternalStateReqOutput { /// Key-value dump.
        internal_state: serde_json::Value; }
    /// Changes numeric scheduler settings.
    SetInternalStateReq { /// Setting names and values.
        server_args: BTreeMap<String, f64>; }
    /// Answer to [`SetInternalStateReq`].
    SetInternalStateReqOutput { /// Whether every setting was known and changed.
        updated: bool; }
    /// Ends the scheduler's loop.
    ShutdownReq {; }
    /// Changes logging at run time.
    ConfigureLoggingReq {;
        /// Log requests.
        log_requests: Option<bool> = None,
        /// 0 to 3.
        log_requests_level: Option<i64> = None,
        /// `text` or `json`.
        log_requests_format: Option<String> = None,
        /// `debug`, `info`, …
        log_level: Option<String> = None,
        /// Folder for request dumps.
        dump_requests_folder: Option<String> = None,
        /// Requests per dump.
        dump_requests_threshold: Option<i64> = None,
        /// Folder for crash dumps.
        crash_dump_folder: Option<String> = None,
        /// Keys left out of dumps.
        dump_requests_exclude_meta_keys: Option<Vec<String>> = None
    }
    /// Opens a session.
    OpenSessionReqInput { /// Capacity in characters.
        capacity_of_str_len: i64;
        /// Wanted id; one is made up when absent.
        session_id: Option<String> = None,
        /// Streaming session.
        streaming: Option<bool> = None,
        /// Idle seconds after which it is closed.
        timeout: Option<f64> = None }
    /// Answer to [`OpenSessionReqInput`].
    OpenSessionReqOutput { /// Id of the session.
        session_id: Option<String>, /// Whether it was opened.
        success: bool; }
    /// Closes a session.
    CloseSessionReqInput { /// Id of the session.
        session_id: String; }
    /// Sign of life of a scheduler that is too busy for a health probe.
    HealthCheckOutput {; }
}

message! {
    /// Ends requests: from the tokenizer manager a wish, from the scheduler (with `finished_reason`) the fact.
    #[derive(Clone, Debug, PartialEq)]
    pub struct AbortReq {
        ;
        /// Exact request id.
        pub rid: Option<String> = None,
        /// Unused.
        pub http_worker_ipc: Option<String> = None,
        /// End every request.
        pub abort_all: bool = false,
        /// How the request ended.
        pub finished_reason: Option<FinishReason> = None,
        /// Text for the client.
        pub abort_message: Option<String> = None,
        /// Weight versions the output was made with.
        pub weight_versions: Option<Vec<super::WeightVersionSpan>> = None,
    }
}
