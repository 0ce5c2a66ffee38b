//! Why a request ended (reference: `managers/schedule_batch.py`, `BaseFinishReason.to_json`).

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// The end of a request, as clients see it in `meta_info.finish_reason`.
#[derive(Clone, Debug, PartialEq)]
pub enum FinishReason {
    /// A stop token (`matched` is its id) or stop string (`matched` is the string).
    Stop {
        /// Token id or text that ended the output.
        matched: Value,
    },
    /// `max_new_tokens` or the context length was reached.
    Length {
        /// Number of output tokens.
        length: u64,
    },
    /// The request was aborted by the client or refused by the scheduler.
    Abort {
        /// What happened.
        message: String,
        /// HTTP status of the answer; `None` if the client aborted.
        status_code: Option<u16>,
        /// Error type in OpenAI-style bodies.
        err_type: Option<String>,
    },
}

impl FinishReason {
    /// Ended by a stop token.
    pub fn matched_token(id: u32) -> Self {
        Self::Stop { matched: Value::from(id) }
    }

    /// Ended by a stop string or pattern.
    pub fn matched_str(text: impl Into<String>) -> Self {
        Self::Stop { matched: Value::from(text.into()) }
    }

    /// An abort by the client.
    pub fn aborted(message: impl Into<String>) -> Self {
        Self::Abort { message: message.into(), status_code: None, err_type: None }
    }

    /// A refusal with an HTTP status.
    pub fn refused(message: impl Into<String>, status_code: u16, err_type: impl Into<String>) -> Self {
        Self::Abort {
            message: message.into(),
            status_code: Some(status_code),
            err_type: Some(err_type.into()),
        }
    }
}

impl Serialize for FinishReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Stop { matched } => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("type", "stop")?;
                map.serialize_entry("matched", matched)?;
                map.end()
            }
            Self::Length { length } => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("type", "length")?;
                map.serialize_entry("length", length)?;
                map.end()
            }
            Self::Abort { message, status_code, err_type } => {
                let mut map = serializer.serialize_map(Some(4))?;
                map.serialize_entry("type", "abort")?;
                map.serialize_entry("message", message)?;
                map.serialize_entry("status_code", status_code)?;
                map.serialize_entry("err_type", err_type)?;
                map.end()
            }
        }
    }
}

#[derive(Deserialize)]
struct Raw {
    r#type: String,
    #[serde(default)]
    matched: Value,
    #[serde(default)]
    length: u64,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    status_code: Option<u16>,
    #[serde(default)]
    err_type: Option<String>,
}

impl<'de> Deserialize<'de> for FinishReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Raw::deserialize(deserializer)?;
        Ok(match raw.r#type.as_str() {
            "stop" => Self::Stop { matched: raw.matched },
            "length" => Self::Length { length: raw.length },
            "abort" => Self::Abort {
                message: raw.message.unwrap_or_default(),
                status_code: raw.status_code,
                err_type: raw.err_type,
            },
            other => {
                return Err(serde::de::Error::unknown_variant(other, &["stop", "length", "abort"]));
            }
        })
    }
}
