//! `/v1/chat/completions`.

use actix_web::{HttpRequest, HttpResponse, web};

use super::response;
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

async fn serve<const STRICT: bool>(
    app: web::Data<App>,
    req: HttpRequest,
    body: Json<STRICT>,
) -> Result<HttpResponse, ApiError> {
    let request = ChatCompletionRequest::from_json(&body.0)?;
    drop(body);
    let generate = prepare(&app, &req, &request).await?;
    let mut generation = app.manager.generate_request(generate).await.map_err(ApiError::openai)?;
    let format = AnswerFormat::new(&app.parsers, &request, app.args.default_chat_template_kwargs.as_ref());
    if request.stream {
        let default_usage = app.args.stream_response_default_include_usage;
        let options = ChatStreamOptions {
            format,
            model: request.model,
            n: request.n,
            logprobs: request.logprobs,
            stream_options: stream_options(request.stream_options, default_usage),
            return_cached_tokens_details: request.return_cached_tokens_details,
        };
        return Ok(sse::respond(stream::stream(app, options, generation.handles)));
    }
    generation.finished().await.map_err(ApiError::openai)?;
    Ok(reply::json(&response::response(&app, &request, &format, &generation.handles)))
}
