//! An answer as a response, whole or as events.

use std::sync::Arc;

use actix_web::web;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde_json::{Map, Value, json};
use sglang_proto::messages::FinishReason;
use sglang_tokenizer_manager::manager::check_finish;
use sglang_tokenizer_manager::state::{Counts, RequestHandle};

use super::items::{ItemEvent, ItemOptions, Items};
use super::request::ResponsesRequest;
use super::response::{ResponseFrame, error_of, status_of};
use crate::answer::choice::created;
use crate::answer::event::Event;
use crate::answer::format::AnswerFormat;
use crate::answer::logprobs::ChoiceLogprobs;
use crate::answer::steps::{Step, steps};
use crate::app::App;
use crate::http::reply::to_json;
use crate::http::sse::push_named_event;

/// The place to store a response, and the conversation that led to it.
#[derive(Clone, Debug)]
pub struct Keep {
    /// The response's id.
    pub id: String,
    /// The items before the answer.
    pub history: Arc<Vec<Value>>,
}

/// A response that is being generated.
pub struct Draft {
    frame: ResponseFrame,
    items: Items,
    format: AnswerFormat,
    keep: Option<Keep>,
}

fn without_nulls(item: &Value) -> Value {
    match item {
        Value::Object(map) => map
            .iter()
            .filter(|(_, v)| !v.is_null())
            .map(|(k, v)| (k.clone(), without_nulls(v)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(list) => list.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

impl Draft {
    /// A response without output yet. When it ends it is stored, if `keep` is given.
    pub fn new(app: &App, request: &ResponsesRequest, format: &AnswerFormat, keep: Option<Keep>) -> Self {
        Self {
            frame: ResponseFrame::new(request, &app.served_model_name(), created()),
            items: Items::new(ItemOptions::new(request)),
            format: format.clone(),
            keep,
        }
    }

    /// The response before its output.
    pub fn open(&self, status: &str) -> Value {
        self.frame.response(status, Vec::new(), None)
    }

    fn push(&mut self, events: Vec<Event>, cut_calls: &[usize]) {
        for event in events {
            self.items.push(event, cut_calls);
        }
    }

    /// Ends the response.
    fn end(
        &mut self,
        app: &App,
        reason: &FinishReason,
        cut_calls: &[usize],
        counts: Counts,
        logprobs: Option<&Value>,
    ) -> Value {
        let output = self.items.finish(cut_calls, logprobs);
        let kept: Vec<Value> = output.iter().map(without_nulls).collect();
        let mut response = self.frame.response(status_of(reason), output, Some(counts));
        if let Some(error) = error_of(reason) {
            response["error"] = error;
        }
        self.keep(app, &response, kept);
        response
    }

    fn keep(&self, app: &App, response: &Value, output: Vec<Value>) {
        if let Some(keep) = &self.keep {
            let history = keep.history.iter().cloned().chain(output).collect();
            app.responses.put(&keep.id, response, history);
        }
    }

    /// The response to a failed request.
    pub fn fail(&self, app: &App, message: &str) -> Value {
        let response = self.frame.failed(message);
        self.keep(app, &response, Vec::new());
        response
    }

    /// The response to a finished request.
    pub fn whole(mut self, app: &App, handle: &RequestHandle, with_logprobs: bool) -> Value {
        let state = handle.state();
        let output = state.output();
        let lists = &output.logprobs;
        let codec = app.manager.limits.codec.as_deref().filter(|_| with_logprobs);
        let logprobs = codec.and_then(|codec| {
            let lists = ChoiceLogprobs::new(codec, &lists.output_token, &lists.output_top);
            serde_json::to_value(lists.content).ok()
        });
        let reason = output.finish.as_ref().map(|f| f.reason.clone());
        let reason = reason.unwrap_or_else(|| FinishReason::aborted("Generation aborted"));
        let (events, cut_calls) = self.format.events(&output.text);
        self.push(events, &cut_calls);
        self.end(app, &reason, &cut_calls, output.counts, logprobs.as_ref())
    }
}

struct ResponseStream<S> {
    app: web::Data<App>,
    draft: Draft,
    steps: Option<S>,
    started: bool,
    number: u64,
}

impl<S: Stream<Item = Step> + Unpin> ResponseStream<S> {
    fn event(&mut self, out: &mut String, mut event: Value) {
        let Some(name) = event["type"].as_str().map(str::to_owned) else { return };
        if let Value::Object(map) = &mut event {
            map.insert("sequence_number".into(), self.number.into());
            // The order of the keys is the reference's.
            if !map.contains_key("response") {
                map.shift_remove("type");
                map.insert("type".into(), name.as_str().into());
            }
        }
        self.number += 1;
        push_named_event(out, &name, &event.to_string());
    }

    fn lifecycle(&mut self, out: &mut String, status: &str, response: &Value) {
        self.event(out, json!({"type": format!("response.{status}"), "response": response}));
    }

    fn items(&mut self, out: &mut String) {
        for event in self.draft.items.take_events() {
            match event {
                ItemEvent::Other(event) => self.event(out, event),
                ItemEvent::Delta(mut delta) => {
                    delta.sequence_number = self.number;
                    self.number += 1;
                    push_named_event(out, delta.r#type, &to_json(&delta));
                }
            }
        }
    }

    /// Writes a step. Returns false if the stream ends with it.
    fn step(&mut self, out: &mut String, step: Step) -> bool {
        let reason = step.end().map(|end| end.reason.clone());
        if let Some(Err(error)) = reason.as_ref().map(check_finish) {
            let response = self.draft.fail(&self.app, &error.to_string());
            self.lifecycle(out, "failed", &response);
            return false;
        }
        self.draft.push(step.events, &step.cut_calls);
        self.items(out);
        let Some(reason) = reason else { return true };
        let response = self.draft.end(&self.app, &reason, &step.cut_calls, step.counts, None);
        self.items(out);
        self.lifecycle(out, status_of(&reason), &response);
        false
    }

    async fn next(mut self) -> Option<(Bytes, Self)> {
        let mut steps = self.steps.take()?;
        let mut out = String::new();
        if !std::mem::replace(&mut self.started, true) {
            let response = self.draft.open("in_progress");
            self.lifecycle(&mut out, "created", &response);
            self.lifecycle(&mut out, "in_progress", &response);
            self.steps = Some(steps);
            return Some((out.into(), self));
        }
        while let Some(step) = steps.next().await {
            if !self.step(&mut out, step) {
                return Some((out.into(), self));
            }
            if !out.is_empty() {
                self.steps = Some(steps);
                return Some((out.into(), self));
            }
        }
        // The steps ended without an end of the answer.
        let response = self.draft.fail(&self.app, "Generation aborted");
        self.lifecycle(&mut out, "failed", &response);
        Some((out.into(), self))
    }
}

/// The events of a response.
pub fn stream(
    app: web::Data<App>,
    draft: Draft,
    handles: Vec<RequestHandle>,
) -> impl Stream<Item = Bytes> + 'static {
    let steps = steps(handles, &draft.format);
    let state = ResponseStream { app, draft, steps: Some(steps), started: false, number: 0 };
    stream::unfold(state, ResponseStream::next)
}
