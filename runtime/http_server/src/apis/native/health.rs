//! `/health`, `/health_generate`, `/ready`, `/ping`: empty answers, 200 or 503.

use std::time::Duration;

use actix_web::{HttpResponse, web};

use crate::app::App;
use crate::http::reply;

/// Whether the server is alive. It is while a dead or hung process restarts: to end the whole server then would only
/// make things worse.
pub async fn health(app: web::Data<App>) -> HttpResponse {
    let status = &app.manager.status;
    if status.is_draining() || !status.has_started() {
        return reply::empty(503);
    }
    if !app.env.health_endpoint_generation || !status.is_fresh() {
        return reply::empty(200);
    }
    health_generate(app).await
}

/// Whether every process is up and the scheduler makes progress. `SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION` has no
/// influence on it.
pub async fn health_generate(app: web::Data<App>) -> HttpResponse {
    let status = &app.manager.status;
    if status.is_draining() || !status.is_fresh() {
        return reply::empty(503);
    }
    let healthy = alive(&app).await;
    status.set_healthy(healthy);
    if !healthy {
        tracing::error!(
            "Health check failed: the scheduler has made no progress for {} seconds",
            app.env.health_check_timeout.as_secs_f64()
        );
    }
    reply::empty(if healthy { 200 } else { 503 })
}

/// Asks the scheduler for its state and checks that its loop makes progress. A single step may take as long as the
/// timeout; an idle loop is always healthy.
async fn alive(app: &App) -> bool {
    match app.manager.internal_state(app.env.health_check_timeout).await {
        Ok(state) => makes_progress(&state, app.env.health_check_timeout),
        Err(_) => false,
    }
}

fn makes_progress(state: &serde_json::Value, timeout: Duration) -> bool {
    let Some(scheduler_loop) = state.get("loop") else { return true };
    let idle = scheduler_loop.get("phase").and_then(serde_json::Value::as_str) == Some("idle");
    let age = scheduler_loop.get("age_s").and_then(serde_json::Value::as_f64).unwrap_or_default();
    idle || age <= timeout.as_secs_f64()
}

/// Whether a new request would be served now.
pub async fn ready(app: web::Data<App>) -> HttpResponse {
    let status = &app.manager.status;
    let ready = status.is_healthy() && !status.is_draining() && !status.is_paused() && !status.is_released();
    reply::empty(if ready { 200 } else { 503 })
}

/// Whether the server is up; a paused server is.
pub async fn ping(app: web::Data<App>) -> HttpResponse {
    let status = &app.manager.status;
    reply::empty(if status.is_healthy() && !status.is_draining() { 200 } else { 503 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_long_step_is_healthy_and_a_wedged_loop_is_not() {
        let judged = |phase: &str, age: f64| {
            makes_progress(&json!({"loop": {"phase": phase, "age_s": age}}), Duration::from_secs(20))
        };
        assert!(judged("forward", 15.0));
        assert!(!judged("forward", 25.0));
        assert!(!judged("scheduling", 25.0));
        assert!(judged("idle", 3600.0));
        assert!(makes_progress(&json!({}), Duration::from_secs(20)));
    }
}
