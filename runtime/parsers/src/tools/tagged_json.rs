//! Qwen 2.5/3, Hermes, InternLM and Cohere: repeated calls as JSON between two tags, `<tool_call>{"name": …,
//! "arguments": …}</tool_call>`.

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
    /// After the object, up to the closing tag, or to the next opening tag if that is missing.
    Rest,
}

/// The families differ in their tags (Qwen's include a line break) and in the key of the name.
#[derive(Debug)]
pub(crate) struct TaggedJson {
    text: MarkerScan,
    rest: MarkerScan,
    state: State,
    name_key: &'static str,
}

impl TaggedJson {
    pub(crate) const QWEN_OPEN: &str = "<tool_call>\n";
    pub(crate) const HERMES_OPEN: &str = "<tool_call>";

    pub(crate) const INTERN_OPEN: &str = "<|action_start|> <|plugin|>";
    pub(crate) const COHERE_OPEN: &str = "<|START_ACTION|>";

    pub(crate) fn intern() -> Self {
        Self::new(&[Self::INTERN_OPEN], &["<|action_end|>", Self::INTERN_OPEN])
    }

    /// Lists of `{"tool_call_id": …, "tool_name": …, "parameters": …}`.
    pub(crate) fn cohere() -> Self {
        let tags = Self::new(&[Self::COHERE_OPEN], &["<|END_ACTION|>", Self::COHERE_OPEN]);
        Self { name_key: "tool_name", ..tags }
    }

    pub(crate) fn qwen() -> Self {
        Self::new(&[Self::QWEN_OPEN], &[CLOSE, Self::QWEN_OPEN])
    }

    pub(crate) fn hermes() -> Self {
        Self::new(&[Self::HERMES_OPEN], &[CLOSE, Self::HERMES_OPEN])
    }

    fn new(text: &'static [&'static str], rest: &'static [&'static str]) -> Self {
        Self {
            text: MarkerScan::new(text),
            rest: MarkerScan::new(rest),
            state: State::Text,
            name_key: "name",
        }
    }

    fn open(&self) -> State {
        State::Call(Box::new(CallListReader::new(JsonStyle::Normalised).with_name_key(self.name_key)))
    }

    fn skip(&mut self, c: char) {
        match self.rest.feed(c, &mut String::new()) {
            Some(0) => self.state = State::Text,
            Some(_) => self.state = self.open(),
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
                    self.state = self.open();
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
