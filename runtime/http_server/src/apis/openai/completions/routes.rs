//! `/v1/completions`.

use actix_web::{HttpRequest, HttpResponse, web};

use super::request::CompletionRequest;
use super::{response, stream};
use crate::apis::openai::usage::stream_options;
use crate::app::App;
use crate::http::errors::ApiError;
use crate::http::extract::OpenAiJson;
use crate::http::{reply, sse};
use crate::preparation::{dp_header, dp_rank};
use crate::request_fields;

/// `POST /v1/completions`.
pub async fn completions(
    app: web::Data<App>,
    req: HttpRequest,
    body: OpenAiJson,
) -> Result<HttpResponse, ApiError> {
    let mut request = CompletionRequest::from_json(&body.0)?;
    drop(body);
    if request.prompt.is_empty() {
        return Err(ApiError::bad_request("Prompt cannot be empty"));
    }
    if let Some(format) = &request.response_format
        && format["type"] == "json_schema"
        && request_fields::response_schema(format).is_none()
    {
        return Err(ApiError::bad_conversion("schema_ is required for json_schema response format request."));
    }
    if let Some(template) = &app.completion_template {
        request.fill_in_the_middle(template).map_err(ApiError::bad_conversion)?;
    }
    let dp_rank = dp_rank(dp_header(&req), request.base.routed_dp_rank)?;
    let adapter = app.adapter_of(&request.model)?;
    let generate = request.to_generate(adapter, dp_rank);
    let mut generation = app.manager.generate_request(generate).await.map_err(ApiError::openai)?;
    if request.stream {
        let default_usage = app.args.stream_response_default_include_usage;
        let options = stream_options(request.stream_options, default_usage);
        return Ok(sse::respond(stream::stream(app, request, options, generation.handles)));
    }
    generation.finished().await.map_err(ApiError::openai)?;
    Ok(reply::json(&response::response(&app, &request, &generation.handles)))
}
