//! An answer as lines of JSON: the new parts as they arrive, then the end.

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde::Serialize;
use serde_json::{Value, json};
use sglang_tokenizer_manager::manager::check_finish;
use sglang_tokenizer_manager::state::{Logprobs, ReqState, RequestHandle};
use sglang_tokenizer_manager::text::TextCodec;

use super::reply::{Parts, Reply};
use super::response::{Answer, End, Line, Route, Work, done_reason};
use crate::answer::format::AnswerFormat;
use crate::answer::logprobs::ChoiceLogprobs;
use crate::answer::steps::{Step, steps};
use crate::http::reply::to_json;

/// One line.
pub fn line(value: &impl Serialize) -> Bytes {
    let mut line = to_json(value);
    line.push('\n');
    line.into()
}

/// The properties of a request that decide how its answers look.
#[derive(Clone)]
pub struct Frame {
    /// The route that answers.
    pub route: Route,
    /// Name of the model.
    pub model: String,
    /// Whether to return the ids of prompt and output at the end.
    pub with_context: bool,
    /// The codec for log-probabilities, if they are requested.
    pub codec: Option<Arc<dyn TextCodec>>,
}

impl Frame {
    /// Log-probabilities in Ollama's form, which is the form of chat completions.
    pub fn logprobs(&self, lists: &Logprobs) -> Option<Value> {
        let codec = self.codec.as_deref().filter(|_| !lists.output_token.is_empty())?;
        let lists = ChoiceLogprobs::new(codec, &lists.output_token, &lists.output_top);
        serde_json::to_value(lists.content).ok()
    }

    /// The end of an answer. `output_ids` are all its ids, and `work` is its cost.
    pub fn end(&self, state: &ReqState, reason: &'static str, work: Work, output_ids: &[u32]) -> End {
        let prompt = || state.request.input_ids.as_ref().map(|ids| ids.0.as_slice()).unwrap_or_default();
        End {
            done_reason: reason,
            work: Some(work),
            context: self.with_context.then(|| [prompt(), output_ids].concat()),
        }
    }
}

/// The writer of one answer.
struct Writer {
    frame: Frame,
    reply: Reply,
    output_ids: Vec<u32>,
    /// The time of the first token, in seconds after the request.
    first: Option<f64>,
    /// Log-probabilities of tokens whose text has not arrived yet.
    pending: Logprobs,
}

impl Writer {
    /// The lines for a step.
    fn step(&mut self, state: &ReqState, step: Step) -> Bytes {
        let reason = step.end().map(|end| end.reason.clone());
        if let Some(Err(error)) = reason.as_ref().map(check_finish) {
            return line(&json!({"error": error.to_string()}));
        }
        let first = *self.first.get_or_insert_with(|| state.timing.elapsed());
        if self.frame.with_context {
            self.output_ids.extend(&step.output_ids);
        }
        self.pending.append(step.logprobs);
        let parts = self.reply.step(step.events, &step.cut_calls);
        let (route, model) = (self.frame.route, self.frame.model.as_str());
        let mut out = Vec::new();
        let has_logprobs = reason.is_some() && !self.pending.output_token.is_empty();
        if !parts.is_empty() || has_logprobs {
            let logprobs = self.frame.logprobs(&std::mem::take(&mut self.pending));
            if !parts.is_empty() || logprobs.is_some() {
                out.extend(line(&Line::piece(route, model, parts, logprobs)));
            }
        }
        if let Some(reason) = &reason {
            let work = Work::of(state, step.counts, Some(first));
            let end = self.frame.end(state, done_reason(reason), work, &self.output_ids);
            out.extend(line(&Answer::new(route, model, Parts::default(), None, end)));
        }
        out.into()
    }
}

/// The lines of the answer to a started request.
pub fn stream(
    frame: Frame,
    format: &AnswerFormat,
    handles: Vec<RequestHandle>,
) -> impl Stream<Item = Bytes> + use<> {
    let state = handles.first().map(RequestHandle::shared_state);
    let reply = Reply::default();
    let mut writer =
        Writer { frame, reply, output_ids: Vec::new(), first: None, pending: Logprobs::default() };
    steps(handles, format)
        .map(move |step| match &state {
            Some(state) => writer.step(state, step),
            None => Bytes::new(),
        })
        // A step has no lines if its tokens have no text yet.
        .filter(|lines| futures::future::ready(!lines.is_empty()))
}
