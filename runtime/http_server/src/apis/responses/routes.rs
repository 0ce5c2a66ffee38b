//! `/v1/responses`.

use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use futures::StreamExt;
use serde_json::Value;
use sglang_parsers::ToolParser;
use sglang_proto::sampling_params::Given;
use sglang_tokenizer_manager::requests::{GenerateReqInput, OneOrMany};

use super::convert::{self, ServerTraits};
use super::error::ResponsesError;
use super::request::ResponsesRequest;
use super::stream::{self, Draft, Keep};
use crate::answer::format::AnswerFormat;
use crate::app::App;
use crate::chat::prompt::supports_inline_system;
use crate::chat::request::ChatCompletionRequest;
use crate::http::errors::ApiError;
use crate::http::extract::OpenAiJson;
use crate::http::reply;
use crate::preparation::prepare;

fn traits(app: &App, items: &[Value]) -> ServerTraits {
    let late_system = items.iter().any(|item| item["role"] == "system" || item["role"] == "developer");
    let codec = app.manager.limits.codec.as_deref().filter(|_| late_system);
    ServerTraits {
        inline_system: codec.is_some_and(supports_inline_system),
        harmony: app.parsers.reads_harmony(),
        parses_tools: app.parsers.tool_call.is_some(),
        keeps_responses: app.args.enable_response_store,
    }
}

/// The items of the conversation, including those of the request.
fn history(app: &App, request: &ResponsesRequest) -> Result<Vec<Value>, ResponsesError> {
    let mut items = Vec::new();
    if let Some(id) = &request.previous_response_id {
        if !id.starts_with("resp_") {
            return Err(ResponsesError::bad_id(id));
        }
        let before = app.responses.history(id).ok_or_else(|| ResponsesError::unknown_id(id))?;
        items.extend(before.iter().cloned());
    }
    items.extend(request.input.iter().cloned());
    Ok(items)
}

/// The format of the answer. Without a tool parser, a forced call is a JSON array; unlike in chat completions it is
/// parsed here.
fn answer_format(app: &App, request: &ResponsesRequest, chat: &ChatCompletionRequest) -> AnswerFormat {
    let mut parsers = app.parsers;
    if parsers.tool_call.is_none() && request.forces_tools() {
        parsers.tool_call = Some(ToolParser::json_array());
    }
    AnswerFormat::new(&parsers, chat, app.args.default_chat_template_kwargs.as_ref())
}

/// Generates a stored response in the background.
async fn in_background(
    app: web::Data<App>,
    draft: Draft,
    id: String,
    generate: GenerateReqInput,
    logprobs: bool,
) {
    if !app.responses.begin(&id) {
        return;
    }
    let mut generation = match app.manager.generate_request(generate).await {
        Ok(generation) => generation,
        Err(error) => {
            draft.fail(&app, &error.to_string());
            return;
        }
    };
    if app.responses.get(&id).is_none_or(|response| response["status"] == "cancelled") {
        app.manager.registry.abort(&id);
        return;
    }
    match (generation.finished().await, generation.handles.first()) {
        (Ok(()), Some(handle)) => draft.whole(&app, handle, logprobs),
        (Ok(()), None) => draft.fail(&app, "Generation aborted"),
        (Err(error), _) => draft.fail(&app, &error.to_string()),
    };
}

/// `POST /v1/responses`.
pub async fn create(
    app: web::Data<App>,
    req: HttpRequest,
    body: Result<OpenAiJson, ApiError>,
) -> Result<HttpResponse, ResponsesError> {
    let body = body?;
    let request = ResponsesRequest::from_json(&body.0).map_err(ApiError::from)?;
    drop(body);
    let served = app.served_model_name();
    convert::check(&request, traits(&app, &[]))?;
    let items = history(&app, &request)?;
    let defaults = &app.model.default_sampling_params;
    let chat = convert::chat_request(&request, &items, traits(&app, &items), defaults, &served)?;
    let mut generate = prepare(&app, &req, &chat).await?;
    if let (Some(OneOrMany::One(sampling)), Some(limit)) =
        (&mut generate.sampling_params, convert::max_new_tokens(&request))
    {
        sampling.max_new_tokens = Given::Value(limit);
    }
    let format = answer_format(&app, &request, &chat);
    let keep = (app.args.enable_response_store && request.store)
        .then(|| Keep { id: request.request_id.clone(), history: Arc::new(items) });
    if request.background
        && !request.stream
        && let Some(keep) = keep
    {
        let (id, history) = (keep.id.clone(), keep.history.as_ref().clone());
        let draft = Draft::new(&app, &request, &format, Some(keep));
        let queued = draft.open("queued");
        app.responses.put(&id, &queued, history);
        actix_web::rt::spawn(in_background(app, draft, id, generate, request.include_logprobs));
        return Ok(reply::json(&queued));
    }
    let draft = Draft::new(&app, &request, &format, keep);
    let mut generation = app.manager.generate_request(generate).await.map_err(ApiError::openai)?;
    if request.stream {
        let events = stream::stream(app, draft, generation.handles);
        return Ok(HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, "text/event-stream; charset=utf-8"))
            .insert_header((CACHE_CONTROL, "no-cache"))
            .insert_header((CONNECTION, "keep-alive"))
            .streaming(events.map(Ok::<_, std::convert::Infallible>)));
    }
    generation.finished().await.map_err(ApiError::openai)?;
    let response = match generation.handles.first() {
        Some(handle) => draft.whole(&app, handle, request.include_logprobs),
        None => draft.fail(&app, "Generation aborted"),
    };
    Ok(reply::json(&response))
}

/// Checks that the id can be that of a stored response.
fn kept_id(app: &App, id: &str) -> Result<(), ResponsesError> {
    if !app.args.enable_response_store {
        return Err(ResponsesError::store_disabled("response_id"));
    }
    if id.starts_with("resp_") { Ok(()) } else { Err(ResponsesError::bad_id(id)) }
}

/// `GET /v1/responses/{response_id}`.
pub async fn retrieve(app: web::Data<App>, id: web::Path<String>) -> Result<HttpResponse, ResponsesError> {
    kept_id(&app, &id)?;
    let response = app.responses.get(&id).ok_or_else(|| ResponsesError::unknown_id(&id))?;
    Ok(reply::json(&response))
}

/// `POST /v1/responses/{response_id}/cancel`: cancels an unfinished response; a finished one stays unchanged.
pub async fn cancel(app: web::Data<App>, id: web::Path<String>) -> Result<HttpResponse, ResponsesError> {
    kept_id(&app, &id)?;
    let (response, open) = app.responses.cancel(&id).ok_or_else(|| ResponsesError::unknown_id(&id))?;
    if open {
        app.manager.registry.abort(&id);
    }
    Ok(reply::json(&response))
}
