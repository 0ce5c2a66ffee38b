//! Routes of the reference whose parts this version does not have. What they answer says so.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::errors::ApiError;
use super::extract::NativeJson;
use super::reply;

/// 501 with the path.
pub async fn not_yet(req: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(ApiError::not_implemented(req.path()))
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

/// The expert recorder, which is off. (The reference ends its server here.)
pub async fn expert_distribution() -> Result<HttpResponse, ApiError> {
    Err(ApiError::Native {
        status: 400,
        message: "The expert distribution recorder is off. Launch the server with \
                  --expert-distribution-recorder-mode to use it."
            .into(),
    })
}
