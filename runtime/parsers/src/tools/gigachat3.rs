//! GigaChat 3: text, `<|message_sep|>`, then either `function call<|role_sep|>` with a line break or
//! `<|function_call|>`, followed by one `{"name": …, "arguments": …}`.

use super::call_json::{CallReader, CallStatus};
use super::sink::Sink;
use super::stream::Format;
use crate::json::JsonStyle;
use crate::scan::MarkerScan;

pub(crate) const OPENINGS: [&str; 2] = ["<|function_call|>", "function call<|role_sep|>\n"];
/// Index of the marker that ends the text; only a call may follow it.
const SEPARATOR: usize = 2;
const END: usize = 3;

#[derive(Debug)]
enum State {
    Text,
    /// After the text, before a call.
    Between,
    Call(Box<CallReader>),
    Done,
}

#[derive(Debug)]
pub(crate) struct GigaChat3 {
    scan: MarkerScan,
    state: State,
}

impl GigaChat3 {
    pub(crate) fn new() -> Self {
        let scan =
            MarkerScan::new(&["<|function_call|>", "function call<|role_sep|>\n", "<|message_sep|>", "</s>"]);
        Self { scan, state: State::Text }
    }

    fn marker(&mut self, marker: usize, sink: &mut Sink) {
        match marker {
            SEPARATOR => self.state = State::Between,
            END => self.state = State::Done,
            _ => {
                sink.boundary();
                self.state = State::Call(Box::new(CallReader::new(JsonStyle::Normalised)));
            }
        }
    }
}

impl Format for GigaChat3 {
    fn feed(&mut self, c: char, sink: &mut Sink) {
        match &mut self.state {
            State::Text | State::Between => {
                let mut text = String::new();
                let found = self.scan.feed(c, &mut text);
                if matches!(self.state, State::Text) {
                    sink.text(&text);
                }
                if let Some(marker) = found {
                    self.marker(marker, sink);
                }
            }
            State::Call(call) => {
                if call.feed(c, sink) != CallStatus::More {
                    self.state = State::Done;
                }
            }
            State::Done => {}
        }
    }

    fn finish(&mut self, sink: &mut Sink) {
        if matches!(self.state, State::Text) {
            sink.text(&self.scan.take_held());
        }
    }
}
