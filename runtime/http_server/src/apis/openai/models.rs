//! `/v1/models`.

use actix_web::{HttpRequest, HttpResponse, web};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use sglang_proto::lora::LoRARef;
use sglang_tokenizer_manager::lora::LoraRegistry;
use sglang_tokenizer_manager::model_name::UnknownModel;
use sglang_tokenizer_manager::state::unix_seconds;

use crate::app::App;
use crate::http::errors::ApiError;
use crate::http::reply;

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

/// `GET /v1/models/{model}`: one model or adapter.
pub async fn model(app: web::Data<App>, req: HttpRequest) -> Result<HttpResponse, ApiError> {
    // actix leaves %2F and %25 encoded, since they would change the path.
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
