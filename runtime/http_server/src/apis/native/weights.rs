//! Routes about the weights of a running server.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};
use sglang_proto::messages::{CheckWeightsReqInput, UpdateWeightFromDiskReqInput};
use sglang_tokenizer_manager::requests::validation::{
    FieldError, Fields, Mismatch, Read, boolean, int, list, object, string,
};
use sha2::{Digest, Sha256};

use super::control::PATIENCE;
use crate::app::App;
use crate::http::errors::ApiError;
use crate::http::extract::{NativeJson, OptionalJson};
use crate::http::reply;

/// A dictionary that is only passed on to the scheduler.
fn manifest(value: &Value) -> Read<Value> {
    object(value).map(Value::Object)
}

/// Reads the body of `/update_weights_from_disk`.
///
/// # Errors
/// Every invalid field, as for the readers below.
pub fn read_update(body: &Map<String, Value>) -> Result<UpdateWeightFromDiskReqInput, Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let model_path = f.required("model_path", string);
    let request = UpdateWeightFromDiskReqInput {
        model_path: String::new(),
        load_format: f.optional("load_format", string),
        abort_all_requests: f.or("abort_all_requests", false, boolean),
        weight_version: f.optional("weight_version", string),
        is_async: f.or("is_async", false, boolean),
        torch_empty_cache: f.or("torch_empty_cache", false, boolean),
        keep_pause: f.or("keep_pause", false, boolean),
        recapture_cuda_graph: f.or("recapture_cuda_graph", false, boolean),
        token_step: f.or("token_step", 0, int),
        flush_cache: f.or("flush_cache", true, boolean),
        manifest: f.optional("manifest", manifest),
        ..Default::default()
    };
    f.finish(model_path.map(|model_path| UpdateWeightFromDiskReqInput { model_path, ..request }))
}

/// `POST /update_weights_from_disk`: 200 once the new weights are in use, else 400. Both have a message.
pub async fn update_weights_from_disk(
    app: web::Data<App>,
    body: NativeJson,
) -> Result<HttpResponse, ApiError> {
    let mut request = read_update(&body.0)?;
    // Runs in a task, so that the update completes and is recorded even if the client disconnects.
    let update = tokio::spawn(async move {
        let load_format = request.load_format.get_or_insert_with(|| app.served().load_format).clone();
        let (model_path, version) = (request.model_path.clone(), request.weight_version.clone());
        let mut answer = app.manager.update_weights_from_disk(request).await?;
        if answer.weights_served {
            app.set_served_model(model_path, load_format);
            if let Some(version) = version {
                answer.message.push_str(&format!(" Weight version updated to {version}."));
                app.set_weight_version(version);
            }
        }
        Ok::<_, ApiError>(answer)
    });
    let answer =
        update.await.map_err(|error| ApiError::Http { status: 500, detail: error.to_string() })??;
    let status = if answer.success { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    Ok(reply::json_status(
        status,
        &answer.message,
        &json!({
            "success": answer.success,
            "message": answer.message,
            "num_paused_requests": answer.num_paused_requests,
        }),
    ))
}

fn truncate_size(value: &Value) -> Read<i64> {
    match int(value)? {
        size if size >= 0 => Ok(size),
        _ => Err(Mismatch::new("greater_than_equal", "Input should be greater than or equal to 0", value)),
    }
}

/// Reads the body of `/get_weights_by_name`: a name, and the number of rows to return.
pub fn read_weights_by_name(body: &Map<String, Value>) -> Result<(String, i64), Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let size = f.or("truncate_size", 100, truncate_size);
    let name = f.required("name", string);
    f.finish(name.map(|name| (name, size)))
}

/// `GET /get_weights_by_name`, `POST /get_weights_by_name`.
pub async fn get_weights_by_name(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let (name, size) = read_weights_by_name(&body.0)?;
    match app.manager.get_weights_by_name(name, size, PATIENCE).await? {
        Value::Null => Err(ApiError::Native { status: 400, message: "Get parameter by name failed".into() }),
        rows => Ok(reply::json(&rows)),
    }
}

/// Reads the body of `/weights_checker`.
pub fn read_check(body: &Map<String, Value>) -> Result<CheckWeightsReqInput, Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let request = CheckWeightsReqInput {
        action: f.or("action", "checksum".to_owned(), string),
        allow_quant_error: f.or("allow_quant_error", false, boolean),
        skip_tensor_list: f.optional("skip_tensor_list", list(string)),
        selector: f.or("selector", "all".to_owned(), string),
        ..Default::default()
    };
    f.finish(Some(request))
}

/// `/weights_checker`: checksums of the weights, or whether the weights have changed. The body is optional.
pub async fn weights_checker(app: web::Data<App>, body: OptionalJson) -> Result<HttpResponse, ApiError> {
    let answer = app.manager.check_weights(read_check(&body.0)?).await?;
    let mut body = json!({"success": answer.success, "message": answer.message});
    if let Some(ranks) = answer.payload {
        // The checksum of all ranks' checksums; there is one rank.
        let of_rank = ranks[0]["per_gpu_checksum"].as_str().unwrap_or_default();
        let digest = Sha256::digest(of_rank.as_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        body["ranks"] = ranks;
        body["per_engine_checksum"] = hex.into();
    }
    let status = if answer.success { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    Ok(reply::json_status(status, &answer.message, &body))
}

/// Refused: weights that arrive as pickled handles of Python's shared memory, or over a communication group that only
/// torch processes can join.
pub async fn from_other_processes(req: HttpRequest, _body: NativeJson) -> HttpResponse {
    let message = format!(
        "{} is not supported: this server takes new weights from disk. Write them to a folder and use \
         /update_weights_from_disk.",
        req.path()
    );
    reply::json_status(StatusCode::NOT_IMPLEMENTED, &message, &json!({"success": false, "message": message}))
}
