//! Only `[{"name": …, "parameters": …}, …]`: the form that a grammar forces on models whose own format no grammar
//! describes.

use super::call_json::{CallListReader, CallStatus};
use super::sink::Sink;
use super::stream::Format;
use crate::json::JsonStyle;

#[derive(Debug)]
enum State {
    Start,
    Calls(Box<CallListReader>),
    Text,
    Done,
}

#[derive(Debug)]
pub(crate) struct JsonArray {
    state: State,
}

impl JsonArray {
    pub(crate) fn new() -> Self {
        Self { state: State::Start }
    }
}

impl Format for JsonArray {
    fn feed(&mut self, c: char, sink: &mut Sink) {
        match &mut self.state {
            State::Start if matches!(c, '[' | '{') => {
                sink.boundary();
                let mut calls = CallListReader::new(JsonStyle::Normalised);
                calls.feed(c, sink);
                self.state = State::Calls(Box::new(calls));
            }
            State::Start => {
                sink.text(c.encode_utf8(&mut [0; 4]));
                if !c.is_whitespace() {
                    self.state = State::Text;
                }
            }
            State::Calls(calls) => {
                if calls.feed(c, sink) != CallStatus::More {
                    self.state = State::Done;
                }
            }
            State::Text => sink.text(c.encode_utf8(&mut [0; 4])),
            State::Done => {}
        }
    }

    fn finish(&mut self, _: &mut Sink) {}
}
