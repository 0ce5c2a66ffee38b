//! Information about the server and its model.

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use crate::app::App;
use crate::http::reply;

/// Version of the reference whose API is served.
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
