//! What the server says of itself and its model.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use sglang_proto::lora::LoRARef;

use super::errors::ApiError;
use super::reply;
use crate::app::App;
use crate::lora::LoraRegistry;
use crate::state::unix_seconds;

/// Version of the reference whose API this is.
pub const API_VERSION: &str = "0.5.23";
/// Longest wait for the scheduler's live state.
const STATE_TIMEOUT: Duration = Duration::from_secs(5);

/// `GET /`.
pub async fn root(app: web::Data<App>) -> HttpResponse {
    let name = if app.env.moved_routes.ollama_has_root() { "Ollama" } else { "SGLang" };
    reply::json(&format!("{name} is running"))
}

fn preferred_sampling_params(app: &App) -> Value {
    app.args.preferred_sampling_params.clone().map_or(Value::Null, Value::Object)
}

/// `GET /get_model_info`: exactly the nine documented keys.
pub async fn get_model_info(app: web::Data<App>) -> HttpResponse {
    reply::json(&json!({
        "model_path": app.served().model_path,
        "is_generation": app.manager.limits.embedding.is_none(),
        "tokenizer_path": app.args.tokenizer_path(),
        "preferred_sampling_params": preferred_sampling_params(&app),
        "weight_version": app.weight_version(),
        "has_image_understanding": false,
        "has_audio_understanding": false,
        "model_type": app.model.model_type,
        "architectures": app.model.architectures,
    }))
}

/// `GET /model_info`: the longer set.
pub async fn model_info(app: web::Data<App>) -> HttpResponse {
    reply::json(&json!({
        "model_path": app.served().model_path,
        "served_model_name": app.served_model_name(),
        "tokenizer_path": app.args.tokenizer_path(),
        "is_generation": app.manager.limits.embedding.is_none(),
        "preferred_sampling_params": preferred_sampling_params(&app),
        "weight_version": app.weight_version(),
        "load_format": app.served().load_format,
        "reasoning_parser": app.args.reasoning_parser,
        "tool_call_parser": app.args.tool_call_parser,
        "disaggregation_mode": "null",
        "has_image_understanding": false,
        "has_audio_understanding": false,
        "model_type": app.model.model_type,
        "architectures": app.model.architectures,
    }))
}

/// `GET /get_server_info`, `GET /server_info`: arguments, sizes, and the scheduler's live state. Without an answer of
/// the scheduler `internal_states` is empty.
pub async fn server_info(app: web::Data<App>) -> HttpResponse {
    let state = match app.manager.internal_state(STATE_TIMEOUT).await {
        Ok(state) => vec![state],
        Err(error) => {
            tracing::warn!("No live state for /server_info: {error}");
            Vec::new()
        }
    };
    let mut info: Map<String, Value> = app.args.to_json();
    let served = app.served();
    for (key, value) in [
        ("model_path", served.model_path),
        ("served_model_name", served.model_name),
        ("load_format", served.load_format),
        ("weight_version", served.weight_version),
    ] {
        info.insert(key.into(), value.into());
    }
    let launch_command: Vec<String> = std::env::args().collect();
    info.insert("launch_command".into(), launch_command.join(" ").into());
    info.insert("status".into(), if app.manager.status.is_up() { "ready" } else { "starting" }.into());
    let scheduler = app.manager.scheduler_info.read().clone();
    for key in ["max_total_num_tokens", "max_req_input_len", "startup_time"] {
        info.insert(key.into(), scheduler.get(key).cloned().unwrap_or_default());
    }
    info.insert("internal_states".into(), redact(state).into());
    info.insert("version".into(), API_VERSION.into());
    info.insert("frontend".into(), "rust".into());
    for key in ["api_key", "admin_api_key", "ssl_keyfile_password"] {
        if info.get(key).is_some_and(|v| !v.is_null()) {
            info.insert(key.into(), "***".into());
        }
    }
    reply::json(&info)
}

/// Keys are shown to nobody.
fn redact(mut states: Vec<Value>) -> Vec<Value> {
    for state in &mut states {
        for key in ["api_key", "admin_api_key"] {
            if let Some(value) = state.get_mut(key).filter(|v| !v.is_null()) {
                *value = "***".into();
            }
        }
    }
    states
}

fn card(app: &App) -> Value {
    json!({
        "id": app.served_model_name(),
        "object": "model",
        "created": unix_seconds() as u64,
        "owned_by": "sglang",
        "root": app.served_model_name(),
        "parent": null,
        "max_model_len": app.context_len(),
    })
}

fn adapter_card(app: &App, lora: &LoRARef) -> Value {
    json!({
        "id": lora.name(),
        "object": "model",
        "created": unix_seconds() as u64,
        "owned_by": "sglang",
        "root": lora.path(),
        "parent": app.served_model_name(),
        "max_model_len": null,
    })
}

/// `GET /v1/models`: the model, then the loaded adapters.
pub async fn models(app: web::Data<App>) -> HttpResponse {
    let adapters = app.manager.adapters().map(LoraRegistry::registered).unwrap_or_default();
    let cards: Vec<Value> =
        [card(&app)].into_iter().chain(adapters.iter().map(|lora| adapter_card(&app, lora))).collect();
    reply::json(&json!({"object": "list", "data": cards}))
}

/// `GET /v1/models/{model}`.
pub async fn model(app: web::Data<App>, req: HttpRequest) -> Result<HttpResponse, ApiError> {
    // The framework leaves %2F and %25 as they came, since they would change the path.
    let name = percent_decode_str(req.match_info().query("model")).decode_utf8_lossy();
    match name == app.served_model_name() {
        true => Ok(reply::json(&card(&app))),
        false => Err(ApiError::ModelNotFound(name.into_owned())),
    }
}
