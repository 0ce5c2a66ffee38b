//! Small answers.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use serde::Serialize;
use sglang_tokenizer_manager::call_trace;

/// A JSON answer with status 200.
pub fn json(value: &impl Serialize) -> HttpResponse {
    json_status(StatusCode::OK, "", value)
}

/// A JSON answer. `reason` explains one that is no success in the log.
pub fn json_status(status: StatusCode, reason: &str, value: &impl Serialize) -> HttpResponse {
    if !status.is_success() {
        call_trace::note_reason(reason);
    }
    match serde_json::to_string(value) {
        Ok(body) => text_json(status, body),
        Err(error) => {
            tracing::error!("cannot write an answer: {error}");
            HttpResponse::InternalServerError().body("Internal Server Error")
        }
    }
}

/// Writes a chunk. Chunks are made of text and numbers, so this does not fail.
pub fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| {
        tracing::error!("cannot write a chunk: {error}");
        "{}".into()
    })
}

/// An answer that is JSON already.
pub fn text_json(status: StatusCode, body: String) -> HttpResponse {
    HttpResponse::build(status).insert_header((CONTENT_TYPE, "application/json")).body(body)
}

/// An empty answer.
pub fn empty(status: u16) -> HttpResponse {
    HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)).finish()
}

/// Text of a control route, which carries no content type.
pub fn plain(status: StatusCode, text: String) -> HttpResponse {
    if !status.is_success() {
        call_trace::note_reason(text.trim_end());
    }
    let mut response = HttpResponse::build(status).body(text);
    response.headers_mut().remove(CONTENT_TYPE);
    response
}
