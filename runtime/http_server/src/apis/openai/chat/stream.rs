//! A chat answer as a stream: the role, pieces of content, one end per choice, token counts.

use std::collections::BTreeMap;

use actix_web::web;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use serde_json::Value;
use sglang_tokenizer_manager::state::{Logprobs, RequestHandle};

use crate::answer::choice::{created, matched_stop};
use crate::answer::event::{End, Event, ToolCall};
use crate::answer::format::AnswerFormat;
use crate::answer::logprobs::ChoiceLogprobs;
use crate::answer::steps::{Step, steps};
use crate::apis::openai::choice::{error_event, sglext};
use crate::apis::openai::usage::{StreamCounts, UsageInfo};
use crate::app::App;
use crate::http::reply::to_json;
use crate::http::sse::push_event;
use crate::request_fields::StreamOptions;

#[derive(Default, Serialize)]
struct Delta<'a> {
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
}

/// A delta with a call has every key, as in the reference.
#[derive(Serialize)]
struct CallDelta<'a> {
    role: (),
    content: (),
    reasoning_content: (),
    tool_calls: [&'a ToolCall; 1],
}

/// A delta with a hidden state has every key except `tool_calls`.
#[derive(Serialize)]
struct HiddenDelta<'a> {
    role: (),
    content: (),
    reasoning_content: (),
    hidden_states: &'a [f32],
}

#[derive(Serialize)]
#[serde(untagged)]
enum AnyDelta<'a> {
    Text(Delta<'a>),
    Call(CallDelta<'a>),
    Hidden(HiddenDelta<'a>),
}

#[derive(Serialize)]
struct Choice<'a> {
    index: usize,
    delta: AnyDelta<'a>,
    logprobs: Option<ChoiceLogprobs>,
    finish_reason: Option<&'static str>,
    matched_stop: Option<Value>,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [Choice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<UsageInfo>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sglext: Option<Value>,
}

/// The fields of a request that decide how its stream looks.
pub struct ChatStreamOptions {
    /// The name of the model that the chunks repeat.
    pub model: String,
    /// Number of choices.
    pub n: usize,
    /// How the answer is parsed.
    pub format: AnswerFormat,
    /// Whether to return log-probabilities of the output.
    pub logprobs: bool,
    /// When to send token counts.
    pub stream_options: StreamOptions,
    /// Whether to report where cached tokens came from.
    pub return_cached_tokens_details: bool,
}

struct ChatStream<S> {
    app: web::Data<App>,
    options: ChatStreamOptions,
    id: String,
    created: u64,
    steps: Option<S>,
    counts: StreamCounts,
    ends: BTreeMap<usize, End>,
    /// Log-probabilities of tokens whose text has not arrived yet.
    pending: BTreeMap<usize, Logprobs>,
    cached_tokens_details: Option<Value>,
}

impl<S: Stream<Item = Step> + Unpin> ChatStream<S> {
    fn chunk(
        &self,
        out: &mut String,
        choices: &[Choice<'_>],
        usage: Option<Option<UsageInfo>>,
        sglext: Option<Value>,
    ) {
        let chunk = Chunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.options.model,
            choices,
            usage,
            sglext,
        };
        push_event(out, &to_json(&chunk));
    }

    fn started(&self, out: &mut String, index: usize) {
        let delta = Delta { role: Some("assistant"), content: Some(""), ..Default::default() };
        let choice = Choice {
            index,
            delta: AnyDelta::Text(delta),
            logprobs: None,
            finish_reason: None,
            matched_stop: None,
        };
        self.chunk(out, &[choice], None, None);
    }

    /// Writes the reasoning, text and calls of a step.
    fn content(&mut self, out: &mut String, step: &mut Step) {
        let pending = self.pending.entry(step.index).or_default();
        pending.append(std::mem::take(&mut step.logprobs));
        let has_logprobs = !pending.output_token.is_empty();
        let mut pieces: Vec<&Event> =
            step.events.iter().filter(|event| !matches!(event, Event::Started | Event::End(_))).collect();
        let empty = Event::Text(String::new());
        // The log-probability of a token without text is sent with the next piece; a choice's last token gets a piece
        // for it.
        if pieces.is_empty() {
            if !(step.end().is_some() && self.options.logprobs && has_logprobs) {
                return;
            }
            pieces.push(&empty);
        }
        let lists = std::mem::take(pending);
        let codec =
            self.app.manager.limits.codec.as_deref().filter(|_| self.options.logprobs && has_logprobs);
        let mut logprobs =
            codec.map(|codec| ChoiceLogprobs::new(codec, &lists.output_token, &lists.output_top));
        let usage = self
            .options
            .stream_options
            .continuous_usage_stats
            .then(|| UsageInfo::of_choice(step.counts, self.app.args.enable_cache_report));
        for piece in pieces {
            let (delta, usage) = match piece {
                Event::Text(text) => {
                    (AnyDelta::Text(Delta { content: Some(text), ..Default::default() }), usage.map(Some))
                }
                Event::Reasoning(text) => (
                    AnyDelta::Text(Delta { reasoning_content: Some(text), ..Default::default() }),
                    usage.map(Some),
                ),
                Event::Call(call) => {
                    let delta =
                        CallDelta { role: (), content: (), reasoning_content: (), tool_calls: [call] };
                    (AnyDelta::Call(delta), Some(usage))
                }
                Event::Started | Event::End(_) => continue,
            };
            let choice = Choice {
                index: step.index,
                delta,
                logprobs: logprobs.take(),
                finish_reason: None,
                matched_stop: None,
            };
            self.chunk(out, &[choice], usage, None);
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
        if step.is_first() {
            self.started(out, step.index);
        }
        self.content(out, &mut step);
        if let Some(Event::End(end)) = step.events.pop() {
            self.ends.insert(step.index, end);
        }
        true
    }

    fn end(&mut self, out: &mut String) {
        for (index, end) in &self.ends {
            let choice = Choice {
                index: *index,
                delta: AnyDelta::Text(Delta::default()),
                logprobs: None,
                finish_reason: Some(end.finish_word),
                matched_stop: matched_stop(&end.reason),
            };
            self.chunk(out, &[choice], None, None);
        }
        for (index, end) in &self.ends {
            let Some(hidden_states) = &end.hidden_states else { continue };
            let delta = HiddenDelta { role: (), content: (), reasoning_content: (), hidden_states };
            let choice = Choice {
                index: *index,
                delta: AnyDelta::Hidden(delta),
                logprobs: None,
                finish_reason: None,
                matched_stop: None,
            };
            self.chunk(out, &[choice], Some(None), None);
        }
        if let Some(sglext) =
            sglext(self.options.return_cached_tokens_details, self.cached_tokens_details.take())
        {
            self.chunk(out, &[], None, Some(sglext));
        }
        if self.options.stream_options.include_usage {
            let usage = self.counts.usage(self.options.n, self.app.args.enable_cache_report);
            self.chunk(out, &[], Some(Some(usage)), None);
        }
    }

    async fn next(mut self) -> Option<(Bytes, Self)> {
        let mut steps = self.steps.take()?;
        let mut out = String::new();
        loop {
            match steps.next().await {
                Some(step) => {
                    // After an error only the end mark follows. Dropping the steps aborts the other choices.
                    if !self.step(&mut out, step) {
                        break;
                    }
                    if !out.is_empty() {
                        self.steps = Some(steps);
                        break;
                    }
                }
                None => {
                    self.end(&mut out);
                    break;
                }
            }
        }
        Some((out.into(), self))
    }
}

/// The events of a chat answer, without the end mark.
pub fn stream(
    app: web::Data<App>,
    options: ChatStreamOptions,
    handles: Vec<RequestHandle>,
) -> impl Stream<Item = Bytes> {
    let id = handles.first().map(|h| h.state().rid().to_owned()).unwrap_or_default();
    let steps = steps(handles, &options.format);
    let state = ChatStream {
        app,
        options,
        id,
        created: created(),
        steps: Some(steps),
        counts: StreamCounts::default(),
        ends: BTreeMap::new(),
        pending: BTreeMap::new(),
        cached_tokens_details: None,
    };
    stream::unfold(state, ChatStream::next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_delta_always_has_reasoning_content_and_only_the_other_keys_that_are_set() {
        let delta = Delta { role: Some("assistant"), content: Some(""), ..Default::default() };
        assert_eq!(to_json(&delta), r#"{"reasoning_content":null,"role":"assistant","content":""}"#);
        assert_eq!(to_json(&Delta::default()), json!({"reasoning_content": null}).to_string());
    }
}
