//! `/api/tags`, `/api/ps`, `/api/show`, `/api/version`.

use std::path::PathBuf;

use actix_web::{HttpResponse, web};
use serde_json::json;
use sglang_tokenizer_manager::lora::LoraRegistry;

use super::error::OllamaError;
use super::models::{self, Capabilities};
use super::routes::{Body, model};
use crate::app::App;
use crate::http::reply;

fn adapters(app: &App) -> Vec<String> {
    let registered = app.manager.adapters().map(LoraRegistry::registered).unwrap_or_default();
    registered.iter().map(|lora| lora.name().to_owned()).collect()
}

/// `GET /api/tags`.
pub async fn tags(app: web::Data<App>) -> HttpResponse {
    reply::json(&models::tags(&app.served_model_name(), &adapters(&app)))
}

/// `GET /api/ps`.
pub async fn ps(app: web::Data<App>) -> HttpResponse {
    let path = PathBuf::from(app.served().model_path);
    let size = web::block(move || models::size_of(&path)).await.unwrap_or_default();
    let on_gpu =
        app.manager.scheduler_info.read()["device"].as_str().is_some_and(|device| device.starts_with("cuda"));
    let context_len = app.max_model_len();
    reply::json(&models::ps(&app.served_model_name(), &adapters(&app), context_len, size, on_gpu))
}

/// `GET /api/version`, `HEAD /api/version`.
pub async fn version() -> HttpResponse {
    reply::json(&json!({"version": models::VERSION}))
}

/// `POST /api/show`.
pub async fn show(app: web::Data<App>, body: Body) -> Result<HttpResponse, OllamaError> {
    let name = models::read_show(&body?.0)?;
    model(&app, &name)?;
    let tools = app.parsers.or_detected_tools(&app.model.detected_parsers).tool_call;
    let capabilities = Capabilities {
        embedding: app.manager.limits.embedding.is_some(),
        tools: tools.is_some(),
        thinking: app.parsers.reasoning.is_some(),
        insert: app.completion_template.is_some(),
    };
    Ok(reply::json(&models::show(&name, app.max_model_len(), capabilities)))
}
