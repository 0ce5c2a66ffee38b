//! One line per call, in uvicorn's words: `INFO:     127.0.0.1:40000 - "POST /generate HTTP/1.1" 200 OK`.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use sglang_process::logging::HTTP_TARGET;

use crate::app::App;

/// Middleware: logs the call when its answer starts.
///
/// # Errors
/// Those of the route.
pub async fn log<B: MessageBody>(req: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    if !tracing::enabled!(target: HTTP_TARGET, tracing::Level::INFO) || is_excluded(&req) {
        return next.call(req).await;
    }
    let line = request_line(&req);
    let result = next.call(req).await;
    let status = match &result {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    let reason = status.canonical_reason().unwrap_or_default();
    tracing::info!(target: HTTP_TARGET, "INFO:     {line} {} {reason}", status.as_u16());
    result
}

/// Whether `--uvicorn-access-log-exclude-prefixes` leaves the path out.
fn is_excluded(req: &ServiceRequest) -> bool {
    let Some(app) = req.app_data::<web::Data<App>>() else { return false };
    app.args.uvicorn_access_log_exclude_prefixes.iter().any(|prefix| req.path().starts_with(prefix))
}

/// Who calls, and the first line of the request. What comes from the client cannot break the line: a request target
/// has no control characters.
fn request_line(req: &ServiceRequest) -> String {
    let peer = req.peer_addr().map_or_else(String::new, |peer| peer.to_string());
    let target = req.uri().path_and_query().map_or("/", |target| target.as_str());
    format!("{peer} - \"{} {target} {:?}\"", req.method(), req.version())
}
