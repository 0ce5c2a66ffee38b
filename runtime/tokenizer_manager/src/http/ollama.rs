//! `/api/chat`, `/api/generate`, `/api/tags`, `/api/show`.

use std::time::Instant;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde_json::{Map, Value};

use super::chat;
use super::errors::ApiError;
use super::extract::NativeJson;
use super::reply;
use crate::app::App;
use crate::chat::RenderOptions;
use crate::manager::GenerateError;
use crate::ollama::request::{self, OllamaChatRequest, OllamaGenerateRequest};
use crate::ollama::response::{self, Answer, Route};
use crate::ollama::stream;
use crate::openai::chat_request::ChatCompletionRequest;
use crate::openai::updates;
use crate::requests::GenerateReqInput;

fn refused(error: GenerateError) -> ApiError {
    let status = match &error {
        GenerateError::Value(_) => 400,
        GenerateError::Refused { status, .. } => *status,
    };
    ApiError::Http { status, detail: error.to_string() }
}

/// An error of the chat machinery in the shape of these routes.
fn unconverted(error: ApiError) -> ApiError {
    match error {
        ApiError::OpenAi { status, message: detail, .. } => ApiError::Http { status, detail },
        other => other,
    }
}

fn ndjson(lines: impl Stream<Item = Bytes> + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/x-ndjson"))
        .streaming(lines.map(Ok::<_, std::convert::Infallible>))
}

async fn serve(
    app: web::Data<App>,
    route: Route,
    request: GenerateReqInput,
) -> Result<HttpResponse, ApiError> {
    let started = Instant::now();
    let streams = request.stream;
    let mut generation = app.manager.generate_request(request).await.map_err(refused)?;
    let model = app.served_model_name();
    if streams {
        return Ok(ndjson(stream::stream(route, model, generation.handles)));
    }
    updates::finished(&mut generation.handles).await.map_err(refused)?;
    let nanoseconds = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let (text, counts) = generation
        .handles
        .first()
        .map(|handle| {
            let output = handle.state().output();
            (output.text.clone(), output.counts)
        })
        .unwrap_or_default();
    Ok(reply::json(&Answer::new(route, &model, text, Some((nanoseconds, counts)))))
}

/// `POST /api/chat`.
pub async fn chat(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let request = OllamaChatRequest::from_json(&body.0)?;
    drop(body);
    let messages: Map<String, Value> =
        [("messages".to_owned(), request.messages.clone().into())].into_iter().collect();
    let conversation = ChatCompletionRequest::from_json(&messages)?;
    let options = RenderOptions { add_generation_prompt: Some(true), ..Default::default() };
    let bytes = chat::text_bytes(&conversation);
    let prompt = chat::prompt_ids(&app, &conversation, options, bytes).await.map_err(unconverted)?;
    serve(app, Route::Chat, request.to_generate(prompt)).await
}

/// `POST /api/generate`.
pub async fn generate(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let request = OllamaGenerateRequest::from_json(&body.0)?;
    drop(body);
    if request.is_blank() {
        let model = app.served_model_name();
        let answer = Answer::new(Route::Generate, &model, String::new(), None);
        return Ok(match request.stream {
            true => ndjson(futures::stream::iter([stream::line(&answer)])),
            false => reply::json(&answer),
        });
    }
    serve(app, Route::Generate, request.into_generate()).await
}

/// `GET /api/tags`.
pub async fn tags(app: web::Data<App>) -> HttpResponse {
    reply::json(&response::tags(&app.served_model_name()))
}

/// `POST /api/show`.
pub async fn show(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let model = request::show(&body.0)?;
    Ok(reply::json(&response::show(&model, app.context_len())))
}
