//! Errors of the Messages API: `{"type":"error","error":{"type","message"}}`.

use std::borrow::Cow;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Value, json};
use sglang_tokenizer_manager::call_trace;
use sglang_tokenizer_manager::requests::validation::{FieldError, brief};

use crate::http::errors::ApiError;
use crate::http::reply;

/// Longest message in characters.
const MESSAGE_CHARS: usize = 500;
/// The text for internal errors, whose cause clients do not see.
const INTERNAL: &str = "Internal server error";

/// An error response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnthropicError {
    status: u16,
    kind: Cow<'static, str>,
    message: String,
}

/// The error type for an HTTP status.
fn kind_of(status: u16) -> &'static str {
    match status {
        400 | 422 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 => "request_timeout_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        _ => "api_error",
    }
}

impl AnthropicError {
    /// An error with the type for its status. The client does not see the message of an internal error.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        let message = message.into();
        if status < 500 {
            return Self::cut(status, kind_of(status), message);
        }
        call_trace::note_reason(&message);
        Self::cut(status, kind_of(status), INTERNAL)
    }

    fn cut(status: u16, kind: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(MESSAGE_CHARS) {
            message.truncate(end);
            message.push('…');
        }
        Self { status, kind: kind.into(), message }
    }

    /// An invalid or unsupported request.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// The response to a body that does not match the schema.
    pub fn schema(error: ApiError) -> Self {
        match error {
            ApiError::Validation(errors) => errors.into(),
            other => Self::conversion(other),
        }
    }

    /// The response to a request that cannot be converted to a native one.
    pub fn conversion(error: ApiError) -> Self {
        let status = error.status_code().as_u16();
        match error {
            ApiError::Http { detail: message, .. } | ApiError::OpenAi { message, .. } => {
                Self::new(status, message)
            }
            ApiError::ModelNotFound(unknown) => Self::new(status, unknown.message()),
            other => Self::new(status, other.to_string()),
        }
    }

    /// The response to a failed request. Errors that the request itself caused keep OpenAI's type.
    pub fn generation(error: ApiError) -> Self {
        match error {
            ApiError::OpenAi { status: 400, kind, message } => Self::cut(400, kind, message),
            other => Self::conversion(other),
        }
    }

    /// A failure inside a stream. Its message is always shown.
    pub fn streamed(status: u16, message: impl Into<String>) -> Self {
        Self::cut(status, kind_of(status), message)
    }

    /// The JSON body, also used as data of a stream's error event.
    pub fn body(&self) -> Value {
        json!({"type": "error", "error": {"type": self.kind, "message": self.message}})
    }
}

impl From<Vec<FieldError>> for AnthropicError {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::invalid(brief(&errors))
    }
}

impl fmt::Display for AnthropicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl ResponseError for AnthropicError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        reply::json_status(self.status_code(), &self.message, &self.body())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sglang_tokenizer_manager::manager::GenerateError;
    use sglang_tokenizer_manager::requests::validation::Loc;

    #[test]
    fn failures_of_the_server_are_not_explained_and_long_messages_are_cut() {
        let full = GenerateError::Refused { status: 503, message: "The request queue is full.".into() };
        assert_eq!(
            AnthropicError::generation(ApiError::openai(full)).body().to_string(),
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Internal server error"}}"#
        );
        let long = AnthropicError::invalid("ü".repeat(600)).to_string();
        assert_eq!((long.chars().count(), long.ends_with("ü…")), (501, true));
    }

    #[test]
    fn a_schema_error_names_the_place_without_the_body() {
        let error = |loc: Vec<Loc>, msg: &str| FieldError {
            kind: "missing",
            loc,
            msg: msg.into(),
            input: Value::Null,
            ctx: Vec::new(),
        };
        let errors = vec![
            error(vec!["body".into(), "tools".into(), Loc::Index(1)], "Field required"),
            error(vec!["body".into()], "Nothing there"),
        ];
        assert_eq!(AnthropicError::from(errors).to_string(), "tools.1: Field required; Nothing there");
    }
}
