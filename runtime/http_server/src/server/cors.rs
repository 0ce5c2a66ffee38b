//! Cross-origin requests: every origin, method and header is allowed, with credentials (reference: Starlette's
//! `CORSMiddleware`).

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, HeaderValue, ORIGIN, VARY,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse};

const METHODS: &str = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, QUERY";
const PREFLIGHT_VARY: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, \
                              Access-Control-Request-Private-Network";

/// Middleware: answers preflights and marks ordinary answers.
///
/// # Errors
/// The route's errors.
pub async fn share<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let origin = req.headers().get(ORIGIN).cloned();
    if let Some(origin) = &origin
        && *req.method() == Method::OPTIONS
        && let Some(method) = req.headers().get(ACCESS_CONTROL_REQUEST_METHOD)
    {
        let known = method.to_str().is_ok_and(|m| METHODS.split(", ").any(|known| known == m));
        let response = preflight(origin, req.headers().get(ACCESS_CONTROL_REQUEST_HEADERS), known);
        return Ok(req.into_response(response).map_into_right_body());
    }
    let mut response = next.call(req).await?;
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    Ok(response.map_into_left_body())
}

fn preflight(origin: &HeaderValue, wanted: Option<&HeaderValue>, known_method: bool) -> HttpResponse {
    let mut response = if known_method { HttpResponse::Ok() } else { HttpResponse::BadRequest() };
    response
        .insert_header((VARY, PREFLIGHT_VARY))
        .insert_header((ACCESS_CONTROL_ALLOW_METHODS, METHODS))
        .insert_header((ACCESS_CONTROL_MAX_AGE, "600"))
        .insert_header((ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"))
        .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()))
        .insert_header((CONTENT_TYPE, "text/plain; charset=utf-8"));
    if let Some(wanted) = wanted {
        response.insert_header((ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone()));
    }
    response.body(if known_method { "OK" } else { "Disallowed CORS method" })
}
