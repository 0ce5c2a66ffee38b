//! `/metrics`.

use std::time::Duration;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};
use prometheus::TEXT_FORMAT;

use crate::app::App;
use crate::http::errors::ApiError;

/// Longest wait for the scheduler's state.
const TIMEOUT: Duration = Duration::from_secs(5);

/// `GET /metrics`; 404 without `--enable-metrics`.
pub async fn metrics(app: web::Data<App>) -> Result<HttpResponse, ApiError> {
    let Some(metrics) = app.manager.metrics.get() else { return Err(ApiError::NotFound) };
    let state = match app.manager.internal_state(TIMEOUT).await {
        Ok(state) => Some(state),
        Err(error) => {
            tracing::warn!("No live state for /metrics: {error}");
            None
        }
    };
    let info = app.manager.scheduler_info.read().clone();
    let text = metrics.text(state.as_ref(), &info).map_err(|error| ApiError::Http {
        status: 500,
        detail: format!("the metrics cannot be written: {error}"),
    })?;
    let content_type = format!("{TEXT_FORMAT}; charset=utf-8");
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, content_type)).body(text))
}
