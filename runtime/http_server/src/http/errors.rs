//! Errors of the routes. Each error has a status, a shape and a type; the shapes are the reference's.

use std::borrow::Cow;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE};
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Value, json};
use sglang_tokenizer_manager::call_trace;
use sglang_tokenizer_manager::manager::{ControlError, GenerateError};
use sglang_tokenizer_manager::model_name::UnknownModel;
use sglang_tokenizer_manager::requests::ValueError;
use sglang_tokenizer_manager::requests::contract::ContractError;
use sglang_tokenizer_manager::requests::validation::{FieldError, brief};

/// An error response.
#[derive(Clone, Debug, PartialEq)]
pub enum ApiError {
    /// A body or query that does not match the schema: 400, flat, type `Bad Request`.
    Validation(Vec<FieldError>),
    /// An error of the web framework: flat; the type is the status as text.
    Http {
        /// Status.
        status: u16,
        /// Text.
        detail: String,
    },
    /// A native route refuses a value: `{"error":{"message"}}`.
    Native {
        /// Status.
        status: u16,
        /// Text.
        message: String,
    },
    /// A body that violates the contract of `/generate`: 400, `{"error":"text"}`.
    Contract(ContractError),
    /// A refusal of an OpenAI route: flat, with a type.
    OpenAi {
        /// Status.
        status: u16,
        /// `BadRequestError`, `BadRequest`, …
        kind: Cow<'static, str>,
        /// Text.
        message: String,
    },
    /// No key, or the wrong one.
    Unauthorized,
    /// No model of this name is served.
    ModelNotFound(UnknownModel),
    /// No such path.
    NotFound,
    /// The path exists, but only with these methods.
    MethodNotAllowed(&'static [&'static str]),
}

impl ApiError {
    /// A refusal by an OpenAI route.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::OpenAi { status: 400, kind: "BadRequestError".into(), message: message.into() }
    }

    /// An OpenAI request that cannot be converted to a native one.
    pub fn bad_conversion(message: impl Into<String>) -> Self {
        Self::OpenAi { status: 400, kind: "BadRequest".into(), message: message.into() }
    }

    /// The route needs a feature that this version does not have.
    pub fn not_implemented(what: &str) -> Self {
        Self::Http { status: 501, detail: format!("{what} is not supported by this version of the server.") }
    }

    /// The response of a native route to a failed request.
    pub fn native(error: GenerateError) -> Self {
        match error {
            GenerateError::Value(ValueError(message)) => Self::Native { status: 400, message },
            GenerateError::Refused { status, message } => Self::Http { status, detail: message },
        }
    }

    /// The response of an OpenAI route to a failed request.
    pub fn openai(error: GenerateError) -> Self {
        match error {
            GenerateError::Value(ValueError(message)) => Self::bad_request(message),
            GenerateError::Refused { status, message } => {
                Self::OpenAi { status, kind: status.to_string().into(), message }
            }
        }
    }

    /// The error message, as in the body.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Validation(errors) => validation_message(errors).into(),
            Self::Http { detail: text, .. }
            | Self::Native { message: text, .. }
            | Self::OpenAi { message: text, .. } => text.into(),
            Self::Contract(error) => error.0.as_str().into(),
            Self::Unauthorized => "Unauthorized".into(),
            Self::ModelNotFound(unknown) => unknown.message().into(),
            Self::NotFound => "Not Found".into(),
            Self::MethodNotAllowed(_) => "Method Not Allowed".into(),
        }
    }

    /// The JSON body.
    pub fn body(&self) -> Value {
        let text = self.text();
        let flat = |kind: &str, code: u16| json!({"object": "error", "message": text, "type": kind, "param": null, "code": code});
        match self {
            Self::Validation(_) => flat("Bad Request", 400),
            Self::Http { status, .. } => flat(&status.to_string(), *status),
            Self::Native { .. } => json!({"error": {"message": text}}),
            Self::Contract(_) | Self::Unauthorized => json!({"error": text}),
            Self::OpenAi { status, kind, .. } => flat(kind, *status),
            Self::ModelNotFound(_) => json!({"error": {
                "message": text,
                "type": "invalid_request_error",
                "param": "model",
                "code": "model_not_found",
            }}),
            Self::NotFound | Self::MethodNotAllowed(_) => json!({"detail": text}),
        }
    }

    /// The reason for the log, without any text from the client. `None` if the status says everything.
    fn reason(&self) -> Option<String> {
        match self {
            Self::Validation(errors) => Some(brief(errors)),
            Self::Http { detail: text, .. }
            | Self::Native { message: text, .. }
            | Self::OpenAi { message: text, .. } => Some(text.clone()),
            Self::Contract(error) => Some(error.0.clone()),
            Self::ModelNotFound(unknown) => Some(unknown.message()),
            Self::Unauthorized | Self::NotFound | Self::MethodNotAllowed(_) => None,
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::Validation(_) | Self::Contract(_) => 400,
            Self::Http { status, .. } | Self::Native { status, .. } | Self::OpenAi { status, .. } => *status,
            Self::Unauthorized => 401,
            Self::ModelNotFound(_) | Self::NotFound => 404,
            Self::MethodNotAllowed(_) => 405,
        }
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let status = match error {
            ControlError::Timeout(_) => 504,
            ControlError::Unreachable(_) | ControlError::Restarted => 503,
            ControlError::WrongReply { .. } => 500,
        };
        Self::Http { status, detail: error.to_string() }
    }
}

impl From<UnknownModel> for ApiError {
    fn from(unknown: UnknownModel) -> Self {
        Self::ModelNotFound(unknown)
    }
}

impl From<Vec<FieldError>> for ApiError {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::Validation(errors)
    }
}

/// The text of a schema error: the list as lines, and once more in brackets. (The reference has its own source path
/// between the two; that is left out.)
fn validation_message(errors: &[FieldError]) -> String {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let plural = if texts.len() == 1 { "" } else { "s" };
    let lines: String = texts.iter().map(|t| format!("\n  {t}")).collect();
    format!("{} validation error{plural}:{lines} [{}]", texts.len(), texts.join(", "))
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.body())
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        if let Some(reason) = self.reason() {
            call_trace::note_reason(&reason);
        }
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((CONTENT_TYPE, "application/json"));
        if matches!(self.status(), 408 | 413) {
            // The server does not wait for the rest of the body.
            response.force_close();
        }
        if let Self::MethodNotAllowed(methods) = self {
            response.insert_header((ALLOW, methods.join(", ")));
        }
        response.body(self.body().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_the_references() {
        let cases = [
            (
                ApiError::Http { status: 503, detail: "full".into() },
                503,
                r#"{"object":"error","message":"full","type":"503","param":null,"code":503}"#,
            ),
            (ApiError::Native { status: 400, message: "no".into() }, 400, r#"{"error":{"message":"no"}}"#),
            (ApiError::Contract(ContractError("bad".into())), 400, r#"{"error":"bad"}"#),
            (
                ApiError::bad_request("no"),
                400,
                r#"{"object":"error","message":"no","type":"BadRequestError","param":null,"code":400}"#,
            ),
            (ApiError::Unauthorized, 401, r#"{"error":"Unauthorized"}"#),
            (ApiError::NotFound, 404, r#"{"detail":"Not Found"}"#),
            (ApiError::MethodNotAllowed(&["PUT", "POST"]), 405, r#"{"detail":"Method Not Allowed"}"#),
            (
                ApiError::ModelNotFound(UnknownModel::new("a/b", Vec::new())),
                404,
                r#"{"error":{"message":"The model 'a/b' does not exist","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#,
            ),
        ];
        for (error, status, body) in cases {
            assert_eq!((error.status_code().as_u16(), error.body().to_string().as_str()), (status, body));
        }
        let response = ApiError::MethodNotAllowed(&["PUT", "POST"]).error_response();
        assert_eq!(response.headers().get(ALLOW).unwrap(), "PUT, POST");
    }

    #[test]
    fn a_schema_error_counts_and_repeats_its_list() {
        let error = FieldError {
            kind: "missing",
            loc: vec!["body".into()],
            msg: "Field required".into(),
            input: Value::Null,
            ctx: vec![],
        };
        let one = "{'type': 'missing', 'loc': ('body',), 'msg': 'Field required', 'input': None}";
        assert_eq!(
            validation_message(std::slice::from_ref(&error)),
            format!("1 validation error:\n  {one} [{one}]")
        );
        assert!(validation_message(&[error.clone(), error]).starts_with("2 validation errors:\n"));
    }
}
