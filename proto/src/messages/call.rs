//! Calls: messages that get an answer.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{AnyMessage, message_enum};
use crate::wire::Message;

/// Id of a call, which its answer repeats. Callers of the reference give none; then it is empty, and null on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallId(String);

impl CallId {
    /// The id; `None` if the caller gave none.
    pub fn get(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|id| !id.is_empty())
    }
}

impl<T: Into<String>> From<T> for CallId {
    fn from(id: T) -> Self {
        Self(id.into())
    }
}

impl Serialize for CallId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.get().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CallId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<String>::deserialize(deserializer).map(|id| Self(id.unwrap_or_default()))
    }
}

/// A message whose answer is a [`Call::Reply`].
pub trait Call: Into<AnyMessage> {
    /// Class of the answer.
    type Reply: Reply;

    /// The same call with this id.
    #[must_use]
    fn with_id(self, id: CallId) -> Self;
}

/// An answer to a [`Call`].
pub trait Reply: Message {
    /// The answer, if it has this class.
    ///
    /// # Errors
    /// The answer, if it has another class.
    fn from_answer(answer: Answer) -> Result<Self, Answer>;
}

macro_rules! answers {
    ($($class:ident),* $(,)?) => {
        message_enum! {
            /// The answer to any call.
            Answer { $($class),* }
        }

        impl Answer {
            /// Id of the call.
            pub fn rid(&self) -> &CallId {
                match self { $( Self::$class(answer) => &answer.rid ),* }
            }
        }

        $( impl Reply for super::$class {
            fn from_answer(answer: Answer) -> Result<Self, Answer> {
                match answer {
                    Answer::$class(answer) => Ok(*answer),
                    other => Err(other),
                }
            }
        } )*
    };
}

answers! {
    FlushCacheReqOutput, GetInternalStateReqOutput, SetInternalStateReqOutput, ExpertDistributionReqOutput,
    OpenSessionReqOutput, ProfileReqOutput, UpdateWeightFromDiskReqOutput, UpdateWeightVersionReqOutput,
    GetWeightsByNameReqOutput, LoRAUpdateOutput, ReleaseMemoryOccupationReqOutput,
    ResumeMemoryOccupationReqOutput, SlowDownReqOutput, CheckWeightsReqOutput,
}

#[cfg(test)]
mod tests {
    use super::super::{FlushCacheReqInput, FlushCacheReqOutput, SlowDownReqOutput};
    use super::*;
    use crate::messages::Receivable;

    #[test]
    fn an_answer_of_another_class_is_given_back() {
        let answer = FlushCacheReqOutput { rid: "1".into(), ..Default::default() };
        let taken = FlushCacheReqOutput::from_answer(answer.clone().into());
        assert_eq!(taken.as_ref(), Ok(&answer));
        let refused = SlowDownReqOutput::from_answer(answer.into()).unwrap_err();
        assert_eq!((refused.class(), refused.rid().get()), ("FlushCacheReqOutput", Some("1")));
    }

    #[test]
    fn a_call_without_an_id_has_null_on_the_wire() {
        let call = FlushCacheReqInput::default();
        let frame = AnyMessage::from(call.clone()).encode(None).unwrap();
        assert_eq!(frame[1 + 1 + "FlushCacheReqInput".len()], 0xc0);
        assert_eq!(AnyMessage::decode(&frame).unwrap().0, call.clone().into());
        let frame = AnyMessage::from(call.with_id("7".into())).encode(None).unwrap();
        let AnyMessage::FlushCacheReqInput(call) = AnyMessage::decode(&frame).unwrap().0 else {
            panic!("a flush")
        };
        assert_eq!(call.rid.get(), Some("7"));
    }
}
