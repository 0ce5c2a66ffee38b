//! `/v1/chat/completions`.

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures::Stream;
use sglang_tokenizer_manager::manager::Generation;

use super::response::{self, ChatCompletionResponse};
use super::stream::{self, ChatStreamOptions};
use crate::answer::format::AnswerFormat;
use crate::apis::openai::usage::stream_options;
use crate::app::App;
use crate::chat::request::ChatCompletionRequest;
use crate::http::errors::ApiError;
use crate::http::extract::{Json, NativeJson, OpenAiJson};
use crate::http::{reply, sse};
use crate::preparation::prepare;

/// `POST /v1/chat/completions`.
pub async fn chat_completions(
    app: web::Data<App>,
    req: HttpRequest,
    body: OpenAiJson,
) -> Result<HttpResponse, ApiError> {
    serve(app, req, body).await
}

/// `POST /invocations`: the same, with any content type.
pub async fn invocations(
    app: web::Data<App>,
    req: HttpRequest,
    body: NativeJson,
) -> Result<HttpResponse, ApiError> {
    serve(app, req, body).await
}

/// The events of a started request's answer, without the end mark.
pub fn events(
    app: web::Data<App>,
    request: ChatCompletionRequest,
    generation: Generation,
) -> impl Stream<Item = Bytes> {
    let default_usage = app.args.stream_response_default_include_usage;
    let options = ChatStreamOptions {
        format: AnswerFormat::new(&app.parsers, &request, app.args.default_chat_template_kwargs.as_ref()),
        model: request.model,
        n: request.n,
        logprobs: request.logprobs,
        stream_options: stream_options(request.stream_options, default_usage),
        return_cached_tokens_details: request.return_cached_tokens_details,
    };
    stream::stream(app, options, generation.handles)
}

/// Waits for a started request's answer.
///
/// # Errors
/// The scheduler refused it.
pub async fn answer(
    app: &web::Data<App>,
    request: &ChatCompletionRequest,
    mut generation: Generation,
) -> Result<ChatCompletionResponse, ApiError> {
    generation.finished().await.map_err(ApiError::openai)?;
    Ok(response::response(app, request, &generation.handles))
}

async fn serve<const STRICT: bool>(
    app: web::Data<App>,
    req: HttpRequest,
    body: Json<STRICT>,
) -> Result<HttpResponse, ApiError> {
    let request = ChatCompletionRequest::from_json(&body.0)?;
    drop(body);
    let generate = prepare(&app, &req, &request).await?;
    let generation = app.manager.generate_request(generate).await.map_err(ApiError::openai)?;
    if request.stream {
        return Ok(sse::respond(events(app, request, generation)));
    }
    Ok(reply::json(&answer(&app, &request, generation).await?))
}
