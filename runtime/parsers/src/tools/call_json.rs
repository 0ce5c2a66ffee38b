//! Reads a call that is written as a JSON object with a name and arguments.

use super::sink::Sink;
use crate::json::{JsonStatus, JsonStream, JsonStyle, is_json_space};

/// Arguments before the name are kept up to this many bytes; beyond that the call is dropped.
const MAX_PENDING: usize = 1 << 20;
/// Longer names and keys cannot belong to a call.
const MAX_NAME: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallStatus {
    More,
    Done,
    Malformed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Key,
    Name,
    Arguments,
    /// As `Arguments`, but an empty value is ignored.
    Parameters,
    Other,
}

#[derive(Debug)]
enum State {
    Start,
    KeyOrEnd,
    KeyNext,
    Colon,
    Value(Field, JsonStream, String),
    CommaOrEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Called {
    /// No name yet.
    Unknown,
    Accepted,
    Refused,
}

/// Reads `{"name": …, "arguments": …}` (or `parameters`), with the keys in any order, and passes the call on as soon as
/// its name is known. A call with an unknown name leaves no trace.
#[derive(Debug)]
pub(crate) struct CallReader {
    style: JsonStyle,
    /// A second key that gives the name, beside `name`.
    name_key: &'static str,
    state: State,
    key: String,
    called: Called,
    /// Some text of the arguments has been read.
    arguments_seen: bool,
    /// A key for arguments has been read.
    argument_key: bool,
    /// Number of complete keys.
    keys: usize,
    /// Arguments that arrived before the name.
    pending: String,
    first_key: Option<String>,
}

impl CallReader {
    pub(crate) fn new(style: JsonStyle) -> Self {
        Self {
            style,
            name_key: "name",
            state: State::Start,
            key: String::new(),
            called: Called::Unknown,
            arguments_seen: false,
            argument_key: false,
            keys: 0,
            pending: String::new(),
            first_key: None,
        }
    }

    /// The call has been passed on.
    pub(crate) fn accepted(&self) -> bool {
        self.called == Called::Accepted
    }

    /// A name was read that is not one of the request's tools.
    pub(crate) fn refused(&self) -> bool {
        self.called == Called::Refused
    }

    /// A key for arguments was read.
    pub(crate) fn has_argument_key(&self) -> bool {
        self.argument_key
    }

    /// Number of complete keys.
    pub(crate) fn keys(&self) -> usize {
        self.keys
    }

    /// The first key of the object, if complete.
    pub(crate) fn first_key(&self) -> Option<&str> {
        self.first_key.as_deref()
    }

    pub(crate) fn feed(&mut self, c: char, sink: &mut Sink) -> CallStatus {
        let status = self.step(c, sink);
        if status == CallStatus::Malformed {
            sink.call_broken();
        }
        status
    }

    fn step(&mut self, c: char, sink: &mut Sink) -> CallStatus {
        match std::mem::replace(&mut self.state, State::CommaOrEnd) {
            State::Value(field, stream, text) => self.value(field, stream, text, c, sink),
            state if is_json_space(c) => {
                self.state = state;
                CallStatus::More
            }
            State::Start if c == '{' => self.go(State::KeyOrEnd),
            State::KeyOrEnd | State::CommaOrEnd if c == '}' => self.end(sink),
            State::KeyOrEnd | State::KeyNext => {
                let stream = JsonStream::new(self.style);
                if c == '"' || (c == '\'' && self.style == JsonStyle::Python) {
                    self.value(Field::Key, stream, String::new(), c, sink)
                } else {
                    CallStatus::Malformed
                }
            }
            State::CommaOrEnd if c == ',' => self.go(State::KeyNext),
            State::Colon if c == ':' => {
                let field = match self.key.as_str() {
                    key if (key == "name" || key == self.name_key) && self.called == Called::Unknown => {
                        Field::Name
                    }
                    "arguments" if !self.arguments_seen => Field::Arguments,
                    "parameters" if !self.arguments_seen => Field::Parameters,
                    _ => Field::Other,
                };
                self.go(State::Value(field, JsonStream::new(self.style), String::new()))
            }
            _ => CallStatus::Malformed,
        }
    }

    fn go(&mut self, state: State) -> CallStatus {
        self.state = state;
        CallStatus::More
    }

    fn value(
        &mut self,
        field: Field,
        mut stream: JsonStream,
        mut text: String,
        c: char,
        sink: &mut Sink,
    ) -> CallStatus {
        let status = stream.feed(c, &mut text);
        match field {
            Field::Other => text.clear(),
            Field::Key | Field::Name if text.len() > MAX_NAME => return CallStatus::Malformed,
            Field::Arguments => {
                self.arguments_seen = true;
                if !self.arguments(&mut text, sink) {
                    return CallStatus::Malformed;
                }
            }
            // An empty `parameters` gives way to `arguments`, so it is held until it turns out not to be empty.
            Field::Parameters if !may_be_empty(&text, status) => {
                self.arguments_seen = true;
                if !self.arguments(&mut text, sink) {
                    return CallStatus::Malformed;
                }
            }
            _ => {}
        }
        match status {
            JsonStatus::More => self.go(State::Value(field, stream, text)),
            JsonStatus::Malformed => CallStatus::Malformed,
            JsonStatus::Done | JsonStatus::DoneBefore => {
                self.value_done(field, &text, sink);
                if status == JsonStatus::DoneBefore { self.step(c, sink) } else { CallStatus::More }
            }
        }
    }

    fn value_done(&mut self, field: Field, text: &str, sink: &mut Sink) {
        self.state = State::CommaOrEnd;
        match field {
            Field::Key => {
                self.key = serde_json::from_str(text).unwrap_or_default();
                self.first_key.get_or_insert_with(|| self.key.clone());
                self.argument_key |= matches!(self.key.as_str(), "arguments" | "parameters");
                self.keys += 1;
                self.state = State::Colon;
            }
            Field::Name => {
                let name: String = serde_json::from_str(text).unwrap_or_default();
                if sink.call_start(&name) {
                    self.called = Called::Accepted;
                    sink.args(&std::mem::take(&mut self.pending));
                } else {
                    self.called = Called::Refused;
                    self.pending.clear();
                }
            }
            Field::Arguments | Field::Parameters | Field::Other => {}
        }
    }

    /// Passes the text of arguments on, or keeps it until the name is known; `false` if too much is waiting.
    fn arguments(&mut self, text: &mut String, sink: &mut Sink) -> bool {
        match self.called {
            Called::Accepted => sink.args(text),
            Called::Unknown => self.pending.push_str(text),
            Called::Refused => {}
        }
        text.clear();
        self.pending.len() <= MAX_PENDING
    }

    fn end(&mut self, sink: &mut Sink) -> CallStatus {
        if self.accepted() {
            if !self.arguments_seen {
                sink.args("{}");
            }
            sink.call_end();
        }
        CallStatus::Done
    }
}

/// Whether the value written so far may be one that is false in Python.
fn may_be_empty(text: &str, status: JsonStatus) -> bool {
    const EMPTY: [&str; 9] = ["{}", "[]", "\"\"", "0", "0.0", "-0.0", "null", "false", ""];
    if status == JsonStatus::More { matches!(text, "" | "{" | "[" | "\"") } else { EMPTY.contains(&text) }
}

/// Reads one call object or a list of them.
#[derive(Debug)]
pub(crate) struct CallListReader {
    style: JsonStyle,
    list: Option<ListState>,
    call: CallReader,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListState {
    /// After `[`.
    First,
    Next,
    Inside,
    CommaOrEnd,
}

impl CallListReader {
    pub(crate) fn new(style: JsonStyle) -> Self {
        Self { style, list: None, call: CallReader::new(style) }
    }

    /// Reads the call's name from the value of `key`, too.
    pub(crate) fn with_name_key(mut self, key: &'static str) -> Self {
        self.call.name_key = key;
        self
    }

    /// As [`new`](Self::new), after an opening bracket that has already been read.
    pub(crate) fn inside_list(style: JsonStyle) -> Self {
        Self { list: Some(ListState::First), ..Self::new(style) }
    }

    pub(crate) fn feed(&mut self, c: char, sink: &mut Sink) -> CallStatus {
        match self.list {
            None if c == '[' && matches!(self.call.state, State::Start) => {
                self.list = Some(ListState::First);
                CallStatus::More
            }
            None => self.call.feed(c, sink),
            Some(ListState::Inside) => match self.call.feed(c, sink) {
                CallStatus::Done => {
                    self.list = Some(ListState::CommaOrEnd);
                    let name_key = self.call.name_key;
                    self.call = CallReader { name_key, ..CallReader::new(self.style) };
                    CallStatus::More
                }
                status => status,
            },
            Some(_) if is_json_space(c) => CallStatus::More,
            Some(ListState::First | ListState::CommaOrEnd) if c == ']' => CallStatus::Done,
            Some(ListState::CommaOrEnd) if c == ',' => {
                self.list = Some(ListState::Next);
                CallStatus::More
            }
            Some(ListState::First | ListState::Next) if c == '{' => {
                self.list = Some(ListState::Inside);
                self.call.feed(c, sink)
            }
            Some(_) => CallStatus::Malformed,
        }
    }
}

/// Reads only the arguments, for formats that write the name elsewhere. As in the reference, a value that is false in
/// Python is passed on as `{}`.
#[derive(Debug)]
pub(crate) struct ArgumentsReader {
    stream: JsonStream,
    text: String,
    flowing: bool,
}

impl ArgumentsReader {
    pub(crate) fn new(style: JsonStyle) -> Self {
        Self { stream: JsonStream::new(style), text: String::new(), flowing: false }
    }

    /// Takes one character; completes or breaks the open call when the value ends.
    pub(crate) fn feed(&mut self, c: char, sink: &mut Sink) -> JsonStatus {
        let status = self.stream.feed(c, &mut self.text);
        self.flowing |= !may_be_empty(&self.text, status);
        match status {
            JsonStatus::More if self.flowing => sink.args(&std::mem::take(&mut self.text)),
            JsonStatus::More => {}
            JsonStatus::Done | JsonStatus::DoneBefore => {
                let text = std::mem::take(&mut self.text);
                sink.args(if self.flowing { &text } else { "{}" });
                sink.call_end();
            }
            JsonStatus::Malformed => sink.call_broken(),
        }
        status
    }
}
