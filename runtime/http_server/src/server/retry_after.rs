//! Says when to retry: an answer with 503 depends on the server's current state, not on the request.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::middleware::Next;

/// Seconds. A process restarts within a few seconds, and a queue moves constantly.
const SECONDS: &str = "1";

/// Middleware: adds `Retry-After` to every 503 that has none.
///
/// # Errors
/// The route's errors.
pub async fn add<B: MessageBody>(req: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(req).await?;
    if response.status() == StatusCode::SERVICE_UNAVAILABLE && !response.headers().contains_key(RETRY_AFTER) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(SECONDS));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use actix_web::middleware::from_fn;
    use actix_web::{App, HttpResponse, test, web};

    use super::*;

    #[actix_web::test]
    async fn only_a_503_says_when_to_ask_again() {
        let app = App::new()
            .wrap(from_fn(add))
            .route("/full", web::get().to(|| async { HttpResponse::ServiceUnavailable().finish() }))
            .route(
                "/later",
                web::get().to(|| async {
                    HttpResponse::ServiceUnavailable().insert_header((RETRY_AFTER, "30")).finish()
                }),
            )
            .route("/ok", web::get().to(|| async { HttpResponse::Ok().finish() }));
        let app = test::init_service(app).await;
        for (path, expected) in [("/full", Some("1")), ("/later", Some("30")), ("/ok", None)] {
            let response = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
            let said = response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap());
            assert_eq!(said, expected, "{path}");
        }
    }
}
