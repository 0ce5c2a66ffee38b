//! Routes that control the server: aborts, cache, pause.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};
use sglang_tokenizer_manager::requests::validation::{
    FieldError, Fields, Mismatch, Read, boolean, float, object, string,
};

use crate::app::App;
use crate::http::errors::ApiError;
use crate::http::extract::{NativeJson, query};
use crate::http::reply;

/// Longest wait for the scheduler's answer to a control call. The call may have to wait for a model step.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Reads the body of `/abort_request`: an id, and whether to abort all requests.
///
/// # Errors
/// Every invalid field, as for the readers below.
pub fn read_abort(body: &Map<String, Value>) -> Result<(String, bool), Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let rid = f.optional("rid", string).unwrap_or_default();
    let abort_all = f.or("abort_all", false, boolean);
    f.finish(Some((rid, abort_all)))
}

/// `POST /abort_request`: aborts one request or all. Always 200, even for an unknown id.
pub async fn abort_request(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let (rid, abort_all) = read_abort(&body.0)?;
    match (abort_all, rid.is_empty()) {
        (true, _) => app.manager.registry.abort_all(),
        (false, false) => app.manager.registry.abort(&rid),
        (false, true) => tracing::warn!("Ignored an abort request without rid and abort_all"),
    }
    Ok(reply::empty(200))
}

fn flush_timeout(text: &str) -> Result<f64, ApiError> {
    let wrong = |kind, msg: &str, ctx| {
        ApiError::Validation(vec![FieldError {
            kind,
            loc: vec!["query".into(), "timeout".into()],
            msg: msg.into(),
            input: text.into(),
            ctx,
        }])
    };
    match text.trim().parse::<f64>() {
        Ok(seconds) if seconds >= 0.0 && seconds.is_finite() => Ok(seconds),
        Ok(_) => Err(wrong(
            "greater_than_equal",
            "Input should be greater than or equal to 0",
            vec![("ge", "0.0".into())],
        )),
        Err(_) => Err(wrong(
            "float_parsing",
            "Input should be a valid number, unable to parse string as a number",
            Vec::new(),
        )),
    }
}

/// `GET /flush_cache`, `POST /flush_cache`.
pub async fn flush_cache(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let timeout = query(&request, "timeout").as_deref().map_or(Ok(0.0), flush_timeout)?;
    let answer = app.manager.flush_cache(timeout, PATIENCE).await?;
    Ok(match answer.success {
        true => reply::plain(
            StatusCode::OK,
            "Cache flushed.\nPlease check backend logs for more details. (When there are running or waiting requests, \
             the operation will not be performed.)\n"
                .into(),
        ),
        false if answer.message.is_empty() => {
            reply::plain(StatusCode::BAD_REQUEST, "Flush cache failed.\n".into())
        }
        false => reply::plain(StatusCode::BAD_REQUEST, answer.message),
    })
}

fn pause_mode(value: &Value) -> Read<String> {
    match value.as_str() {
        Some(mode @ ("abort" | "retract" | "in_place")) => Ok(mode.to_owned()),
        _ => Err(Mismatch::literal(&["abort", "retract", "in_place"], value)),
    }
}

/// Reads the body of `/pause_generation`.
pub fn read_pause(body: &Map<String, Value>) -> Result<String, Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let mode = f.or("mode", "abort".to_owned(), pause_mode);
    f.finish(Some(mode))
}

/// `POST /pause_generation`.
pub async fn pause_generation(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let mode = read_pause(&body.0)?;
    app.manager.pause_generation(&mode).await?;
    Ok(reply::json(&json!({"message": "Generation paused successfully.", "status": "ok"})))
}

/// Reads the body of `/continue_generation`.
pub fn read_continue(body: &Map<String, Value>) -> Result<bool, Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let torch_empty_cache = f.or("torch_empty_cache", true, boolean);
    f.finish(Some(torch_empty_cache))
}

/// `POST /continue_generation`.
pub async fn continue_generation(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let torch_empty_cache = read_continue(&body.0)?;
    app.manager.continue_generation(torch_empty_cache)?;
    Ok(reply::json(&json!({"message": "Generation continued successfully.", "status": "ok"})))
}

/// Reads the body of `/update_weight_version`: the label, and whether to abort requests first.
pub fn read_weight_version(body: &Map<String, Value>) -> Result<(String, bool), Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let version = f.required("new_version", string);
    let abort_all = f.or("abort_all_requests", true, boolean);
    f.finish(version.map(|version| (version, abort_all)))
}

/// `POST /update_weight_version`: sets a new label for the loaded weights.
pub async fn update_weight_version(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let (version, abort_all) = read_weight_version(&body.0)?;
    app.manager.update_weight_version(version.clone(), abort_all, PATIENCE).await?;
    app.set_weight_version(version.clone());
    Ok(reply::json(&json!({
        "success": true,
        "message": format!("Weight version updated to {version}"),
        "new_version": version,
    })))
}

fn settings(value: &Value) -> Read<BTreeMap<String, f64>> {
    let given = object(value)?.into_iter().filter(|(_, value)| !value.is_null());
    given.map(|(key, value)| Ok((key, float(&value)?))).collect()
}

/// Reads the body of `/set_internal_state`.
pub fn read_internal_state(body: &Map<String, Value>) -> Result<BTreeMap<String, f64>, Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let server_args = f.required("server_args", settings);
    f.finish(server_args)
}

/// `POST /set_internal_state`, `PUT /set_internal_state`: one truth value per data-parallel rank.
pub async fn set_internal_state(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let server_args = read_internal_state(&body.0)?;
    let updated = app.manager.set_internal_state(server_args, PATIENCE).await?;
    Ok(reply::json(&[updated]))
}

/// `/freeze_gc` does nothing: there is no garbage collector.
pub async fn freeze_gc() -> HttpResponse {
    reply::plain(StatusCode::OK, "Garbage collection frozen.\n".into())
}

/// `/set_trace_level` does nothing: there are no OpenTelemetry traces.
pub async fn set_trace_level(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let wrong = |kind, msg: &str, input: Value, ctx| {
        let loc = vec!["query".into(), "level".into()];
        ApiError::Validation(vec![FieldError { kind, loc, msg: msg.into(), input, ctx }])
    };
    let Some(text) = query(&request, "level") else {
        return Err(wrong("missing", "Field required", Value::Null, Vec::new()));
    };
    match text.trim().parse::<i64>() {
        Ok(0..) => Ok(reply::plain(StatusCode::OK, "success".into())),
        Ok(_) => {
            let msg = "Input should be greater than or equal to 0";
            Err(wrong("greater_than_equal", msg, text.as_str().into(), vec![("ge", "0".into())]))
        }
        Err(_) => {
            let msg = "Input should be a valid integer, unable to parse string as an integer";
            Err(wrong("int_parsing", msg, text.as_str().into(), Vec::new()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_flush_timeout_is_refused_as_in_the_reference() {
        let error = flush_timeout("-1").unwrap_err();
        let message = error.body()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(
            "{'type': 'greater_than_equal', 'loc': ('query', 'timeout'), 'msg': 'Input should be greater than or equal \
             to 0', 'input': '-1', 'ctx': {'ge': 0.0}}"
        ));
        assert!(flush_timeout("soon").is_err());
        assert_eq!(flush_timeout("2.5"), Ok(2.5));
    }
}
