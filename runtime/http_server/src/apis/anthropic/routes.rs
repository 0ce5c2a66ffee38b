//! `/v1/messages` and `/v1/messages/count_tokens`.

use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use futures::stream;
use serde_json::json;
use sglang_tokenizer_manager::call_trace::log_failed_stream;

use super::convert::{self, ModelTraits};
use super::error::AnthropicError;
use super::request::{MessagesRequest, Role};
use super::response;
use super::stream::{self as events, MessageFrame};
use crate::answer::format::AnswerFormat;
use crate::answer::steps::steps;
use crate::app::App;
use crate::chat::prompt::{RenderOptions, supports_inline_system};
use crate::chat::request::ChatCompletionRequest;
use crate::http::errors::ApiError;
use crate::http::extract::OpenAiJson;
use crate::http::{reply, sse};
use crate::preparation::{prepare, prompt_ids, text_bytes};

/// The body of a request, or its error, which these routes report in their own shape.
type Body = Result<OpenAiJson, ApiError>;

fn to_chat(app: &App, request: MessagesRequest) -> Result<ChatCompletionRequest, AnthropicError> {
    let has_inline_system = request.messages.iter().any(|message| message.role == Role::System);
    let codec = app.manager.limits.codec.as_deref().filter(|_| has_inline_system);
    let traits = ModelTraits {
        inline_system: codec.is_some_and(supports_inline_system),
        reasoning_parser: app.parsers.reasoning,
    };
    convert::chat_request(request, traits)
}

/// `POST /v1/messages`.
pub async fn messages(
    app: web::Data<App>,
    req: HttpRequest,
    body: Body,
) -> Result<HttpResponse, AnthropicError> {
    let body = body.map_err(AnthropicError::schema)?;
    let request = MessagesRequest::from_json(&body.0)?;
    drop(body);
    let request = to_chat(&app, request)?;
    let generate = prepare(&app, &req, &request).await.map_err(AnthropicError::conversion)?;
    let format = AnswerFormat::new(&app.parsers, &request, app.args.default_chat_template_kwargs.as_ref());
    let started = app.manager.generate_request(generate).await.map_err(ApiError::openai);
    if !request.stream {
        let mut generation = started.map_err(AnthropicError::generation)?;
        generation.finished().await.map_err(|e| AnthropicError::generation(ApiError::openai(e)))?;
        let Some(handle) = generation.handles.first() else {
            return Err(AnthropicError::new(500, "no answer"));
        };
        let output = handle.state().output();
        let answer = format.parse(&output.text, output.finish.as_ref().map(|finish| &finish.reason));
        let message = response::message(&request.model, &answer, output.counts, app.args.enable_cache_report);
        return Ok(reply::json(&message));
    }
    // A stream that cannot start reports the error as an event.
    let generation = match started {
        Ok(generation) => generation,
        Err(error) => {
            log_failed_stream(error.status_code().as_u16(), &error.to_string());
            let error = AnthropicError::conversion(error);
            let event = events::failed(request.model, &error);
            return Ok(sse::respond_unmarked(stream::iter([event])));
        }
    };
    let prompt = generation.handles.first().and_then(|h| h.state().request.input_ids.as_ref());
    let frame = MessageFrame {
        model: request.model,
        prompt_tokens: prompt.map_or(0, |ids| ids.0.len() as u64),
        cache_report: app.args.enable_cache_report,
    };
    Ok(sse::respond_unmarked(events::stream(frame, steps(generation.handles, &format))))
}

/// `POST /v1/messages/count_tokens`.
pub async fn count_tokens(app: web::Data<App>, body: Body) -> Result<HttpResponse, AnthropicError> {
    let body = body.map_err(AnthropicError::schema)?;
    let request = MessagesRequest::from_count_json(&body.0)?;
    app.adapter_of(&request.model).map_err(|unknown| AnthropicError::conversion(unknown.into()))?;
    let request = to_chat(&app, request)?;
    let ids = prompt_ids(&app, &request, RenderOptions::default(), text_bytes(&request));
    let ids = ids.await.map_err(AnthropicError::conversion)?;
    Ok(reply::json(&json!({"input_tokens": ids.len()})))
}
