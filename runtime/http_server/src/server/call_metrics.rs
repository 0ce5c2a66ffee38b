//! Middleware that counts calls.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, web};

use crate::app::App;
use crate::http::route::{root_path, without_root};

/// The label of calls to unknown paths, so that clients cannot create new labels.
const NO_ROUTE: &str = "(no route)";

/// Removes a call from the active ones when it is answered or dropped.
struct Active(prometheus::IntGauge);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Middleware: counts calls and answers by route.
///
/// # Errors
/// The route's errors.
pub async fn count<B: MessageBody>(req: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    let app = req.app_data::<web::Data<App>>().cloned();
    let Some((app, metrics)) = app.as_ref().and_then(|app| Some((app, app.manager.metrics.get()?))) else {
        return next.call(req).await;
    };
    let pattern = req.match_pattern();
    let endpoint = pattern.as_deref().map_or(NO_ROUTE, |p| without_root(p, root_path(app)));
    let method = req.method().clone();
    let method = method.as_str();
    metrics.http_requests.with_label_values(&[endpoint, method]).inc();
    let gauge = metrics.http_active.with_label_values(&[endpoint, method]);
    gauge.inc();
    let active = Active(gauge);
    let result = next.call(req).await;
    drop(active);
    let status = match &result {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    metrics.http_responses.with_label_values(&[endpoint, method, status.as_str()]).inc();
    result
}
