//! The growing answers of a request, merged into one stream of what is new.

use futures::{Stream, StreamExt, stream};
use sglang_proto::messages::FinishReason;
use sglang_tokenizer_manager::state::{Counts, Logprobs, RequestHandle};

use super::choice::last_hidden_state;
use super::generate::Cursor;
use super::meta_info::cached_tokens_details;

/// What is new in one choice.
#[derive(Clone, Debug)]
pub struct Update {
    /// Which choice.
    pub index: usize,
    /// Whether it is the choice's first.
    pub first: bool,
    /// New text.
    pub text: String,
    /// New ids.
    pub output_ids: Vec<u32>,
    /// Counts so far.
    pub counts: Counts,
    /// New log-probabilities of the output; those of the prompt with the first update.
    pub logprobs: Logprobs,
    /// Where cached tokens came from.
    pub cached_tokens_details: Option<serde_json::Value>,
    /// With its end, the hidden state behind the last token, where it is wanted.
    pub hidden_states: Option<Vec<f32>>,
    /// How the choice ended.
    pub finish: Option<FinishReason>,
}

struct Reader {
    index: usize,
    handle: RequestHandle,
    from: Cursor,
    first: bool,
}

fn tail<T: Clone>(list: &[T], from: usize) -> Vec<T> {
    list.get(from..).unwrap_or_default().to_vec()
}

impl Reader {
    async fn next(mut self) -> (Update, Option<Self>) {
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
        let update = Update {
            index: self.index,
            first: self.first,
            text: output.text.get(self.from.text..).unwrap_or_default().to_owned(),
            output_ids: tail(&output.output_ids, self.from.ids),
            counts: output.counts,
            logprobs,
            cached_tokens_details: cached_tokens_details(&output),
            hidden_states: last_hidden_state(self.handle.state(), &output),
            finish: output.finish.as_ref().map(|f| f.reason.clone()),
        };
        self.from = Cursor { text: output.text.len(), ids: output.output_ids.len() };
        drop(output);
        self.first = false;
        let rest = update.finish.is_none().then_some(self);
        (update, rest)
    }
}

/// Updates of all choices, in the order in which they come.
pub fn updates(handles: Vec<RequestHandle>) -> impl Stream<Item = Update> + Unpin {
    stream::select_all(handles.into_iter().enumerate().map(|(index, handle)| {
        let reader = Reader { index, handle, from: Cursor::default(), first: true };
        stream::unfold(Some(reader), |reader| async move { Some(reader?.next().await) }).boxed_local()
    }))
}
