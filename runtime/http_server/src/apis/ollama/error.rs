//! Errors of the Ollama routes: `{"error": "…"}`, plus the keys of the reference's errors.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Value, json};
use sglang_tokenizer_manager::manager::GenerateError;
use sglang_tokenizer_manager::requests::ValueError;
use sglang_tokenizer_manager::requests::validation::FieldError;

use crate::http::errors::ApiError;
use crate::http::reply;

/// An error response.
#[derive(Clone, Debug, PartialEq)]
pub struct OllamaError {
    status: StatusCode,
    kind: String,
    message: String,
}

impl OllamaError {
    /// An invalid or unsupported request.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: "400".into(), message: message.into() }
    }

    fn body(&self) -> Value {
        json!({
            "error": self.message,
            "object": "error",
            "message": self.message,
            "type": self.kind,
            "param": null,
            "code": self.status.as_u16(),
        })
    }
}

impl From<ApiError> for OllamaError {
    fn from(error: ApiError) -> Self {
        let status = error.status_code();
        let phrase = || status.canonical_reason().unwrap_or("Internal Server Error").to_owned();
        let kind = match &error {
            ApiError::Validation(_) => phrase(),
            _ => status.as_u16().to_string(),
        };
        Self { status, kind, message: error.text().into_owned() }
    }
}

impl From<Vec<FieldError>> for OllamaError {
    fn from(errors: Vec<FieldError>) -> Self {
        ApiError::Validation(errors).into()
    }
}

impl From<GenerateError> for OllamaError {
    fn from(error: GenerateError) -> Self {
        match error {
            GenerateError::Value(ValueError(message)) => Self::invalid(message),
            GenerateError::Refused { status, message } => ApiError::Http { status, detail: message }.into(),
        }
    }
}

impl fmt::Display for OllamaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl ResponseError for OllamaError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        reply::json_status(self.status, &self.message, &self.body())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sglang_tokenizer_manager::model_name::UnknownModel;

    #[test]
    fn the_text_stands_where_ollamas_clients_and_the_references_look() {
        let body = OllamaError::invalid("no").body();
        assert_eq!(
            body.to_string(),
            r#"{"error":"no","object":"error","message":"no","type":"400","param":null,"code":400}"#
        );
        let unknown = OllamaError::from(ApiError::from(UnknownModel::new("m", Vec::new())));
        assert_eq!(
            (unknown.status.as_u16(), unknown.message.as_str()),
            (404, "The model 'm' does not exist")
        );
        let schema = OllamaError::from(Vec::<FieldError>::new());
        assert_eq!(schema.kind, "Bad Request");
    }
}
