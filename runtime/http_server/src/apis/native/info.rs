//! What the server says of itself and its model.

use actix_web::{HttpRequest, HttpResponse, web};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use sglang_proto::lora::LoRARef;

use super::errors::ApiError;
use super::reply;
use crate::app::App;
use crate::lora::LoraRegistry;
use crate::model_name::UnknownModel;
use crate::state::unix_seconds;

/// Version of the reference whose API this is.
pub const API_VERSION: &str = "0.5.23";

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

fn card(app: &App) -> Value {
    json!({
        "id": app.served_model_name(),
        "object": "model",
        "created": unix_seconds() as u64,
        "owned_by": "sglang",
        "root": app.served_model_name(),
        "parent": null,
        "max_model_len": app.max_model_len(),
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

/// `GET /v1/models/{model}`: one of them.
pub async fn model(app: web::Data<App>, req: HttpRequest) -> Result<HttpResponse, ApiError> {
    // The framework leaves %2F and %25 as they came, since they would change the path.
    let name = percent_decode_str(req.match_info().query("model")).decode_utf8_lossy();
    if name == app.served_model_name() {
        return Ok(reply::json(&card(&app)));
    }
    let adapters = app.manager.adapters().map(LoraRegistry::registered).unwrap_or_default();
    match adapters.iter().find(|lora| lora.name() == name) {
        Some(lora) => Ok(reply::json(&adapter_card(&app, lora))),
        None => Err(UnknownModel::new(&name, Vec::new()).into()),
    }
}
