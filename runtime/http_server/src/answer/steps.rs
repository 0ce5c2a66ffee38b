//! Merges the growing outputs of a request's answers into one stream of steps, which every dialect converts to its own
//! form.

use futures::{Stream, StreamExt, stream};
use sglang_tokenizer_manager::state::{Counts, Logprobs, RequestHandle};

use super::choice::last_hidden_state;
use super::event::{End, Event};
use super::format::{AnswerFormat, AnswerStream};
use super::generate::Cursor;
use super::meta_info::cached_tokens_details;

/// What one message of the scheduler adds to one answer.
#[derive(Clone, Debug)]
pub struct Step {
    /// Index of the answer.
    pub index: usize,
    /// The new events, in order. Empty if the new tokens have no text yet.
    pub events: Vec<Event>,
    /// Indices of the calls that stay incomplete so far. For the last call this is known only when the answer has
    /// ended.
    pub cut_calls: Vec<usize>,
    /// The new token ids.
    pub output_ids: Vec<u32>,
    /// Counts so far.
    pub counts: Counts,
    /// The new log-probabilities of the output; the first step also has those of the prompt.
    pub logprobs: Logprobs,
    /// Where cached tokens came from.
    pub cached_tokens_details: Option<serde_json::Value>,
}

impl Step {
    /// Whether this is the answer's first step.
    pub fn is_first(&self) -> bool {
        matches!(self.events.first(), Some(Event::Started))
    }

    /// How the answer ended; only the last step has it.
    pub fn end(&self) -> Option<&End> {
        match self.events.last() {
            Some(Event::End(end)) => Some(end),
            _ => None,
        }
    }
}

struct Reader {
    index: usize,
    handle: RequestHandle,
    answer: AnswerStream,
    from: Cursor,
    first: bool,
}

fn tail<T: Clone>(list: &[T], from: usize) -> Vec<T> {
    list.get(from..).unwrap_or_default().to_vec()
}

impl Reader {
    async fn next(mut self) -> (Step, Option<Self>) {
        self.handle.next().await;
        let output = self.handle.state().output();
        let lists = &output.logprobs;
        let wants_logprobs = self.handle.state().request.return_logprob;
        let logprobs = if wants_logprobs {
            Logprobs {
                input_token: if self.first { lists.input_token.clone() } else { Vec::new() },
                input_top: if self.first { lists.input_top.clone() } else { Vec::new() },
                output_token: tail(&lists.output_token, self.from.ids),
                output_top: tail(&lists.output_top, self.from.ids),
                ..Default::default()
            }
        } else {
            Logprobs::default()
        };
        let mut events = Vec::new();
        if self.first {
            events.push(Event::Started);
        }
        events.append(&mut self.answer.push(output.text.get(self.from.text..).unwrap_or_default()));
        if let Some(finish) = &output.finish {
            events.append(&mut self.answer.finish());
            events.push(Event::End(End {
                finish_word: self.answer.finish_word(&finish.reason),
                hidden_states: last_hidden_state(self.handle.state(), &output),
                reason: finish.reason.clone(),
            }));
        }
        let step = Step {
            index: self.index,
            events,
            cut_calls: self.answer.cut_calls(),
            output_ids: tail(&output.output_ids, self.from.ids),
            counts: output.counts,
            logprobs,
            cached_tokens_details: cached_tokens_details(&output),
        };
        let is_over = output.finish.is_some();
        self.from = Cursor { text: output.text.len(), ids: output.output_ids.len() };
        drop(output);
        self.first = false;
        (step, (!is_over).then_some(self))
    }
}

/// The steps of all answers, in the order of their arrival, parsed by `format`.
pub fn steps(handles: Vec<RequestHandle>, format: &AnswerFormat) -> impl Stream<Item = Step> + Unpin + use<> {
    let readers = handles.into_iter().enumerate().map(|(index, handle)| {
        let answer = format.stream();
        let reader = Reader { index, handle, answer, from: Cursor::default(), first: true };
        stream::unfold(Some(reader), |reader| async move { Some(reader?.next().await) }).boxed_local()
    });
    stream::select_all(readers)
}
