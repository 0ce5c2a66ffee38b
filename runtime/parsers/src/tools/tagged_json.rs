//! Qwen 2.5/3 and Hermes: `<tool_call>{"name": …, "arguments": …}</tool_call>`, repeated.

use super::call_json::{CallListReader, CallStatus};
use super::sink::Sink;
use super::stream::Format;
use crate::json::JsonStyle;
use crate::scan::MarkerScan;

const CLOSE: &str = "</tool_call>";

#[derive(Debug)]
enum State {
    Text,
    Call(Box<CallListReader>),
    /// Behind the object, up to the closing tag, or to the next opening one where that is missing.
    Rest,
}

/// The two differ in the line break that belongs to Qwen's opening tag.
#[derive(Debug)]
pub(crate) struct TaggedJson {
    text: MarkerScan,
    rest: MarkerScan,
    state: State,
}

impl TaggedJson {
    pub(crate) const QWEN_OPEN: &str = "<tool_call>\n";
    pub(crate) const HERMES_OPEN: &str = "<tool_call>";

    pub(crate) fn qwen() -> Self {
        Self::new(&[Self::QWEN_OPEN], &[CLOSE, Self::QWEN_OPEN])
    }

    pub(crate) fn hermes() -> Self {
        Self::new(&[Self::HERMES_OPEN], &[CLOSE, Self::HERMES_OPEN])
    }

    fn new(text: &'static [&'static str], rest: &'static [&'static str]) -> Self {
        Self { text: MarkerScan::new(text), rest: MarkerScan::new(rest), state: State::Text }
    }

    fn open() -> State {
        State::Call(Box::new(CallListReader::new(JsonStyle::Normalised)))
    }

    fn skip(&mut self, c: char) {
        match self.rest.feed(c, &mut String::new()) {
            Some(0) => self.state = State::Text,
            Some(_) => self.state = Self::open(),
            None => {}
        }
    }
}

impl Format for TaggedJson {
    fn feed(&mut self, c: char, sink: &mut Sink) {
        match &mut self.state {
            State::Text => {
                let mut text = String::new();
                let opened = self.text.feed(c, &mut text).is_some();
                sink.text(&text);
                if opened {
                    sink.boundary();
                    self.state = Self::open();
                }
            }
            State::Call(call) => match call.feed(c, sink) {
                CallStatus::More => {}
                CallStatus::Done => self.state = State::Rest,
                CallStatus::Malformed => {
                    self.state = State::Rest;
                    self.skip(c);
                }
            },
            State::Rest => self.skip(c),
        }
    }

    fn finish(&mut self, sink: &mut Sink) {
        sink.text(&self.text.take_held());
    }
}
