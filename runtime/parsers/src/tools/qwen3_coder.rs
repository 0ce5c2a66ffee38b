//! Qwen3-Coder: `<tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></tool_call>`.
//!
//! Values are bare text whose type comes from the tool's schema, so an argument is passed on only when it is complete.
//! As in the reference, the name is not checked against the request's tools.

use super::argument_reader::{Arguments, Reading};
use super::sink::Sink;
use super::stream::Format;
use super::value_reader::ValueTags;
use super::values::qwen3_coder_value;
use crate::scan::MarkerScan;
use crate::schema::Parameters;

pub(crate) const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";
const FUNCTION_END: &str = "</function>";
const PARAMETER: &str = "<parameter=";
const MAX_NAME: usize = 1024;
const TAGS: ValueTags = ValueTags {
    close: "</parameter>",
    key: (PARAMETER, ">"),
    open: None,
    call: ("<function=", FUNCTION_END),
    region: Some((OPEN, CLOSE)),
    after_call: &[CLOSE, "<function=", OPEN],
    may_be_open: true,
    cdata: false,
};

#[derive(Debug)]
enum State {
    Text(MarkerScan),
    /// Inside `<tool_call>`, outside a function.
    Block(MarkerScan),
    FunctionName(String),
    /// Inside a function, outside a parameter.
    Function(MarkerScan),
    Key(String),
    /// A value whose end is not yet known.
    Reading(Box<Reading>),
    /// A value that ends at the first closing tag.
    Value(MarkerScan, String, String),
}

#[derive(Debug)]
pub(crate) struct Qwen3Coder {
    state: State,
    arguments: Arguments,
}

impl Qwen3Coder {
    pub(crate) fn new() -> Self {
        Self { state: Self::text(), arguments: Arguments::default() }
    }

    fn text() -> State {
        State::Text(MarkerScan::new(&[OPEN]))
    }

    fn block() -> State {
        State::Block(MarkerScan::new(&["<function=", CLOSE]))
    }

    fn inside() -> State {
        State::Function(MarkerScan::new(&[PARAMETER, FUNCTION_END, CLOSE]))
    }

    fn value(&mut self, key: String) -> State {
        match self.arguments.read(key, TAGS) {
            Ok(reading) => State::Reading(reading),
            Err(key) => {
                let scan = MarkerScan::new(&["</parameter>", PARAMETER, FUNCTION_END, CLOSE]);
                State::Value(scan, key, String::new())
            }
        }
    }

    fn read(&mut self, c: char, sink: &mut Sink) {
        let State::Reading(reading) = &mut self.state else { return };
        let Some(read) = reading.feed(c, &self.arguments) else { return };
        self.argument(&read.key, read.value(), sink);
        self.state = Self::inside();
        read.rest().chars().for_each(|c| self.feed(c, sink));
    }

    fn argument(&mut self, key: &str, raw: &str, sink: &mut Sink) {
        let raw = raw.strip_prefix('\n').unwrap_or(raw);
        let raw = raw.strip_suffix('\n').unwrap_or(raw);
        let value = qwen3_coder_value(raw, self.arguments.parameters.get(key).as_deref());
        self.arguments.write(key, &value, sink);
    }
}

impl Format for Qwen3Coder {
    fn feed(&mut self, c: char, sink: &mut Sink) {
        match &mut self.state {
            State::Text(scan) => {
                let mut text = String::new();
                let opened = scan.feed(c, &mut text).is_some();
                sink.text(&text);
                if opened {
                    sink.boundary();
                    self.state = Self::block();
                }
            }
            State::Block(scan) => match scan.feed(c, &mut String::new()) {
                Some(0) => self.state = State::FunctionName(String::new()),
                Some(_) => self.state = Self::text(),
                None => {}
            },
            State::FunctionName(name) => {
                if c == '>' {
                    let name = std::mem::take(name);
                    self.arguments.begin(Parameters::or_bare(sink.tools.parameters(&name)));
                    sink.call_start_unchecked(&name);
                    self.state = Self::inside();
                } else if name.len() > MAX_NAME {
                    self.state = Self::block();
                } else {
                    name.push(c);
                }
            }
            State::Function(scan) => match scan.feed(c, &mut String::new()) {
                Some(0) => self.state = State::Key(String::new()),
                Some(1) => {
                    self.arguments.end(sink);
                    self.state = Self::block();
                }
                Some(_) => {
                    self.arguments.end(sink);
                    self.state = Self::text();
                }
                None => {}
            },
            State::Key(key) => {
                if c == '>' {
                    let key = std::mem::take(key);
                    self.state = self.value(key);
                } else if key.len() > MAX_NAME {
                    self.state = Self::inside();
                } else {
                    key.push(c);
                }
            }
            State::Reading(..) => self.read(c, sink),
            State::Value(scan, key, value) => {
                let Some(end) = scan.feed(c, value) else { return };
                let (key, value) = (std::mem::take(key), std::mem::take(value));
                self.argument(&key, &value, sink);
                self.state = match end {
                    0 => Self::inside(),
                    1 => State::Key(String::new()),
                    2 => {
                        self.arguments.end(sink);
                        Self::block()
                    }
                    _ => {
                        self.arguments.end(sink);
                        Self::text()
                    }
                };
            }
        }
    }

    fn finish(&mut self, sink: &mut Sink) {
        if let State::Reading(reading) = &mut self.state
            && let Some((key, raw)) = self.arguments.reread(reading)
        {
            self.state = self.value(key);
            raw.chars().for_each(|c| self.feed(c, sink));
        }
        if let State::Text(scan) = &mut self.state {
            sink.text(&scan.take_held());
        }
    }
}
