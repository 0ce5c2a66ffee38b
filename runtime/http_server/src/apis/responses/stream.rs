//! An answer as a response, whole or as events.

use std::sync::Arc;

use actix_web::web;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde_json::{Map, Value, json};
use sglang_proto::messages::FinishReason;
use sglang_tokenizer_manager::manager::check_finish;
use sglang_tokenizer_manager::state::{Counts, RequestHandle};

use super::items::{ItemOptions, Items};
use super::request::ResponsesRequest;
use super::response::{ResponseFrame, error_of, status_of};
use crate::answer::choice::created;
use crate::answer::format::{AnswerFormat, AnswerStream};
use crate::answer::logprobs::ChoiceLogprobs;
use crate::answer::updates::{Update, updates};
use crate::app::App;
use crate::http::sse::push_named_event;

/// Where a response is kept, and the conversation that led to it.
#[derive(Clone, Debug)]
pub struct Keep {
    /// The response's id.
    pub id: String,
    /// The items up to the answer.
    pub history: Arc<Vec<Value>>,
}

/// A response that is being written.
pub struct Draft {
    frame: ResponseFrame,
    items: Items,
    answer: AnswerStream,
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
    /// A response without output so far. It is kept in the end if `keep` says where.
    pub fn new(app: &App, request: &ResponsesRequest, format: &AnswerFormat, keep: Option<Keep>) -> Self {
        Self {
            frame: ResponseFrame::new(request, &app.served_model_name(), created()),
            items: Items::new(ItemOptions::new(request)),
            answer: format.stream(),
            keep,
        }
    }

    /// The response as it is before its output.
    pub fn open(&self, status: &str) -> Value {
        self.frame.response(status, Vec::new(), None)
    }

    fn push(&mut self, text: &str, last: bool) {
        let mut pieces = self.answer.push(text);
        if last {
            pieces.append(&mut self.answer.finish());
        }
        let answer = &self.answer;
        for piece in pieces {
            self.items.push(piece, &|index| answer.is_cut(index));
        }
    }

    /// Ends the response.
    fn end(&mut self, app: &App, reason: &FinishReason, counts: Counts, logprobs: Option<&Value>) -> Value {
        let answer = &self.answer;
        let output = self.items.finish(&|index| answer.is_cut(index), logprobs);
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

    /// The response to a request that failed.
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
            serde_json::to_value(lists).ok()?.get_mut("content").map(Value::take)
        });
        let reason = output.finish.as_ref().map(|f| f.reason.clone());
        let reason = reason.unwrap_or_else(|| FinishReason::aborted("Generation aborted"));
        self.push(&output.text, true);
        self.end(app, &reason, output.counts, logprobs.as_ref())
    }
}

struct ResponseStream<S> {
    app: web::Data<App>,
    draft: Draft,
    updates: Option<S>,
    started: bool,
    number: u64,
}

impl<S: Stream<Item = Update> + Unpin> ResponseStream<S> {
    fn event(&mut self, out: &mut String, mut event: Value) {
        let Some(name) = event["type"].as_str().map(str::to_owned) else { return };
        if let Value::Object(map) = &mut event {
            map.insert("sequence_number".into(), self.number.into());
            // The reference's order.
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
            self.event(out, event);
        }
    }

    /// Writes what an update brings; false when the stream ends with it.
    fn update(&mut self, out: &mut String, update: Update) -> bool {
        if let Some(Err(error)) = update.finish.as_ref().map(check_finish) {
            let response = self.draft.fail(&self.app, &error.to_string());
            self.lifecycle(out, "failed", &response);
            return false;
        }
        self.draft.push(&update.text, update.finish.is_some());
        self.items(out);
        let Some(reason) = update.finish else { return true };
        let response = self.draft.end(&self.app, &reason, update.counts, None);
        self.items(out);
        self.lifecycle(out, status_of(&reason), &response);
        false
    }

    async fn next(mut self) -> Option<(Bytes, Self)> {
        let mut updates = self.updates.take()?;
        let mut out = String::new();
        if !std::mem::replace(&mut self.started, true) {
            let response = self.draft.open("in_progress");
            self.lifecycle(&mut out, "created", &response);
            self.lifecycle(&mut out, "in_progress", &response);
            self.updates = Some(updates);
            return Some((out.into(), self));
        }
        while let Some(update) = updates.next().await {
            if !self.update(&mut out, update) {
                return Some((out.into(), self));
            }
            if !out.is_empty() {
                self.updates = Some(updates);
                return Some((out.into(), self));
            }
        }
        // The request vanished without a word.
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
    let state = ResponseStream { app, draft, updates: Some(updates(handles)), started: false, number: 0 };
    stream::unfold(state, ResponseStream::next)
}
