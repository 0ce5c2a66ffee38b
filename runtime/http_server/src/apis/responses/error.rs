//! Errors of the Responses API: `{"error":{"message","type","param","code"}}`.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Value, json};

use crate::http::errors::ApiError;
use crate::http::reply;

/// An error response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponsesError {
    status: u16,
    kind: String,
    message: String,
    param: Option<&'static str>,
}

impl ResponsesError {
    /// An invalid or unsupported request; `param` is the field.
    pub fn invalid(message: impl Into<String>, param: impl Into<Option<&'static str>>) -> Self {
        Self {
            status: 400,
            kind: "invalid_request_error".into(),
            message: message.into(),
            param: param.into(),
        }
    }

    /// A missing object.
    pub fn not_found(message: impl Into<String>, param: &'static str) -> Self {
        Self { status: 404, ..Self::invalid(message, param) }
    }

    /// The server does not store responses.
    pub fn store_disabled(param: &'static str) -> Self {
        Self::invalid(
            "Response store is disabled. Stateful Responses require --enable-response-store on a standalone server; \
             response storage is unavailable in PD mode.",
            param,
        )
    }

    /// An id that is not in the form of a response id.
    pub fn bad_id(id: &str) -> Self {
        let message = format!("Invalid 'response_id': '{id}'. Expected an ID that begins with 'resp'.");
        Self::invalid(message, "response_id")
    }

    /// An id without a stored response.
    pub fn unknown_id(id: &str) -> Self {
        Self::not_found(format!("Response with id '{id}' not found."), "response_id")
    }

    /// The text of the error.
    pub fn message(&self) -> &str {
        &self.message
    }

    fn body(&self) -> Value {
        json!({"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.status}})
    }
}

/// Errors of the chat completion code, in this shape. Schema errors and server errors have the type for their status;
/// all others are invalid requests.
impl From<ApiError> for ResponsesError {
    fn from(error: ApiError) -> Self {
        let status = error.status_code();
        let phrase = status.canonical_reason().unwrap_or("Internal Server Error").to_owned();
        let text = error.text().into_owned();
        if matches!(error, ApiError::ModelNotFound(_)) {
            return Self::not_found(text, "model");
        }
        let kind = match &error {
            ApiError::OpenAi { status: 400, .. } => "invalid_request_error".to_owned(),
            _ => phrase,
        };
        Self { status: status.as_u16(), kind, message: text, param: None }
    }
}

impl fmt::Display for ResponsesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl ResponseError for ResponsesError {
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

    #[test]
    fn errors_of_the_chat_machinery_take_this_shape() {
        let of = |error: ApiError| ResponsesError::from(error).body().to_string();
        assert_eq!(
            of(ApiError::bad_request("no")),
            r#"{"error":{"message":"no","type":"invalid_request_error","param":null,"code":400}}"#
        );
        let full = ApiError::OpenAi { status: 503, kind: "503".into(), message: "full".into() };
        assert_eq!(
            of(full),
            r#"{"error":{"message":"full","type":"Service Unavailable","param":null,"code":503}}"#
        );
        assert_eq!(
            of(sglang_tokenizer_manager::model_name::UnknownModel::new("m", Vec::new()).into()),
            r#"{"error":{"message":"The model 'm' does not exist","type":"invalid_request_error","param":"model","code":404}}"#
        );
        assert!(of(ApiError::Validation(Vec::new())).contains("\"type\":\"Bad Request\""));
    }
}
