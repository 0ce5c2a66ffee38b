//! Control messages and their replies.

use std::collections::BTreeMap;

use super::FinishReason;
use crate::wire::message;

macro_rules! control {
    ($( $(#[$meta:meta])* $name:ident { $( $(#[$rmeta:meta])* $rfield:ident : $rty:ty ),* ; $( $(#[$fmeta:meta])* $field:ident : $fty:ty = $default:expr ),*
        $(; own { $( $(#[$ometa:meta])* $ofield:ident : $oty:ty = $odefault:expr ),* })? } )*) => { $(
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
                $(; own { $( $(#[$ometa])* pub $ofield: $oty = $odefault, )* })?
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
    /// Starts, stops or writes the record of chosen experts.
    ExpertDistributionReq { /// What to do.
        action: ExpertDistributionReqType; }
    /// Answer to [`ExpertDistributionReq`].
    ExpertDistributionReqOutput {;; own { /// Whether it was done; the reference's scheduler ends when it cannot.
        success: bool = true,
        /// Why not.
        message: String = String::new() } }
    /// Ends the scheduler's loop.
    ShutdownReq {; }
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

/// What an [`ExpertDistributionReq`] asks for; the number is the one on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum ExpertDistributionReqType {
    /// Forget what was recorded, and record.
    #[default]
    StartRecord = 1,
    /// Stop recording.
    StopRecord = 2,
    /// Write what was recorded to files, and forget it.
    DumpRecord = 3,
}

impl From<ExpertDistributionReqType> for u8 {
    fn from(action: ExpertDistributionReqType) -> Self {
        action as Self
    }
}

impl TryFrom<u8> for ExpertDistributionReqType {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            1 => Ok(Self::StartRecord),
            2 => Ok(Self::StopRecord),
            3 => Ok(Self::DumpRecord),
            other => Err(format!("expected 1, 2 or 3 as ExpertDistributionReqType, found {other}")),
        }
    }
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
        ;
        own {
            /// The try that is to end, or has ended.
            pub attempt: Option<super::Attempt> = None,
        }
    }
}
