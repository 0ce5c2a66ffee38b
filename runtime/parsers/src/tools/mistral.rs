//! Mistral: `[TOOL_CALLS] [{"name": …, "arguments": …}, …]`, or repeated `[TOOL_CALLS]NAME[ARGS]{…}`, in which either
//! `]` may be missing.

use super::call_json::{CallListReader, CallStatus};
use super::sink::Sink;
use super::stream::Format;
use crate::json::{JsonStatus, JsonStream, JsonStyle};
use crate::scan::MarkerScan;

pub(crate) const MARKER: &str = "[TOOL_CALLS";
const MAX_NAME: usize = 1024;

#[derive(Debug)]
enum State {
    Text(MarkerScan),
    /// After the marker; `true` once its bracket or any other character was seen.
    Marked(bool),
    List(CallListReader),
    Name(MarkerScan, String),
    /// After `[ARGS`.
    ArgumentsMarked(String, bool),
    Arguments(JsonStream),
    /// Not a call: everything up to the next marker is dropped.
    Garbage(MarkerScan),
}

#[derive(Debug)]
pub(crate) struct Mistral {
    state: State,
}

impl Mistral {
    pub(crate) fn new() -> Self {
        Self { state: Self::text() }
    }

    fn text() -> State {
        State::Text(MarkerScan::new(&[MARKER]))
    }

    fn garbage(&mut self, c: char, sink: &mut Sink) {
        self.state = State::Garbage(MarkerScan::new(&[MARKER]));
        self.feed(c, sink);
    }

    /// Reads `c` again in a new state.
    fn again(&mut self, state: State, c: char, sink: &mut Sink) {
        self.state = state;
        self.feed(c, sink);
    }

    fn arguments(&mut self, c: char, sink: &mut Sink) {
        let State::Arguments(stream) = &mut self.state else { return };
        let mut json = String::new();
        let status = stream.feed(c, &mut json);
        sink.args(&json);
        match status {
            JsonStatus::More => {}
            JsonStatus::Done | JsonStatus::DoneBefore => {
                sink.call_end();
                self.state = Self::text();
            }
            JsonStatus::Malformed => {
                sink.call_broken();
                self.garbage(c, sink);
            }
        }
    }
}

impl Format for Mistral {
    fn feed(&mut self, c: char, sink: &mut Sink) {
        match &mut self.state {
            State::Text(scan) => {
                let mut text = String::new();
                let opened = scan.feed(c, &mut text).is_some();
                sink.text(&text);
                if opened {
                    sink.boundary();
                    self.state = State::Marked(false);
                }
            }
            State::Marked(seen) => match c {
                ']' if !*seen => *seen = true,
                c if c.is_whitespace() => *seen = true,
                '[' => self.state = State::List(CallListReader::inside_list(JsonStyle::Normalised)),
                c => self.again(State::Name(MarkerScan::new(&["[ARGS", MARKER]), String::new()), c, sink),
            },
            State::List(list) => match list.feed(c, sink) {
                CallStatus::More => {}
                CallStatus::Done => self.state = Self::text(),
                CallStatus::Malformed => self.garbage(c, sink),
            },
            State::Name(scan, name) => match scan.feed(c, name) {
                Some(0) => self.state = State::ArgumentsMarked(std::mem::take(name), false),
                Some(_) => self.state = State::Marked(false),
                None if name.len() > MAX_NAME => self.state = State::Garbage(MarkerScan::new(&[MARKER])),
                None => {}
            },
            State::ArgumentsMarked(name, seen) => match c {
                ']' if !*seen => *seen = true,
                c if c.is_whitespace() => *seen = true,
                '{' | '[' => {
                    // Some models put an id between name and arguments.
                    let name = name.split("[CALL_ID]").next().unwrap_or_default().trim();
                    sink.call_start(name);
                    self.again(State::Arguments(JsonStream::new(JsonStyle::Normalised)), c, sink);
                }
                c => self.garbage(c, sink),
            },
            State::Arguments(_) => self.arguments(c, sink),
            State::Garbage(scan) => {
                if scan.feed(c, &mut String::new()).is_some() {
                    self.state = State::Marked(false);
                }
            }
        }
    }

    fn finish(&mut self, sink: &mut Sink) {
        if let State::Text(scan) = &mut self.state {
            sink.text(&scan.take_held());
        }
    }
}
