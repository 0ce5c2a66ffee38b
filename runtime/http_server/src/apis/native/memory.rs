//! Routes that release the scheduler's memory or slow it down.

use actix_web::{HttpResponse, web};
use serde_json::{Map, Value};
use sglang_tokenizer_manager::manager::Done;
use sglang_tokenizer_manager::requests::validation::{FieldError, Fields, float, list, nullable, string};

use super::control::PATIENCE;
use crate::app::App;
use crate::http::errors::ApiError;
use crate::http::extract::NativeJson;
use crate::http::reply;

/// Reads the body of both routes: the parts to release or resume.
///
/// # Errors
/// Every invalid field.
pub fn read_tags(body: &Map<String, Value>) -> Result<Option<Vec<String>>, Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let tags = f.optional("tags", list(string));
    f.finish(Some(tags))
}

/// `/release_memory_occupation`: `null`, or 400 with the reason.
pub async fn release(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let tags = read_tags(&body.0)?;
    answer(app.manager.release_memory_occupation(tags).await?)
}

/// `/resume_memory_occupation`: `null` once everything is restored, or 400 with the reason.
pub async fn resume(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let tags = read_tags(&body.0)?;
    answer(app.manager.resume_memory_occupation(tags).await?)
}

/// Reads the body of `/slow_down`: seconds before each step.
///
/// # Errors
/// Every invalid field.
pub fn read_slow_down(body: &Map<String, Value>) -> Result<Option<f64>, Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let seconds = f.required("forward_sleep_time", nullable(float));
    f.finish(seconds)
}

/// `/slow_down`: makes every model step wait, for tests under load.
pub async fn slow_down(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    app.manager.slow_down(read_slow_down(&body.0)?, PATIENCE).await?;
    Ok(reply::json(&Value::Null))
}

fn answer(done: Done) -> Result<HttpResponse, ApiError> {
    match done {
        Ok(()) => Ok(reply::json(&Value::Null)),
        Err(message) => Err(ApiError::Native { status: 400, message }),
    }
}
