//! One log line per call in uvicorn's form, `INFO:     127.0.0.1:40000 - "POST /generate HTTP/1.1" 200 OK`, followed by
//! the ids of the call's requests. A failed call has a second line with the reason.

use std::net::SocketAddr;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use sglang_process::logging::HTTP_TARGET;
use sglang_tokenizer_manager::call_trace::{log_failure, traced};

use crate::app::App;

/// Middleware: logs the call when its answer starts.
///
/// # Errors
/// The route's errors.
pub async fn log<B: MessageBody>(req: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    if is_excluded(&req) {
        return next.call(req).await;
    }
    let line = tracing::enabled!(target: HTTP_TARGET, tracing::Level::INFO).then(|| request_line(&req));
    let target = format!("{} {}", req.method(), req.path());
    let (result, trace) = traced(next.call(req)).await;
    let status = match &result {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    let ids = trace.suffix();
    if let Some(line) = line {
        let reason = status.canonical_reason().unwrap_or_default();
        tracing::info!(target: HTTP_TARGET, "INFO:     {line} {} {reason}{ids}", status.as_u16());
    }
    if status.as_u16() >= 400
        && let Some(reason) = trace.reason()
    {
        log_failure(status.as_u16(), &format!("{ids} {target}:"), reason);
    }
    result
}

/// Whether `--uvicorn-access-log-exclude-prefixes` leaves the path out.
fn is_excluded(req: &ServiceRequest) -> bool {
    let Some(app) = req.app_data::<web::Data<App>>() else { return false };
    app.args.uvicorn_access_log_exclude_prefixes.iter().any(|prefix| req.path().starts_with(prefix))
}

/// The client, and the request line. Nothing from the client can break the log line: a request target has no control
/// characters.
fn request_line(req: &ServiceRequest) -> String {
    // A dual-stack socket shows IPv4 clients in IPv6 form.
    let peer = req.peer_addr().map(|peer| SocketAddr::new(peer.ip().to_canonical(), peer.port()));
    let client = req
        .app_data::<web::Data<App>>()
        .map(|app| app.env.trusted_proxies.client(peer, req.headers()))
        .unwrap_or_default();
    let target = req.uri().path_and_query().map_or("/", |target| target.as_str());
    format!("{client} - \"{} {target} {:?}\"", req.method(), req.version())
}
