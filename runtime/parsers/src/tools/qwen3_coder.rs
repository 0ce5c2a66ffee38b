//! Qwen3-Coder: `<tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></tool_call>`.
//!
//! Values are bare text whose type comes from the tool's schema, so an argument is passed on when it is complete. As
//! in the reference, the name is not checked against the request's tools.

use super::sink::Sink;
use super::stream::Format;
use super::values::{qwen3_coder_properties, qwen3_coder_value};
use crate::json::quote;
use crate::scan::MarkerScan;

pub(crate) const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";
const FUNCTION_END: &str = "</function>";
const PARAMETER: &str = "<parameter=";
const MAX_NAME: usize = 1024;

#[derive(Debug)]
enum State {
    Text(MarkerScan),
    /// Inside `<tool_call>`, outside a function.
    Block(MarkerScan),
    FunctionName(String),
    /// Inside a function, outside a parameter.
    Function(MarkerScan),
    Key(String),
    Value(MarkerScan, String, String),
}

#[derive(Debug)]
pub(crate) struct Qwen3Coder {
    state: State,
    function: String,
    arguments: usize,
}

impl Qwen3Coder {
    pub(crate) fn new() -> Self {
        Self { state: Self::text(), function: String::new(), arguments: 0 }
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

    fn argument(&mut self, key: &str, raw: &str, sink: &mut Sink) {
        let raw = raw.strip_prefix('\n').unwrap_or(raw);
        let raw = raw.strip_suffix('\n').unwrap_or(raw);
        let properties = qwen3_coder_properties(sink.tools.parameters(&self.function));
        let value = qwen3_coder_value(raw, properties.get(key));
        let opening = if self.arguments == 0 { "{" } else { ", " };
        self.arguments += 1;
        sink.args(&format!("{opening}{}: {value}", quote(key)));
    }

    fn end_function(&mut self, sink: &mut Sink) {
        sink.args(if self.arguments == 0 { "{}" } else { "}" });
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
                    self.function = std::mem::take(name);
                    self.arguments = 0;
                    sink.call_start_unchecked(&self.function);
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
                    let scan = MarkerScan::new(&["</parameter>", PARAMETER, FUNCTION_END, CLOSE]);
                    self.state = State::Value(scan, std::mem::take(key), String::new());
                } else if key.len() > MAX_NAME {
                    self.state = Self::inside();
                } else {
                    key.push(c);
                }
            }
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
        if let State::Text(scan) = &mut self.state {
            sink.text(&scan.take_held());
        }
    }
}
