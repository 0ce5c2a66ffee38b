//! `/api/chat` and `/api/generate`.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde_json::json;
use sglang_proto::sampling_params::SamplingRequest;
use sglang_tokenizer_manager::requests::{GenerateReqInput, OneOrMany};

use super::chat::OllamaChatRequest;
use super::error::OllamaError;
use super::fields::Common;
use super::generate::OllamaGenerateRequest;
use super::reply::{Parts, Reply};
use super::response::{Answer, End, Route, Work, done_reason};
use super::stream::{self, Frame};
use crate::answer::format::AnswerFormat;
use crate::app::App;
use crate::chat::request::ChatCompletionRequest;
use crate::http::errors::ApiError;
use crate::http::extract::NativeJson;
use crate::http::reply;
use crate::parsers::Parsers;
use crate::preparation::{Preparation, prepare_with};

/// The body of a request, or its error, which these routes report in their own shape.
pub(super) type Body = Result<NativeJson, ApiError>;

/// The adapter that `model` names, and the model's name in the answer: the served name, as in the reference, or the
/// adapter's name as the client wrote it. Names may have an Ollama tag, which is ignored.
pub(super) fn model(app: &App, model: &str) -> Result<(Option<String>, String), OllamaError> {
    let name = model.strip_suffix(":latest").unwrap_or(model);
    let adapter = match app.manager.adapters() {
        Some(_) => app.adapter_of(name).map_err(ApiError::from)?,
        None => None,
    };
    let shown = if adapter.is_some() { name.to_owned() } else { app.served_model_name() };
    Ok((adapter, shown))
}

fn ndjson(lines: impl Stream<Item = Bytes> + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/x-ndjson"))
        .streaming(lines.map(Ok::<_, std::convert::Infallible>))
}

fn frame(app: &App, route: Route, model: String, common: &Common) -> Frame {
    let codec = app.manager.limits.codec.clone().filter(|_| common.logprobs);
    Frame { route, model, with_context: false, codec }
}

/// The answer to a request that only loads the model.
fn loaded(frame: &Frame, common: &Common, done_reason: &'static str) -> Result<HttpResponse, OllamaError> {
    if common.unloads {
        return Err(OllamaError::invalid(
            "keep_alive 0 cannot be followed: the model stays loaded as long as the server runs",
        ));
    }
    let end = End { done_reason, ..End::default() };
    let answer = Answer::new(frame.route, &frame.model, Parts::default(), None, end);
    Ok(match common.stream {
        true => ndjson(futures::stream::iter([stream::line(&answer)])),
        false => reply::json(&answer),
    })
}

/// Runs a native request and returns its answer.
async fn serve(
    app: &App,
    frame: Frame,
    format: &AnswerFormat,
    request: GenerateReqInput,
) -> Result<HttpResponse, OllamaError> {
    let streams = request.stream;
    let mut generation = app.manager.generate_request(request).await?;
    if streams {
        return Ok(ndjson(stream::stream(frame, format, generation.handles)));
    }
    generation.finished().await?;
    let Some(handle) = generation.handles.first() else {
        return Err(ApiError::Http { status: 500, detail: "Internal server error: no answer".into() }.into());
    };
    let state = handle.state();
    let output = state.output();
    let reason = output.finish.as_ref().map_or("stop", |finish| done_reason(&finish.reason));
    let work = Work::of(state, output.counts, None);
    let end = frame.end(state, reason, work, &output.output_ids);
    let logprobs = frame.logprobs(&output.logprobs);
    let parts = Reply::whole(format, &output.text);
    Ok(reply::json(&Answer::new(frame.route, &frame.model, parts, logprobs, end)))
}

/// Checked first: the advice in other errors would not help the user of an embedding model.
fn check_generates(app: &App) -> Result<(), OllamaError> {
    app.manager.check_generates().map_err(|e| OllamaError::invalid(e.0))
}

/// Refuses tools that the prompt would not show, or whose calls would not be parsed.
fn check_tools(app: &App, parsers: &Parsers, request: &OllamaChatRequest) -> Result<(), OllamaError> {
    let Some(codec) = app.manager.limits.codec.as_deref().filter(|_| !request.tools.is_empty()) else {
        return Ok(());
    };
    let refuse = |why: &str| {
        let model = &request.common.model;
        Err(OllamaError::invalid(format!("\"{model}\" does not support tools: {why}")))
    };
    if parsers.tool_call.is_none() {
        return refuse("its calls cannot be read without --tool-call-parser");
    }
    let messages = [json!({"role": "user", "content": "x"})];
    let rendered = |tools| codec.render_chat(&messages, tools, true, &serde_json::Map::new());
    // If the template fails, the error is reported when the conversation itself is rendered.
    match (rendered(Some(&request.tools)), rendered(None)) {
        (Ok(with), Ok(without)) if with == without => refuse("its chat template does not show them"),
        _ => Ok(()),
    }
}

/// The native request for a chat, and the format of its answer.
async fn prepare(
    app: &web::Data<App>,
    req: &HttpRequest,
    common: &Common,
    chat: &ChatCompletionRequest,
    parsers: &Parsers,
    adapter: Option<String>,
) -> Result<(GenerateReqInput, AnswerFormat), OllamaError> {
    // Sampling parameters that the options leave out have the defaults of native requests.
    let preparation = Preparation { parsers, sampling_defaults: &SamplingRequest::default(), adapter };
    let mut generate = prepare_with(app, req, chat, preparation).await?;
    if let Some(OneOrMany::One(sampling)) = &mut generate.sampling_params {
        sampling.overlay(common.options.sampling_params());
    }
    let template_defaults = app.args.default_chat_template_kwargs.as_ref();
    Ok((generate, AnswerFormat::new(parsers, chat, template_defaults)))
}

/// `POST /api/chat`.
pub async fn chat(app: web::Data<App>, req: HttpRequest, body: Body) -> Result<HttpResponse, OllamaError> {
    let body = body?;
    let request = OllamaChatRequest::from_json(&body.0)?;
    drop(body);
    let common = &request.common;
    let (adapter, model) = model(&app, &common.model)?;
    let frame = frame(&app, Route::Chat, model, common);
    if request.messages.is_empty() {
        return loaded(&frame, common, "load");
    }
    check_generates(&app)?;
    // Ollama has no flags for tool calls, so the parser that the chat template implies is enough.
    let parsers = app.parsers.or_detected_tools(&app.model.detected_parsers);
    check_tools(&app, &parsers, &request)?;
    let chat = request.to_chat(parsers.reasoning)?;
    let (generate, format) = prepare(&app, &req, common, &chat, &parsers, adapter).await?;
    serve(&app, frame, &format, generate).await
}

/// `POST /api/generate`.
pub async fn generate(
    app: web::Data<App>,
    req: HttpRequest,
    body: Body,
) -> Result<HttpResponse, OllamaError> {
    let body = body?;
    let request = OllamaGenerateRequest::from_json(&body.0)?;
    drop(body);
    let common = &request.common;
    let (adapter, model) = model(&app, &common.model)?;
    let frame = frame(&app, Route::Generate, model, common);
    if request.is_blank() {
        return loaded(&frame, common, "stop");
    }
    check_generates(&app)?;
    request.check(app.completion_template.is_some())?;
    let frame = Frame { with_context: request.wants_context(), ..frame };
    if request.is_templated() {
        let chat = request.to_chat().to_chat(app.parsers.reasoning)?;
        let (mut generate, format) = prepare(&app, &req, common, &chat, &app.parsers, adapter).await?;
        if let Some(OneOrMany::One(ids)) = &mut generate.input_ids {
            ids.splice(..0, request.context().iter().copied());
        }
        return serve(&app, frame, &format, generate).await;
    }
    let text = request.text(app.completion_template.as_ref())?;
    let mut generate = request.to_generate();
    generate.lora_path = adapter.map(|name| OneOrMany::One(Some(name)));
    match (request.context(), app.manager.limits.codec.as_deref()) {
        ([], _) | (_, None) => generate.text = Some(OneOrMany::One(text)),
        (context, Some(codec)) => {
            // The earlier prompt already has the tokens that start a text.
            let ids = codec.encode(&text, false).map_err(|e| OllamaError::invalid(e.0))?;
            let ids = context.iter().copied().chain(ids.into_iter().map(i64::from)).collect();
            generate.input_ids = Some(OneOrMany::One(ids));
        }
    }
    serve(&app, frame, &AnswerFormat::default(), generate).await
}
