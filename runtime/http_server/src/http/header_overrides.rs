//! `x-override-…` headers, with which a gateway sets fields of a request without reading its body (reference:
//! `request_headers.py`; enabled by `SGLANG_ENABLE_REQUEST_HEADER_OVERRIDES`).

use actix_web::HttpRequest;
use sglang_tokenizer_manager::requests::python::str_repr;
use sglang_tokenizer_manager::requests::{GenerateReqInput, OneOrMany};

use super::errors::ApiError;
use crate::app::App;

/// Numbers for features that do not exist here; they are checked nevertheless.
const WITHOUT_EFFECT: [&str; 3] =
    ["x-override-bootstrap-port", "x-override-bootstrap-room", "x-override-disagg-prefill-dp-rank"];

fn refuse(name: &str, value: &str, why: &str) -> ApiError {
    ApiError::Http { status: 400, detail: format!("invalid {name} header {}: {why}", str_repr(value)) }
}

fn text<'a>(request: &'a HttpRequest, name: &str) -> Result<Option<&'a str>, ApiError> {
    let Some(value) = request.headers().get(name) else { return Ok(None) };
    let shown = || String::from_utf8_lossy(value.as_bytes()).into_owned();
    value.to_str().map(Some).map_err(|_| refuse(name, &shown(), "only visible ASCII is valid"))
}

fn number(request: &HttpRequest, name: &str) -> Result<Option<i64>, ApiError> {
    let Some(value) = text(request, name)? else { return Ok(None) };
    let why = || format!("invalid literal for int() with base 10: {}", str_repr(value));
    value.trim().parse().map(Some).map_err(|_| refuse(name, value, &why()))
}

/// Copies the headers' values into the request, if the server allows it.
///
/// # Errors
/// If a header must be a number but is not.
pub fn apply(app: &App, request: &HttpRequest, to: &mut GenerateReqInput) -> Result<(), ApiError> {
    if !app.env.request_header_overrides {
        return Ok(());
    }
    if let Some(rid) = text(request, "x-override-rid")? {
        to.rid = Some(OneOrMany::One(rid.to_owned()));
    }
    if let Some(rank) = number(request, "x-override-routed-dp-rank")? {
        to.routed_dp_rank = Some(rank);
    }
    if let Some(priority) = number(request, "x-override-priority")? {
        to.priority = Some(priority);
    }
    WITHOUT_EFFECT.into_iter().try_for_each(|name| number(request, name).map(drop))
}
