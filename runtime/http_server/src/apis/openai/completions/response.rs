//! A whole text completion.

use serde::Serialize;
use serde_json::Value;
use sglang_tokenizer_manager::requests::OneOrMany;
use sglang_tokenizer_manager::state::{Logprobs, RequestHandle};
use sglang_tokenizer_manager::text::TextCodec;

use super::logprobs::LogProbs;
use super::request::CompletionRequest;
use crate::answer::choice::{created, finish_word, last_hidden_state, matched_stop};
use crate::apis::openai::choice::{answer_sglext, metadata};
use crate::apis::openai::usage::UsageInfo;
use crate::app::App;
use crate::completion::prompt::CompletionPrompt;

/// A whole choice, or a piece of one in a stream.
#[derive(Serialize)]
pub(super) struct Choice {
    pub(super) index: usize,
    pub(super) text: String,
    pub(super) logprobs: Option<LogProbs>,
    pub(super) finish_reason: Option<&'static str>,
    pub(super) matched_stop: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hidden_states: Option<Vec<f32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token_ids: Option<Vec<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt_token_ids: Option<Vec<u32>>,
}

/// The answer.
#[derive(Serialize)]
pub struct CompletionResponse {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    choices: Vec<Choice>,
    usage: UsageInfo,
    metadata: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sglext: Option<Value>,
}

/// The texts of the prompts, to precede their completions.
pub fn echo_texts(codec: Option<&dyn TextCodec>, prompt: &CompletionPrompt) -> Vec<String> {
    let decode = |ids: &Vec<i64>| {
        let ids: Vec<u32> = ids.iter().filter_map(|id| u32::try_from(*id).ok()).collect();
        codec.and_then(|codec| codec.decode(&ids, true).ok()).unwrap_or_default()
    };
    match prompt {
        CompletionPrompt::Text(OneOrMany::One(text)) => vec![text.clone()],
        CompletionPrompt::Text(OneOrMany::Many(texts)) => texts.clone(),
        CompletionPrompt::Ids(OneOrMany::One(ids)) => vec![decode(ids)],
        CompletionPrompt::Ids(OneOrMany::Many(lists)) => lists.iter().map(decode).collect(),
    }
}

/// The log-probabilities of a choice or of a piece of one. With `prompt`, those of the prompt come first.
pub fn logprobs(codec: Option<&dyn TextCodec>, lists: &Logprobs, prompt: bool) -> Option<LogProbs> {
    let codec = codec?;
    let mut out = LogProbs::default();
    if prompt {
        out.extend(codec, &lists.input_token, &lists.input_top);
    }
    out.extend(codec, &lists.output_token, &lists.output_top);
    Some(out)
}

fn choice(
    app: &App,
    request: &CompletionRequest,
    echo: &[String],
    index: usize,
    handle: &RequestHandle,
) -> Choice {
    let state = handle.state();
    let output = state.output();
    let echoed = echo.get(index / request.n.max(1)).map(String::as_str).unwrap_or_default();
    let reason = output.finish.as_ref().map(|f| &f.reason);
    let with_prompt = request.echo && request.logprobs.is_some_and(|n| n > 0);
    let codec = app.manager.limits.codec.as_deref().filter(|_| request.logprobs.is_some());
    Choice {
        index,
        text: format!("{echoed}{}", output.text),
        logprobs: logprobs(codec, &output.logprobs, with_prompt),
        finish_reason: reason.map(finish_word),
        matched_stop: reason.and_then(matched_stop),
        hidden_states: last_hidden_state(state, &output),
        token_ids: request.return_token_ids.then(|| output.output_ids.clone()),
        prompt_token_ids: match request.return_token_ids {
            true => state.request.input_ids.as_ref().map(|ids| ids.0.clone()),
            false => None,
        },
    }
}

/// Builds the answer from finished choices.
pub fn response(app: &App, request: &CompletionRequest, handles: &[RequestHandle]) -> CompletionResponse {
    let first = handles.first();
    let echo = match request.echo {
        true => echo_texts(app.manager.limits.codec.as_deref(), &request.prompt),
        false => Vec::new(),
    };
    let counts = handles.iter().enumerate().map(|(i, h)| (i, h.state().output().counts));
    CompletionResponse {
        id: first.map(|h| h.state().rid().to_owned()).unwrap_or_default(),
        object: "text_completion",
        created: created(),
        model: request.model.clone(),
        choices: handles.iter().enumerate().map(|(i, h)| choice(app, request, &echo, i, h)).collect(),
        usage: UsageInfo::of_choices(counts, request.n, app.args.enable_cache_report),
        metadata: first.map(|h| metadata(app, &h.state().output())),
        sglext: first.map(|h| answer_sglext(app, &h.state().output(), request.return_cached_tokens_details)),
    }
}
