//! An answer as lines of JSON: what is new as it comes, then the end.

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

/// How the answers to a request look.
#[derive(Clone)]
pub struct Frame {
    /// Who answers.
    pub route: Route,
    /// Name of the model.
    pub model: String,
    /// Give the ids of prompt and output at the end.
    pub with_context: bool,
    /// For log-probabilities, where they are wanted.
    pub codec: Option<Arc<dyn TextCodec>>,
}

impl Frame {
    /// Log-probabilities as Ollama gives them, which is how chat completions do.
    pub fn logprobs(&self, lists: &Logprobs) -> Option<Value> {
        let codec = self.codec.as_deref().filter(|_| !lists.output_token.is_empty())?;
        let lists = ChoiceLogprobs::new(codec, &lists.output_token, &lists.output_top);
        serde_json::to_value(lists.content).ok()
    }

    /// The end of an answer: `output_ids` are all of them, and `work` is what it took.
    pub fn end(&self, state: &ReqState, reason: &'static str, work: Work, output_ids: &[u32]) -> End {
        let prompt = || state.request.input_ids.as_ref().map(|ids| ids.0.as_slice()).unwrap_or_default();
        End {
            done_reason: reason,
            work: Some(work),
            context: self.with_context.then(|| [prompt(), output_ids].concat()),
        }
    }
}

/// An answer that is being written.
struct Writer {
    frame: Frame,
    reply: Reply,
    output_ids: Vec<u32>,
    /// When the first token came, in seconds after the request.
    first: Option<f64>,
    /// Log-probabilities of tokens whose text has not come yet.
    pending: Logprobs,
}

impl Writer {
    /// The lines that a step brings.
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

/// The lines of a started request's answer.
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
        // A token may have no text yet.
        .filter(|lines| futures::future::ready(!lines.is_empty()))
}
