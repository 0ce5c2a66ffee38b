//! `/v1/messages` and `/v1/messages/count_tokens`.

use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use futures::stream;
use serde_json::json;
use sglang_tokenizer_manager::call_trace::log_failed_stream;

use super::convert::{self, ModelTraits};
use super::error::AnthropicError;
use super::request::{MessagesRequest, Role};
use super::{response, stream as events};
use crate::apis::openai::chat::routes as chat;
use crate::app::App;
use crate::chat::prompt::{RenderOptions, supports_inline_system};
use crate::chat::request::ChatCompletionRequest;
use crate::http::errors::ApiError;
use crate::http::extract::OpenAiJson;
use crate::http::{reply, sse};
use crate::preparation::{prepare, prompt_ids, text_bytes};

/// A body of these routes; what is wrong with it is said in their shape.
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
    let started = app.manager.generate_request(generate).await.map_err(ApiError::openai);
    if !request.stream {
        let answer = chat::answer(&app, &request, started.map_err(AnthropicError::generation)?).await;
        let answer = answer.map_err(AnthropicError::generation)?;
        let answer = serde_json::to_value(&answer).map_err(|e| AnthropicError::new(500, e.to_string()))?;
        return Ok(reply::json(&response::message(&answer)));
    }
    // A stream that cannot start says so in its events.
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
    let prompt_tokens = prompt.map_or(0, |ids| ids.0.len() as u64);
    let model = request.model.clone();
    Ok(sse::respond_unmarked(events::stream(model, prompt_tokens, chat::events(app, request, generation))))
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
