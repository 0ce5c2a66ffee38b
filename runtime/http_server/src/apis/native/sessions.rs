//! Routes that open and close sessions. The scheduler keeps the sessions.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde_json::{Map, Value};
use sglang_proto::messages::OpenSessionReqInput;
use sglang_tokenizer_manager::requests::normalize::new_rid;
use sglang_tokenizer_manager::requests::validation::{
    FieldError, Fields, Mismatch, Read, boolean, float, int, string,
};

use crate::app::App;
use crate::http::errors::ApiError;
use crate::http::extract::NativeJson;
use crate::http::reply;

/// Longest wait for the scheduler's answer. The call may have to wait for a model step.
const PATIENCE: Duration = Duration::from_secs(60);
/// The reference's text for a session that cannot be opened.
const NOT_OPENED: &str = "Failed to open the session. Check if a session with the same id is still open.";
/// The reference's text for a streaming session without the flag.
const NO_STREAMING: &str =
    "Streaming sessions are disabled. Please relaunch with --enable-streaming-session.";

fn seconds(value: &Value) -> Read<f64> {
    match float(value)? {
        seconds if seconds >= 0.0 => Ok(seconds),
        _ => Err(Mismatch::rule("timeout must be 0 or more seconds", value)),
    }
}

fn native(message: &str) -> ApiError {
    ApiError::Native { status: 400, message: message.to_owned() }
}

/// Reads the body of `/open_session`.
///
/// # Errors
/// Every invalid field.
pub fn read_open(body: &Map<String, Value>) -> Result<OpenSessionReqInput, Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let capacity = f.required("capacity_of_str_len", int);
    let request = OpenSessionReqInput {
        capacity_of_str_len: capacity.unwrap_or_default(),
        session_id: f.optional("session_id", string),
        streaming: f.optional("streaming", boolean),
        timeout: f.optional("timeout", seconds),
        ..Default::default()
    };
    f.finish(capacity.map(|_| request))
}

/// Reads the body of `/close_session`.
///
/// # Errors
/// If the id is missing or is not a string.
pub fn read_close(body: &Map<String, Value>) -> Result<String, Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let session_id = f.required("session_id", string);
    f.finish(session_id)
}

/// `POST /open_session`: the id of the new session, as a JSON string.
pub async fn open_session(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let mut request = read_open(&body.0)?;
    if request.streaming == Some(true) && !app.args.enable_streaming_session {
        return Err(native(NO_STREAMING));
    }
    request.session_id.get_or_insert_with(new_rid);
    let opened = app.manager.open_session(request, PATIENCE).await?;
    match opened.session_id.filter(|_| opened.success) {
        Some(id) => Ok(reply::json(&id)),
        None => Err(native(NOT_OPENED)),
    }
}

/// `POST /close_session`. To close an unknown session is not an error.
pub async fn close_session(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let session_id = read_close(&body.0)?;
    app.manager.close_session(session_id)?;
    Ok(reply::empty(200))
}
