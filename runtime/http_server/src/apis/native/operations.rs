//! Routes to monitor a running server: log settings and traces of the scheduler.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::{Map, Value};
use sglang_process::logging;
use sglang_proto::messages::{ConfigureLoggingReq, ProfileReq, STOP_PROFILE};
use sglang_tokenizer_manager::requests::validation::{
    FieldError, Fields, Mismatch, Read, boolean, int, list, string,
};

use crate::app::App;
use crate::http::errors::ApiError;
use crate::http::extract::{NativeJson, OptionalJson};
use crate::http::reply;

/// Longest wait for the scheduler to write a trace.
const TRACE_PATIENCE: Duration = Duration::from_secs(600);

fn level(value: &Value) -> Read<String> {
    let name = string(value)?;
    match logging::is_level(&name) {
        true => Ok(name),
        false => Err(Mismatch::literal(&["debug", "info", "warning", "error", "critical"], value)),
    }
}

fn log_requests_level(value: &Value) -> Read<i64> {
    match int(value)? {
        level @ 0..=3 => Ok(level),
        _ => Err(Mismatch::literal_number(&[0, 1, 2, 3], value)),
    }
}

fn log_format(value: &Value) -> Read<String> {
    match value.as_str() {
        Some(format @ ("text" | "json")) => Ok(format.to_owned()),
        _ => Err(Mismatch::literal(&["text", "json"], value)),
    }
}

/// Reads the body of `/configure_logging`.
///
/// # Errors
/// Every invalid field, as for the reader below.
pub fn read_logging(body: &Map<String, Value>) -> Result<ConfigureLoggingReq, Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let request = ConfigureLoggingReq {
        log_requests: f.optional("log_requests", boolean),
        log_requests_level: f.optional("log_requests_level", log_requests_level),
        log_requests_format: f.optional("log_requests_format", log_format),
        log_level: f.optional("log_level", level),
        dump_requests_folder: f.optional("dump_requests_folder", string),
        dump_requests_threshold: f.optional("dump_requests_threshold", int),
        crash_dump_folder: f.optional("crash_dump_folder", string),
        dump_requests_exclude_meta_keys: f.optional("dump_requests_exclude_meta_keys", list(string)),
        ..Default::default()
    };
    f.finish(Some(request))
}

/// `POST /configure_logging`: fields that the body leaves out keep their values.
pub async fn configure_logging(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let request = read_logging(&body.0)?;
    if request.dump_requests_folder.is_some() || request.crash_dump_folder.is_some() {
        tracing::warn!(
            "Requests are not dumped by this server: dump_requests_folder and crash_dump_folder do nothing"
        );
    }
    app.manager.configure_logging(request)?;
    Ok(reply::empty(200))
}

/// Reads the body of `/start_profile`.
pub fn read_profile(body: &Map<String, Value>) -> Result<ProfileReq, Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let request = ProfileReq {
        output_dir: f.optional("output_dir", string),
        start_step: f.optional("start_step", int),
        num_steps: f.optional("num_steps", int),
        activities: f.optional("activities", list(string)),
        profile_by_stage: f.or("profile_by_stage", false, boolean),
        with_stack: f.optional("with_stack", boolean),
        record_shapes: f.optional("record_shapes", boolean),
        profile_id: f.optional("profile_id", string),
        merge_profiles: f.or("merge_profiles", false, boolean),
        profile_prefix: f.optional("profile_prefix", string),
        profile_stages: f.optional("profile_stages", list(string)),
        detailed_annotations: f.or("detailed_annotations", false, boolean),
        ..Default::default()
    };
    f.finish(Some(request))
}

/// `/start_profile`. The body is optional.
pub async fn start_profile(app: web::Data<App>, body: OptionalJson) -> Result<HttpResponse, ApiError> {
    let request = read_profile(&body.0)?;
    profile(&app, request, "Start profiling.\n").await
}

/// `/stop_profile`: answers once the file is written.
pub async fn stop_profile(app: web::Data<App>) -> Result<HttpResponse, ApiError> {
    let request = ProfileReq { req_type: STOP_PROFILE, ..Default::default() };
    profile(&app, request, "Stop profiling. This will take some time.\n").await
}

async fn profile(app: &App, request: ProfileReq, done: &str) -> Result<HttpResponse, ApiError> {
    let answer = app.manager.profile(request, TRACE_PATIENCE).await?;
    match answer.success {
        true => Ok(reply::plain(StatusCode::OK, done.to_owned())),
        false => Err(ApiError::Http { status: 400, detail: answer.message }),
    }
}
