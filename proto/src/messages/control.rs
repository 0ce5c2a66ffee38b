//! Control messages and their replies.

use std::collections::BTreeMap;

use super::FinishReason;
use crate::wire::message;

/// Declares messages that control a running process. A `call` has an id that its `answer` repeats; a `tell` has no answer.
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
    /// Asks for the radix cache to be emptied.
    call FlushCacheReqInput -> FlushCacheReqOutput {
        /// How long to wait for the server to become idle.
        pub timeout_s: Option<f64> = None,
    }
    /// Answer to [`FlushCacheReqInput`].
    answer FlushCacheReqOutput {
        /// Whether the cache was emptied.
        pub success: bool,
        /// Why not.
        pub message: String = String::new(),
    }
    /// Stops stepping: `abort`, `retract` or `in_place`.
    tell PauseGenerationReqInput {
        /// What happens to running requests.
        pub mode: String = "abort".into(),
    }
    /// Steps again after a pause.
    tell ContinueGenerationReqInput {
        /// Give cached device memory back first.
        pub torch_empty_cache: bool = true,
    }
    /// Asks for the scheduler's live state.
    call GetInternalStateReq -> GetInternalStateReqOutput {}
    /// Answer to [`GetInternalStateReq`].
    answer GetInternalStateReqOutput {
        /// Key-value dump.
        pub internal_state: serde_json::Value,
    }
    /// Changes numeric scheduler settings.
    call SetInternalStateReq -> SetInternalStateReqOutput {
        /// Setting names and values.
        pub server_args: BTreeMap<String, f64>,
    }
    /// Answer to [`SetInternalStateReq`].
    answer SetInternalStateReqOutput {
        /// Whether every setting was known and changed.
        pub updated: bool,
    }
    /// Starts, stops or writes the record of chosen experts.
    call ExpertDistributionReq -> ExpertDistributionReqOutput {
        /// What to do.
        pub action: ExpertDistributionReqType,
    }
    /// Answer to [`ExpertDistributionReq`].
    answer ExpertDistributionReqOutput {
        own {
            /// Whether it was done; the reference's scheduler ends when it cannot.
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
        /// Wanted id; one is made up when absent.
        pub session_id: Option<String> = None,
        /// Streaming session.
        pub streaming: Option<bool> = None,
        /// Idle seconds after which it is closed.
        pub timeout: Option<f64> = None,
    }
    /// Answer to [`OpenSessionReqInput`].
    answer OpenSessionReqOutput {
        /// Id of the session.
        pub session_id: Option<String>,
        /// Whether it was opened.
        pub success: bool,
    }
    /// Closes a session.
    tell CloseSessionReqInput {
        /// Id of the session.
        pub session_id: String,
    }
    /// Sign of life of a scheduler that is too busy for a health probe.
    tell HealthCheckOutput {}
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
        /// Exact request id.
        pub rid: Option<String> = None,
        unused(http_worker_ipc),
        /// End every request.
        pub abort_all: bool = false,
        /// How the request ended.
        pub finished_reason: Option<FinishReason> = None,
        /// Text for the client.
        pub abort_message: Option<String> = None,
        /// Weight versions the output was made with.
        pub weight_versions: Option<Vec<super::WeightVersionSpan>> = None,
        own {
            /// The try that is to end, or has ended.
            pub attempt: Option<super::Attempt> = None,
        }
    }
}
