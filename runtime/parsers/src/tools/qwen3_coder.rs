//! Qwen3-Coder: `<tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></tool_call>`.
//!
//! Values are bare text whose type comes from the tool's schema, so an argument is passed on only when it is complete.
//! As in the reference, the name is not checked against the request's tools.

use std::collections::HashSet;

use super::sink::Sink;
use super::stream::Format;
use super::value_reader::{Around, Reads, ValueReader, ValueTags};
use super::values::qwen3_coder_value;
use crate::json::quote;
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
    Reading(Box<ValueReader>, String),
    /// A value that ends at the first closing tag.
    Value(MarkerScan, String, String),
}

#[derive(Debug)]
pub(crate) struct Qwen3Coder {
    state: State,
    parameters: Parameters,
    given: HashSet<String>,
    /// The text has ended, so the first closing tag ends a value.
    plain: bool,
}

impl Qwen3Coder {
    pub(crate) fn new() -> Self {
        Self { state: Self::text(), parameters: Parameters::default(), given: HashSet::new(), plain: false }
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
        if self.plain {
            let scan = MarkerScan::new(&["</parameter>", PARAMETER, FUNCTION_END, CLOSE]);
            return State::Value(scan, key, String::new());
        }
        let reads = Reads::of(self.parameters.get(&key).as_deref());
        State::Reading(Box::new(ValueReader::new(TAGS, reads)), key)
    }

    fn read(&mut self, c: char, sink: &mut Sink) {
        let State::Reading(reader, key) = &mut self.state else { return };
        let around = Around { parameters: &self.parameters, given: &self.given, current: key };
        let Some(ended) = reader.feed(c, around) else { return };
        let (key, raw) = (std::mem::take(key), reader.take_raw());
        self.argument(&key, &raw[..ended.value], sink);
        self.state = Self::inside();
        raw[ended.rest..].chars().for_each(|c| self.feed(c, sink));
    }

    fn argument(&mut self, key: &str, raw: &str, sink: &mut Sink) {
        let raw = raw.strip_prefix('\n').unwrap_or(raw);
        let raw = raw.strip_suffix('\n').unwrap_or(raw);
        let value = qwen3_coder_value(raw, self.parameters.get(key).as_deref());
        let opening = if self.given.is_empty() { "{" } else { ", " };
        self.given.insert(key.to_owned());
        sink.args(&format!("{opening}{}: {value}", quote(key)));
    }

    fn end_function(&mut self, sink: &mut Sink) {
        sink.args(if self.given.is_empty() { "{}" } else { "}" });
        sink.call_end();
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
                    self.parameters = Parameters::or_bare(sink.tools.parameters(&name));
                    self.given.clear();
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
                    self.end_function(sink);
                    self.state = Self::block();
                }
                Some(_) => {
                    self.end_function(sink);
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
                        self.end_function(sink);
                        Self::block()
                    }
                    _ => {
                        self.end_function(sink);
                        Self::text()
                    }
                };
            }
        }
    }

    fn finish(&mut self, sink: &mut Sink) {
        if let State::Reading(reader, key) = &mut self.state
            && reader.holds_an_end()
        {
            let (key, raw) = (std::mem::take(key), reader.take_raw());
            self.plain = true;
            self.state = self.value(key);
            raw.chars().for_each(|c| self.feed(c, sink));
        }
        if let State::Text(scan) = &mut self.state {
            sink.text(&scan.take_held());
        }
    }
}
