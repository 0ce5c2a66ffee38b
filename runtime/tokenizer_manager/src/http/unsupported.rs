//! Routes of the reference whose parts this version does not have. What they answer says so.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::errors::ApiError;
use super::extract::{NativeJson, OpenAiJson};
use super::reply;

const NOT_AN_EMBEDDING_MODEL: &str = "This model does not appear to be an embedding model by default. Please add \
                                      `--is-embedding` when launching the server or try another model.";

/// 501 with the path.
pub async fn not_yet(req: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(ApiError::not_implemented(req.path()))
}

/// Embedding routes on a generating model.
pub async fn embedding(body: NativeJson) -> Result<HttpResponse, ApiError> {
    let has_input = ["text", "input_ids", "image_data", "video_data", "audio_data"]
        .iter()
        .any(|key| body.0.get(*key).is_some_and(|v| !v.is_null()));
    let message = match has_input {
        true => NOT_AN_EMBEDDING_MODEL,
        false => "At least one of text, input_ids, image, video, or audio should be provided",
    };
    Err(ApiError::Native { status: 400, message: message.into() })
}

/// The same on the OpenAI side.
pub async fn openai_embedding(req: HttpRequest, body: OpenAiJson) -> Result<HttpResponse, ApiError> {
    let blank = |key: &str| {
        body.0.get(key).and_then(|v| v.as_str()).map(|text| (text.is_empty(), text.trim().is_empty()))
    };
    let message = match (req.path(), blank("input"), blank("query")) {
        ("/v1/embeddings", Some((true, _)), _) => "Input cannot be empty",
        ("/v1/embeddings", Some((_, true)), _) => "Input cannot be empty or whitespace only",
        ("/v1/rerank", _, Some((true, _))) => "Query cannot be empty",
        ("/v1/rerank", _, Some((_, true))) => "Query cannot be empty or whitespace only",
        _ => NOT_AN_EMBEDDING_MODEL,
    };
    Err(ApiError::bad_request(message))
}

/// Adapters, which are off.
pub async fn lora(_body: NativeJson) -> HttpResponse {
    reply::json_status(
        StatusCode::BAD_REQUEST,
        &json!({
            "rid": null,
            "http_worker_ipc": null,
            "success": false,
            "error_message": "LoRA is not enabled. Please set `--enable-lora` to enable LoRA.",
            "loaded_adapters": null,
        }),
    )
}
