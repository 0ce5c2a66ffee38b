//! Routes that load and unload LoRA adapters.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};
use sglang_proto::messages::{LoRAUpdateOutput, LoadLoRAAdapterReqInput};
use sglang_tokenizer_manager::manager::ControlError;
use sglang_tokenizer_manager::requests::validation::{FieldError, Fields, boolean, string};

use crate::app::App;
use crate::http::errors::ApiError;
use crate::http::extract::NativeJson;
use crate::http::reply;

/// Reads the body of `/load_lora_adapter`.
///
/// # Errors
/// Every invalid field, as for the reader below.
pub fn read_load(body: &Map<String, Value>) -> Result<LoadLoRAAdapterReqInput, Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let lora_name = f.required("lora_name", string);
    let lora_path = f.required("lora_path", string);
    let pinned = f.or("pinned", false, boolean);
    let request = lora_name.zip(lora_path).map(|(lora_name, lora_path)| LoadLoRAAdapterReqInput {
        lora_name,
        lora_path,
        pinned,
        ..Default::default()
    });
    f.finish(request)
}

/// Reads the body of `/unload_lora_adapter`.
pub fn read_unload(body: &Map<String, Value>) -> Result<String, Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let lora_name = f.required("lora_name", string);
    f.finish(lora_name)
}

/// Status 200 if the scheduler did it, else 400.
fn answer(output: &LoRAUpdateOutput) -> HttpResponse {
    let status = if output.success { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    reply::json_status(
        status,
        output.error_message.as_deref().unwrap_or_default(),
        &json!({
            "rid": null,
            "http_worker_ipc": null,
            "success": output.success,
            "error_message": output.error_message,
            "loaded_adapters": output.loaded_adapters,
        }),
    )
}

/// Completes the call even if the client disconnects, since the scheduler completes it too.
async fn to_the_end(
    update: impl Future<Output = Result<LoRAUpdateOutput, ControlError>> + 'static,
) -> Result<HttpResponse, ApiError> {
    let output = actix_web::rt::spawn(update).await;
    let output = output.map_err(|error| ApiError::Http { status: 500, detail: error.to_string() })??;
    Ok(answer(&output))
}

/// `POST /load_lora_adapter`.
pub async fn load(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let request = match app.manager.adapters() {
        Some(_) => read_load(&body.0)?,
        // Whatever the body says, the answer is that LoRA is off.
        None => LoadLoRAAdapterReqInput::default(),
    };
    to_the_end(async move { app.manager.load_lora_adapter(request).await }).await
}

/// `POST /unload_lora_adapter`.
pub async fn unload(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let name = match app.manager.adapters() {
        Some(_) => read_unload(&body.0)?,
        None => String::new(),
    };
    to_the_end(async move { app.manager.unload_lora_adapter(&name).await }).await
}

/// `POST /load_lora_adapter_from_tensors`: refused, since the tensors are pickled Python objects.
pub async fn load_from_tensors(
    app: web::Data<App>,
    req: HttpRequest,
    _body: NativeJson,
) -> Result<HttpResponse, ApiError> {
    if app.manager.adapters().is_none() {
        return to_the_end(async move { app.manager.load_lora_adapter(Default::default()).await }).await;
    }
    let text = format!(
        "{} is not supported: this server reads adapters from disk. Write the adapter to a folder and use \
         /load_lora_adapter.",
        req.path()
    );
    let body = json!({
        "rid": null,
        "http_worker_ipc": null,
        "success": false,
        "error_message": text,
        "loaded_adapters": null,
    });
    Ok(reply::json_status(StatusCode::NOT_IMPLEMENTED, &text, &body))
}
