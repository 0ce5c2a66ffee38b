//! Control messages and their replies.

use std::collections::BTreeMap;

use super::FinishReason;
use crate::wire::message;

/// Declares messages that control a running process. A `call` has an id, which its `answer` repeats; a `tell` has no
/// answer.
macro_rules! control {
    ($(
        $(#[$meta:meta])* $kind:ident $name:ident $(-> $reply:ident)? { $($body:tt)* }
    )*) => { $(
        $crate::messages::control::control_one! { $kind $(#[$meta])* $name $(-> $reply)? { $($body)* } }
    )* };
}

macro_rules! control_one {
    (call $(#[$meta:meta])* $name:ident -> $reply:ident { $($body:tt)* }) => {
        $crate::messages::control::control_one! { answer $(#[$meta])* $name { $($body)* } }

        impl $crate::messages::Call for $name {
            type Reply = $reply;

            fn with_id(mut self, rid: $crate::messages::CallId) -> Self {
                self.rid = rid;
                self
            }
        }
    };
    (answer $(#[$meta:meta])* $name:ident { $($body:tt)* }) => {
        $crate::wire::message! {
            $(#[$meta])*
            #[derive(Clone, Debug, PartialEq)]
            pub struct $name {
                /// Id of the call.
                pub rid: $crate::messages::CallId,
                unused(http_worker_ipc),
                $($body)*
            }
        }
    };
    (tell $(#[$meta:meta])* $name:ident { $($body:tt)* }) => {
        $crate::wire::message! {
            $(#[$meta])*
            #[derive(Clone, Debug, PartialEq)]
            pub struct $name {
                unused(rid, http_worker_ipc),
                $($body)*
            }
        }
    };
}
pub(super) use control_one;

pub(super) use control;

control! {
    /// Empties the radix cache.
    call FlushCacheReqInput -> FlushCacheReqOutput {
        /// How long to wait for the server to become idle.
        pub timeout_s: Option<f64> = None,
    }
    /// Answer to [`FlushCacheReqInput`].
    answer FlushCacheReqOutput {
        /// Whether the cache has been emptied.
        pub success: bool,
        /// Why not.
        pub message: String = String::new(),
    }
    /// Stops running steps.
    tell PauseGenerationReqInput {
        /// What happens to running requests: `abort`, `retract` or `in_place`.
        pub mode: String = "abort".into(),
    }
    /// Continues after a pause.
    tell ContinueGenerationReqInput {
        /// Whether to release cached device memory first.
        pub torch_empty_cache: bool = true,
    }
    /// Requests the current state of the scheduler.
    call GetInternalStateReq -> GetInternalStateReqOutput {}
    /// Answer to [`GetInternalStateReq`].
    answer GetInternalStateReqOutput {
        /// The state as a JSON object.
        pub internal_state: serde_json::Value,
    }
    /// Changes numeric scheduler settings.
    call SetInternalStateReq -> SetInternalStateReqOutput {
        /// New values by setting name.
        pub server_args: BTreeMap<String, f64>,
    }
    /// Answer to [`SetInternalStateReq`].
    answer SetInternalStateReqOutput {
        /// Whether all settings are known and were changed.
        pub updated: bool,
    }
    /// Starts, stops or dumps the recording of chosen experts.
    call ExpertDistributionReq -> ExpertDistributionReqOutput {
        /// The operation.
        pub action: ExpertDistributionReqType,
    }
    /// Answer to [`ExpertDistributionReq`].
    answer ExpertDistributionReqOutput {
        own {
            /// Whether it succeeded. The reference's scheduler ends if it fails.
            pub success: bool = true,
            /// Why not.
            pub message: String = String::new(),
        }
    }
    /// Ends the scheduler's loop.
    tell ShutdownReq {}
    /// Opens a session.
    call OpenSessionReqInput -> OpenSessionReqOutput {
        /// Capacity in characters.
        pub capacity_of_str_len: i64,
        /// Requested id; if absent, one is generated.
        pub session_id: Option<String> = None,
        /// Whether the session only supports appending, one request at a time.
        pub streaming: Option<bool> = None,
        /// Idle time in seconds after which it is closed.
        pub timeout: Option<f64> = None,
    }
    /// Answer to [`OpenSessionReqInput`].
    answer OpenSessionReqOutput {
        /// Id of the session.
        pub session_id: Option<String>,
        /// Whether it has been opened.
        pub success: bool,
    }
    /// Closes a session.
    tell CloseSessionReqInput {
        /// Id of the session.
        pub session_id: String,
    }
    /// Shows that a scheduler is alive that is too busy for a health probe.
    tell HealthCheckOutput {}
}

/// Operation of an [`ExpertDistributionReq`], with its number on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum ExpertDistributionReqType {
    /// Clear the recording and start.
    #[default]
    StartRecord = 1,
    /// Stop.
    StopRecord = 2,
    /// Write the recording to files and clear it.
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
    /// From the tokenizer manager: a request to end requests. From the scheduler, with `finished_reason`: a request has
    /// ended.
    #[derive(Clone, Debug, PartialEq)]
    pub struct AbortReq {
        /// Request id.
        pub rid: Option<String> = None,
        unused(http_worker_ipc),
        /// Whether to end every request.
        pub abort_all: bool = false,
        /// How the request ended.
        pub finished_reason: Option<FinishReason> = None,
        /// Text for the client.
        pub abort_message: Option<String> = None,
        /// Weight versions that generated the output.
        pub weight_versions: Option<Vec<super::WeightVersionSpan>> = None,
        own {
            /// The attempt that must end, or has ended.
            pub attempt: Option<super::Attempt> = None,
        }
    }
}
