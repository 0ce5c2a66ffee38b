//! A text completion as a stream: pieces of text, the last piece of each choice with its end, token counts.

use std::collections::BTreeMap;

use actix_web::web;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use serde_json::Value;
use sglang_tokenizer_manager::state::RequestHandle;

use super::request::CompletionRequest;
use super::response::{Choice, echo_texts, logprobs};
use crate::answer::choice::{created, matched_stop};
use crate::answer::event::{End, Event};
use crate::answer::format::AnswerFormat;
use crate::answer::steps::{Step, steps};
use crate::apis::openai::choice::{error_event, sglext, without_nulls};
use crate::apis::openai::usage::{StreamCounts, UsageInfo};
use crate::app::App;
use crate::http::reply::to_json;
use crate::http::sse::push_event;
use crate::request_fields::StreamOptions;

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [Choice],
    usage: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sglext: Option<Value>,
}

struct CompletionStream<S> {
    app: web::Data<App>,
    request: CompletionRequest,
    options: StreamOptions,
    id: String,
    created: u64,
    echo: Vec<String>,
    prompts: Vec<Vec<u32>>,
    steps: Option<S>,
    counts: StreamCounts,
    cached_tokens_details: Option<Value>,
    hidden_states: BTreeMap<usize, Vec<f32>>,
}

impl<S: Stream<Item = Step> + Unpin> CompletionStream<S> {
    fn chunk(&self, out: &mut String, choices: &[Choice], usage: Option<Value>, sglext: Option<Value>) {
        let chunk = Chunk {
            id: &self.id,
            object: "text_completion",
            created: self.created,
            model: &self.request.model,
            choices,
            usage,
            sglext,
        };
        push_event(out, &to_json(&chunk));
    }

    fn choice(&self, step: &mut Step) -> Choice {
        let prompt = step.index / self.request.n.max(1);
        let first = step.is_first();
        let echoed = self.echo.get(prompt).filter(|_| first).map(String::as_str).unwrap_or_default();
        let mut text = echoed.to_owned();
        for event in &step.events {
            if let Event::Text(more) = event {
                text.push_str(more);
            }
        }
        let with_prompt = first && self.request.echo && self.request.logprobs.is_some_and(|n| n > 0);
        let has_logprobs = with_prompt || !step.logprobs.output_token.is_empty();
        let wanted = self.request.logprobs.is_some() && has_logprobs;
        let codec = self.app.manager.limits.codec.as_deref().filter(|_| wanted);
        let with_ids = self.request.return_token_ids;
        Choice {
            index: step.index,
            text,
            logprobs: logprobs(codec, &step.logprobs, with_prompt),
            finish_reason: step.end().map(|end| end.finish_word),
            matched_stop: step.end().and_then(|end| matched_stop(&end.reason)),
            hidden_states: None,
            token_ids: with_ids.then(|| std::mem::take(&mut step.output_ids)),
            prompt_token_ids: match with_ids && first {
                true => self.prompts.get(step.index).cloned(),
                false => None,
            },
        }
    }

    /// Writes a step. Returns false if the stream ends with it.
    fn step(&mut self, out: &mut String, mut step: Step) -> bool {
        self.counts.0.insert(step.index, step.counts);
        if step.cached_tokens_details.is_some() {
            self.cached_tokens_details = step.cached_tokens_details.take();
        }
        if let Some(error) = step.end().and_then(|end| error_event(&end.reason)) {
            push_event(out, &error);
            return false;
        }
        let choice = self.choice(&mut step);
        if let Some(Event::End(End { hidden_states: Some(hidden_states), .. })) = step.events.pop() {
            self.hidden_states.insert(step.index, hidden_states);
        }
        // As in the reference, only the final counts have the cache report.
        let usage = self
            .options
            .continuous_usage_stats
            .then(|| serde_json::to_value(UsageInfo::of_choice(step.counts, false)).unwrap_or_default());
        self.chunk(out, &[choice], usage, None);
        true
    }

    fn end(&mut self, out: &mut String) {
        for (index, hidden_states) in std::mem::take(&mut self.hidden_states) {
            let choice = Choice {
                index,
                text: String::new(),
                logprobs: None,
                finish_reason: None,
                matched_stop: None,
                hidden_states: Some(hidden_states),
                token_ids: None,
                prompt_token_ids: None,
            };
            self.chunk(out, &[choice], None, None);
        }
        if let Some(sglext) =
            sglext(self.request.return_cached_tokens_details, self.cached_tokens_details.take())
        {
            self.chunk(out, &[], None, Some(sglext));
        }
        if self.options.include_usage {
            let usage = self.counts.usage(self.request.n, self.app.args.enable_cache_report);
            self.chunk(out, &[], Some(without_nulls(&usage)), None);
        }
    }

    async fn next(mut self) -> Option<(Bytes, Self)> {
        let mut steps = self.steps.take()?;
        let mut out = String::new();
        match steps.next().await {
            // After an error only the end mark follows. Dropping the steps aborts the other choices.
            Some(step) => {
                if self.step(&mut out, step) {
                    self.steps = Some(steps);
                }
            }
            None => self.end(&mut out),
        }
        Some((out.into(), self))
    }
}

/// The events of a completion, without the end mark.
pub fn stream(
    app: web::Data<App>,
    request: CompletionRequest,
    options: StreamOptions,
    handles: Vec<RequestHandle>,
) -> impl Stream<Item = Bytes> {
    let echo = match request.echo {
        true => echo_texts(app.manager.limits.codec.as_deref(), &request.prompt),
        false => Vec::new(),
    };
    let prompts = match request.return_token_ids {
        true => handles
            .iter()
            .map(|h| h.state().request.input_ids.as_ref().map(|ids| ids.0.clone()).unwrap_or_default())
            .collect(),
        false => Vec::new(),
    };
    let state = CompletionStream {
        id: handles.first().map(|h| h.state().rid().to_owned()).unwrap_or_default(),
        app,
        request,
        options,
        created: created(),
        echo,
        prompts,
        // The default format parses nothing: a completion is one text, whatever it contains.
        steps: Some(steps(handles, &AnswerFormat::default())),
        counts: StreamCounts::default(),
        cached_tokens_details: None,
        hidden_states: BTreeMap::new(),
    };
    stream::unfold(state, CompletionStream::next)
}
