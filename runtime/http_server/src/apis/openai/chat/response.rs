//! A whole chat answer.

use serde::Serialize;
use serde_json::Value;
use sglang_tokenizer_manager::state::RequestHandle;

use crate::answer::choice::{created, last_hidden_state};
use crate::answer::event::ToolCall;
use crate::answer::format::AnswerFormat;
use crate::answer::generate::{Cursor, GenerateAnswer, GenerateMetaInfo};
use crate::answer::logprobs::ChoiceLogprobs;
use crate::apis::openai::choice::{answer_sglext, metadata};
use crate::apis::openai::usage::UsageInfo;
use crate::app::App;
use crate::chat::request::ChatCompletionRequest;

#[derive(Serialize)]
struct ChatMessage {
    role: &'static str,
    content: String,
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: usize,
    message: ChatMessage,
    logprobs: Option<ChoiceLogprobs>,
    finish_reason: Option<&'static str>,
    matched_stop: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden_states: Option<Vec<f32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_token_ids: Option<Vec<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_token_ids: Option<Vec<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta_info: Option<GenerateMetaInfo<'a>>,
}

/// The answer.
#[derive(Serialize)]
pub struct ChatCompletionResponse<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    choices: Vec<Choice<'a>>,
    usage: UsageInfo,
    metadata: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sglext: Option<Value>,
}

fn meta_info<'a>(app: &'a App, handle: &'a RequestHandle) -> GenerateMetaInfo<'a> {
    GenerateMetaInfo(GenerateAnswer {
        state: handle.state(),
        from: Cursor::default(),
        show: Default::default(),
        index: None,
        first: true,
        app,
    })
}

fn choice<'a>(
    app: &'a App,
    request: &ChatCompletionRequest,
    format: &AnswerFormat,
    index: usize,
    handle: &'a RequestHandle,
) -> Choice<'a> {
    let meta_info = request.return_meta_info.then(|| meta_info(app, handle));
    let state = handle.state();
    let output = state.output();
    let codec = app.manager.limits.codec.as_deref().filter(|_| request.logprobs);
    let lists = &output.logprobs;
    let reason = output.finish.as_ref().map(|f| &f.reason);
    let answer = format.parse(&output.text, reason);
    let prompt_ids = || state.request.input_ids.as_ref().map(|ids| ids.0.clone());
    Choice {
        index,
        message: ChatMessage {
            role: "assistant",
            content: answer.content,
            reasoning_content: answer.reasoning_content,
            tool_calls: answer.tool_calls,
        },
        logprobs: codec.map(|codec| ChoiceLogprobs::new(codec, &lists.output_token, &lists.output_top)),
        finish_reason: answer.finish_reason,
        matched_stop: answer.matched_stop,
        hidden_states: last_hidden_state(state, &output),
        prompt_token_ids: if request.return_prompt_token_ids || request.return_token_ids {
            prompt_ids()
        } else {
            None
        },
        response_token_ids: request.return_token_ids.then(|| output.output_ids.clone()),
        meta_info,
    }
}

/// Builds the answer from finished choices.
pub fn response<'a>(
    app: &'a App,
    request: &ChatCompletionRequest,
    format: &AnswerFormat,
    handles: &'a [RequestHandle],
) -> ChatCompletionResponse<'a> {
    let first = handles.first();
    let counts = handles.iter().enumerate().map(|(i, h)| (i, h.state().output().counts));
    ChatCompletionResponse {
        id: first.map(|h| h.state().rid().to_owned()).unwrap_or_default(),
        object: "chat.completion",
        created: created(),
        model: request.model.clone(),
        choices: handles.iter().enumerate().map(|(i, h)| choice(app, request, format, i, h)).collect(),
        usage: UsageInfo::of_choices(counts, request.n, app.args.enable_cache_report),
        metadata: first.map(|h| metadata(app, &h.state().output())),
        sglext: first.map(|h| answer_sglext(app, &h.state().output(), request.return_cached_tokens_details)),
    }
}
