//! Messages between processes, with the reference's class names, field names and field order (`managers/io_struct.py`).
//! [`AnyMessage`] contains all messages that can be sent; [`SchedulerMessage`], [`DetokenizerMessage`] and
//! [`TokenizerManagerMessage`] contain those that a process can receive.

mod call;
mod control;
mod finish_reason;
mod generate;
mod link;
mod lora;
mod memory;
mod output;
mod profile;
mod receivers;
mod time_stats;
mod weights;

pub use call::*;
pub use control::*;
pub use finish_reason::FinishReason;
pub use generate::*;
pub use link::*;
pub use lora::*;
pub use memory::*;
pub use output::*;
pub use profile::*;
pub use receivers::*;
pub use time_stats::ReqTimeStats;
pub use weights::*;

use crate::wire::{self, FrameError, Origin};

/// An enum of message classes that a process can receive, or of a part of them.
pub trait Receivable: Sized + Send + 'static {
    /// Class name on the wire.
    fn class(&self) -> &'static str;

    /// Decodes a frame with the class name `class`; `None` if the enum does not contain the class.
    fn decode_class(class: &str, frame: &[u8]) -> Option<Result<(Self, Option<Origin>), FrameError>>;

    /// Decodes a frame.
    ///
    /// # Errors
    /// The enum does not contain the class, the frame is not a message, or a field is invalid.
    fn decode(frame: &[u8]) -> Result<(Self, Option<Origin>), FrameError> {
        let class = wire::class_of(frame)?;
        Self::decode_class(class, frame)
            .unwrap_or_else(|| Err(FrameError::UnknownClass(class.chars().take(80).collect())))
    }
}

/// Declares an enum of message classes; `or $part` adds those of another such enum.
macro_rules! message_enum {
    ($(#[$meta:meta])* $name:ident $(or $part:ident)? { $($class:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $( #[doc = concat!("A `", stringify!($class), "`.")] $class(Box<$crate::messages::$class>), )*
            $( #[doc = concat!("One of [`", stringify!($part), "`].")] $part($crate::messages::$part), )?
        }

        impl $crate::messages::Receivable for $name {
            fn class(&self) -> &'static str {
                match self {
                    $( Self::$class(_) => <$crate::messages::$class as $crate::wire::Message>::CLASS, )*
                    $( Self::$part(part) => part.class(), )?
                }
            }

            fn decode_class(
                class: &str,
                frame: &[u8],
            ) -> Option<Result<(Self, Option<$crate::wire::Origin>), $crate::wire::FrameError>> {
                match class {
                    $( stringify!($class) => {
                        let decoded = $crate::wire::decode::<$crate::messages::$class>(frame);
                        return Some(decoded.map(|(m, origin)| (Self::$class(Box::new(m)), origin)));
                    } )*
                    _ => {}
                }
                $( if let Some(decoded) = $crate::messages::$part::decode_class(class, frame) {
                    return Some(decoded.map(|(part, origin)| (Self::$part(part), origin)));
                } )?
                None
            }
        }

        $( impl From<$crate::messages::$class> for $name {
            fn from(m: $crate::messages::$class) -> Self { Self::$class(Box::new(m)) }
        } )*
    };
}
use message_enum;

macro_rules! any_message {
    ($($class:ident),* $(,)?) => {
        message_enum! {
            /// A message of any known class.
            AnyMessage { $($class),* }
        }

        impl AnyMessage {
            /// Class name on the wire.
            pub fn class(&self) -> &'static str {
                Receivable::class(self)
            }

            /// Encodes the message; with `origin`, includes the fields that the reference does not have.
            ///
            /// # Errors
            /// See [`wire::encode`].
            pub fn encode(&self, origin: Option<Origin>) -> Result<Vec<u8>, FrameError> {
                match self { $( Self::$class(m) => wire::encode(&**m, origin) ),* }
            }
        }
    };
}

any_message! {
    TokenizedGenerateReqInput, BatchTokenizedGenerateReqInput, TokenizedEmbeddingReqInput,
    BatchTokenizedEmbeddingReqInput, BatchTokenIDOutput, BatchStrOutput, BatchEmbeddingOutput,
    AbortReq, FlushCacheReqInput, FlushCacheReqOutput, PauseGenerationReqInput, ContinueGenerationReqInput,
    GetInternalStateReq, GetInternalStateReqOutput, SetInternalStateReq, SetInternalStateReqOutput,
    ExpertDistributionReq, ExpertDistributionReqOutput,
    ShutdownReq, ConfigureLoggingReq, OpenSessionReqInput, OpenSessionReqOutput, CloseSessionReqInput,
    HealthCheckOutput,
    ProfileReq, ProfileReqOutput,
    UpdateWeightFromDiskReqInput, UpdateWeightFromDiskReqOutput, GetWeightsByNameReqInput, GetWeightsByNameReqOutput,
    UpdateWeightVersionReqInput, UpdateWeightVersionReqOutput,
    LoadLoRAAdapterReqInput, UnloadLoRAAdapterReqInput, LoRAUpdateOutput,
    ReleaseMemoryOccupationReqInput, ReleaseMemoryOccupationReqOutput,
    ResumeMemoryOccupationReqInput, ResumeMemoryOccupationReqOutput,
    SlowDownReqInput, SlowDownReqOutput, CheckWeightsReqInput, CheckWeightsReqOutput,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin = Origin { role: crate::wire::Role::Scheduler, life: 7, seq: 42 };

    #[test]
    fn a_message_survives_the_wire_with_its_origin_and_our_own_fields() {
        let attempt = Some(Attempt { life: 3, number: 9 });
        let abort = AbortReq { rid: Some("a_1".into()), attempt, ..Default::default() };
        let frame = AnyMessage::from(abort.clone()).encode(Some(ORIGIN)).unwrap();
        assert_eq!(AnyMessage::decode(&frame).unwrap(), (abort.clone().into(), Some(ORIGIN)));
        let bare = AnyMessage::from(abort.clone()).encode(None).unwrap();
        let without = AbortReq { attempt: None, ..abort };
        assert_eq!(AnyMessage::decode(&bare).unwrap(), (without.into(), None));
    }

    #[test]
    fn a_field_that_the_reference_appends_one_day_does_not_meet_ours() {
        let abort = AbortReq { attempt: Some(Attempt { life: 1, number: 2 }), ..Default::default() };
        let frame = AnyMessage::from(abort.clone()).encode(Some(ORIGIN)).unwrap();
        let bare = AnyMessage::from(abort.clone()).encode(None).unwrap();
        // The first byte is the array's length; a new field comes after the last one, before the extension.
        let mut later = bare.clone();
        later.push(0xc3);
        later.extend_from_slice(&frame[bare.len()..]);
        later[0] += 2;
        assert_eq!(AnyMessage::decode(&later).unwrap(), (abort.clone().into(), Some(ORIGIN)));
        // An earlier version has fewer fields.
        let mut earlier = bare[..bare.len() - 1].to_vec();
        earlier.extend_from_slice(&frame[bare.len()..]);
        assert_eq!(AnyMessage::decode(&earlier).unwrap(), (abort.into(), Some(ORIGIN)));
    }

    #[test]
    fn the_action_of_an_expert_request_is_its_number() {
        let action = ExpertDistributionReqType::DumpRecord;
        let message: AnyMessage = ExpertDistributionReq { action, ..Default::default() }.into();
        let frame = rmp_serde::to_vec(&("ExpertDistributionReq", (), (), 3)).unwrap();
        assert_eq!(message.encode(None).unwrap(), frame);
        assert_eq!(AnyMessage::decode(&frame).unwrap(), (message, None));
        let wrong = rmp_serde::to_vec(&("ExpertDistributionReq", (), (), 4)).unwrap();
        assert!(AnyMessage::decode(&wrong).is_err());
    }

    #[test]
    fn a_request_without_an_id_is_refused_by_name() {
        let nameless = rmp_serde::to_vec(&("TokenizedGenerateReqInput", (), (), "text")).unwrap();
        let error = SchedulerMessage::decode(&nameless).unwrap_err().to_string();
        assert!(error.starts_with("cannot decode TokenizedGenerateReqInput: rid: "), "{error}");
        let nameless = rmp_serde::to_vec(&("TokenizedEmbeddingReqInput", ())).unwrap();
        let error = SchedulerMessage::decode(&nameless).unwrap_err().to_string();
        assert!(error.starts_with("cannot decode TokenizedEmbeddingReqInput: rid: "), "{error}");
    }

    #[test]
    fn missing_trailing_fields_take_their_default() {
        let frame = rmp_serde::to_vec(&("AbortReq", "x")).unwrap();
        let (message, _) = AnyMessage::decode(&frame).unwrap();
        assert_eq!(message, AbortReq { rid: Some("x".into()), ..Default::default() }.into());
    }

    #[test]
    fn unknown_truncated_and_foreign_frames_are_errors() {
        let frame =
            AnyMessage::from(AbortReq { abort_all: true, ..Default::default() }).encode(None).unwrap();
        for cut in 0..frame.len() {
            assert!(AnyMessage::decode(&frame[..cut]).is_err(), "cut at {cut}");
        }
        assert!(matches!(
            AnyMessage::decode(&rmp_serde::to_vec(&("Nobody", 1)).unwrap()),
            Err(FrameError::UnknownClass(name)) if name == "Nobody"
        ));
        assert!(AnyMessage::decode(b"\x80").is_err());
        assert!(AnyMessage::decode(b"").is_err());
    }
}
