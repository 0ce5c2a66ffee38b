//! Routes of features that this version does not have. They answer like the reference's server with the feature off.

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};
use sglang_tokenizer_manager::requests::validation::{FieldError, Fields};

use crate::app::App;
use crate::http::errors::ApiError;
use crate::http::extract::{self, NativeJson};
use crate::http::reply;

const NO_NGRAM: &str = "Ngram speculative decoding is not enabled.";
const NO_HICACHE: &str = "Hierarchical cache is not enabled.";

fn refuse(why: &str, body: &Value) -> HttpResponse {
    reply::json_status(StatusCode::BAD_REQUEST, why, body)
}

/// `POST /add_external_corpus`.
pub async fn add_external_corpus(_body: NativeJson) -> HttpResponse {
    refuse(
        NO_NGRAM,
        &json!({"success": false, "corpus_id": "", "message": NO_NGRAM, "loaded_token_count": 0}),
    )
}

/// Reads the body of `/remove_external_corpus`: whether it names a corpus. No body is refused.
pub fn read_corpus(body: &Map<String, Value>) -> Result<bool, Vec<FieldError>> {
    Ok(Fields::of_body(body).raw("corpus_id").is_some_and(|id| !matches!(id.as_str(), None | Some(""))))
}

/// `POST /remove_external_corpus`.
pub async fn external_corpus(body: NativeJson) -> HttpResponse {
    let named = read_corpus(&body.0).unwrap_or_default();
    let message = if named { NO_NGRAM } else { "corpus_id is required." };
    refuse(message, &json!({"success": false, "message": message}))
}

/// `GET /list_external_corpora`.
pub async fn list_external_corpora() -> HttpResponse {
    refuse(NO_NGRAM, &json!({"success": false, "corpus_token_counts": {}, "message": NO_NGRAM}))
}

/// `POST /hicache/storage-backend/clear`.
pub async fn clear_hicache_storage() -> HttpResponse {
    reply::plain(StatusCode::BAD_REQUEST, format!("{NO_HICACHE}\n"))
}

/// `/hicache/storage-backend`: its state, or an error, since no storage can be attached or detached. All three methods
/// need a server with an admin key.
pub async fn hicache_storage(app: web::Data<App>, req: HttpRequest) -> HttpResponse {
    if app.args.admin_api_key.is_none() {
        let why = "This endpoint requires admin API key, but this server was started without one \
                   (admin-api-key). Restart with --admin-api-key to enable.";
        return refuse(why, &json!({"error": why}));
    }
    let verb = match *req.method() {
        Method::PUT => "attach",
        Method::DELETE => "detach",
        _ => {
            return reply::json(&json!({
                "hicache_storage_backend": null,
                "hicache_storage_backend_extra_config": null,
                "hicache_storage_prefetch_policy": "timeout",
                "hicache_write_policy": "write_through",
            }));
        }
    };
    let text = format!("Failed to {verb} HiCache storage backend.\n{NO_HICACHE}\n");
    reply::plain(StatusCode::BAD_REQUEST, text)
}

/// `GET /get_hicache_l3_cache_layout`.
pub async fn hicache_layout(app: web::Data<App>) -> HttpResponse {
    reply::json(&hicache_object_layout(&app))
}

/// The page layout that a hierarchical cache would use.
pub fn hicache_object_layout(app: &App) -> Value {
    json!({
        "enabled": false,
        "backend": null,
        "page_size": app.args.page_size,
        "hicache_object_layout": {"pools": []},
        "reason": "Hierarchical cache is disabled",
    })
}

/// Reads the body of `/pd_role_switch`: the requested role. No body is refused.
pub fn read_role(body: &Map<String, Value>) -> Result<String, Vec<FieldError>> {
    let role = Fields::of_body(body).raw("new_role").and_then(Value::as_str).unwrap_or_default();
    Ok(role.to_owned())
}

/// `POST /pd_role_switch`.
pub async fn pd_role_switch(body: NativeJson) -> HttpResponse {
    let message = "--enable-pd-role-switch is not set on this server";
    let body = json!({
        "rid": null,
        "http_worker_ipc": null,
        "success": false,
        "message": message,
        "old_role": "null",
        "new_role": read_role(&body.0).unwrap_or_default(),
        "safe_to_restore": true,
    });
    refuse(message, &body)
}

/// `POST /scale_elastic_ep`, `GET /is_scaling_elastic_ep`.
pub async fn elastic_ep() -> HttpResponse {
    let message = "elastic EP is not enabled (set --elastic-ep-backend)";
    reply::json_status(StatusCode::NOT_FOUND, message, &json!({"error": message}))
}

/// `GET /remote_instance_transfer_engine_info`: no rank has a transfer engine.
pub async fn transfer_engine_info(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let message = match extract::query(&request, "rank").map(|rank| rank.trim().parse::<i64>()) {
        Some(Ok(rank @ 0..)) => format!("Failed to get transfer engine info for rank {rank}"),
        _ => "Missing or invalid rank parameter".to_owned(),
    };
    Err(ApiError::Native { status: 400, message })
}
