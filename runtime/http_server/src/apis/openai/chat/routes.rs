//! `/v1/chat/completions`.

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures::Stream;
use serde_json::{Map, Value};

use super::errors::ApiError;
use super::extract::{Json, NativeJson, OpenAiJson};
use super::{header_overrides, reply, sse};
use crate::app::App;
use crate::chat::{self, RenderOptions};
use crate::manager::Generation;
use crate::openai::answer::AnswerFormat;
use crate::openai::chat_request::ChatCompletionRequest;
use crate::openai::chat_response::{self, ChatCompletionResponse};
use crate::openai::chat_stream::{self, ChatStreamOptions};
use crate::openai::{fields, tool_constraint};
use crate::parsers::Parsers;
use crate::requests::tokenize::INLINE_BYTES;
use crate::requests::{GenerateReqInput, OneOrMany};

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

/// The header that pins a data-parallel rank.
pub(super) fn dp_header(req: &HttpRequest) -> Option<&str> {
    req.headers().get("x-data-parallel-rank").map(|v| v.to_str().unwrap_or("?"))
}

/// Renders and tokenizes the messages; a long conversation on a thread of its own.
///
/// # Errors
/// The template refuses the messages.
pub(super) async fn prompt_ids(
    app: &web::Data<App>,
    request: &ChatCompletionRequest,
    options: RenderOptions,
    bytes: usize,
) -> Result<Vec<u32>, ApiError> {
    let Some(codec) = app.manager.limits.codec.clone() else {
        return Err(ApiError::bad_conversion(
            "Messages need a tokenizer, but the server was launched with --skip-tokenizer-init.",
        ));
    };
    let defaults = app.args.default_chat_template_kwargs.as_ref();
    let options = RenderOptions { reasoning_parser: app.parsers.reasoning, ..options };
    let ids = if bytes <= INLINE_BYTES {
        chat::prompt_ids(codec.as_ref(), request, defaults, options)
    } else {
        let (request, defaults) = (request.clone(), defaults.cloned());
        let render = move || chat::prompt_ids(codec.as_ref(), &request, defaults.as_ref(), options);
        tokio::task::spawn_blocking(render).await.map_err(|error| ApiError::OpenAi {
            status: 500,
            kind: "InternalServerError".into(),
            message: format!("Internal server error: rendering failed: {error}"),
        })?
    };
    ids.map_err(|e| ApiError::bad_conversion(e.0))
}

/// About how much text a conversation has.
pub(super) fn text_bytes(request: &ChatCompletionRequest) -> usize {
    let content = |message: &Value| match &message["content"] {
        Value::String(text) => text.len(),
        Value::Array(parts) => parts.iter().map(|p| p["text"].as_str().map_or(0, str::len)).sum(),
        _ => 0,
    };
    request.messages.iter().map(content).sum()
}

/// What a dialect decides about the native request.
pub(super) struct Preparation<'a> {
    /// What reads the answers.
    pub parsers: &'a Parsers,
    /// Sampling where the request says nothing, by the native names.
    pub sampling_defaults: &'a Map<String, Value>,
    /// Adapter to run with.
    pub adapter: Option<String>,
}

/// Checks a request and makes the native one of it.
///
/// # Errors
/// The request makes no sense, or cannot be converted.
pub(super) async fn prepare(
    app: &web::Data<App>,
    req: &HttpRequest,
    request: &ChatCompletionRequest,
) -> Result<GenerateReqInput, ApiError> {
    let preparation = Preparation {
        parsers: &app.parsers,
        sampling_defaults: &app.model.default_sampling_params,
        adapter: app.adapter_of(&request.model)?,
    };
    prepare_with(app, req, request, preparation).await
}

/// The same, for a dialect that differs in something.
pub(super) async fn prepare_with(
    app: &web::Data<App>,
    req: &HttpRequest,
    request: &ChatCompletionRequest,
    preparation: Preparation<'_>,
) -> Result<GenerateReqInput, ApiError> {
    let Preparation { parsers, sampling_defaults, adapter } = preparation;
    // Before the template: such a model has none, and one would not help.
    app.manager.check_generates().map_err(|e| ApiError::bad_conversion(e.0))?;
    request.validate(app.args.context_length, app.args.allow_auto_truncate).map_err(ApiError::bad_request)?;
    request.check_conversion().map_err(ApiError::bad_conversion)?;
    parsers.check(request).map_err(ApiError::bad_conversion)?;
    let dp_rank = fields::dp_rank(dp_header(req), request.base.routed_dp_rank)?;
    let prompt = match &request.input_ids {
        Some(ids) => ids.clone(),
        None => {
            let ids = prompt_ids(app, request, RenderOptions::default(), text_bytes(request)).await?;
            ids.into_iter().map(i64::from).collect()
        }
    };
    let mut generate = request.to_generate(prompt, sampling_defaults, adapter, dp_rank);
    if let Some(OneOrMany::One(sampling)) = &mut generate.sampling_params {
        tool_constraint::bind(parsers.tool_call, request, sampling);
        if parsers.reads_harmony() {
            sampling.insert("skip_special_tokens".into(), false.into());
        }
    }
    let template_defaults = app.args.default_chat_template_kwargs.as_ref();
    header_overrides::apply(app, req, &mut generate)?;
    generate.require_reasoning = parsers.opens_with_reasoning(request, template_defaults);
    Ok(generate)
}

/// The events of a started request's answer, without the end mark.
pub(super) fn events(
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
        stream_options: chat_stream::stream_options(request.stream_options, default_usage),
        return_cached_tokens_details: request.return_cached_tokens_details,
    };
    chat_stream::stream(app, options, generation.handles)
}

/// Waits for a started request's answer.
///
/// # Errors
/// The scheduler refused it.
pub(super) async fn answer(
    app: &web::Data<App>,
    request: &ChatCompletionRequest,
    mut generation: Generation,
) -> Result<ChatCompletionResponse, ApiError> {
    generation.finished().await.map_err(ApiError::openai)?;
    Ok(chat_response::response(app, request, &generation.handles))
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
