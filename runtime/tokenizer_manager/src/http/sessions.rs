//! Opening and closing of sessions; the scheduler keeps them.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde_json::Value;
use sglang_proto::messages::OpenSessionReqInput;

use super::errors::ApiError;
use super::extract::NativeJson;
use super::reply;
use crate::app::App;
use crate::requests::normalize::new_rid;
use crate::requests::validation::{Fields, Mismatch, Read, boolean, float, int, string};

/// Longest wait for the scheduler's answer; a step of the model may come before it.
const PATIENCE: Duration = Duration::from_secs(60);
/// The reference's words for a session that cannot be opened.
const NOT_OPENED: &str = "Failed to open the session. Check if a session with the same id is still open.";
/// The reference's words for a streaming session without the flag.
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

/// `POST /open_session`: the id of the new session, as a JSON string.
pub async fn open_session(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let mut f = Fields::of_body(&body.0);
    let capacity = f.required("capacity_of_str_len", int);
    let session_id = f.optional("session_id", string);
    let streaming = f.optional("streaming", boolean);
    let timeout = f.optional("timeout", seconds);
    let capacity_of_str_len = f.finish(capacity)?;
    if streaming == Some(true) && !app.args.enable_streaming_session {
        return Err(native(NO_STREAMING));
    }
    let session_id = Some(session_id.unwrap_or_else(new_rid));
    let request = OpenSessionReqInput {
        rid: None,
        http_worker_ipc: None,
        capacity_of_str_len,
        session_id,
        streaming,
        timeout,
    };
    let opened = app.manager.open_session(request, PATIENCE).await?;
    match opened.session_id.filter(|_| opened.success) {
        Some(id) => Ok(reply::json(&id)),
        None => Err(native(NOT_OPENED)),
    }
}

/// `POST /close_session`. Closing a session that is not there is no error.
pub async fn close_session(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let mut f = Fields::of_body(&body.0);
    let session_id = f.required("session_id", string);
    let session_id = f.finish(session_id)?;
    app.manager.close_session(session_id)?;
    Ok(reply::empty(200))
}
