//! Kimi K2: `<|tool_call_begin|>functions.NAME:IDX<|tool_call_argument_begin|>JSON<|tool_call_end|>` after
//! `<|tool_calls_section_begin|>`.
//!
//! The arguments are passed on as written. If a model leaves out the name and writes only a counter, the tool whose
//! parameters best fit the arguments is used. As in the reference, the name is not checked against the request's tools.

use std::collections::HashSet;

use serde_json::Value;

use super::sink::{Sink, ToolSet};
use super::stream::Format;
use crate::json::{JsonStatus, JsonStream, JsonStyle, is_json_space};
use crate::scan::MarkerScan;
use crate::schema::Parameters;

pub(crate) const SECTION_BEGIN: &str = "<|tool_calls_section_begin|>";
const MAX_ID: usize = 1024;

#[derive(Debug)]
enum State {
    Text(MarkerScan),
    Outside(MarkerScan),
    Id(MarkerScan, String),
    Arguments {
        /// `None`: to be inferred from the complete arguments.
        name: Option<String>,
        stream: JsonStream,
        started: bool,
        text: String,
    },
}

#[derive(Debug)]
pub(crate) struct KimiK2 {
    state: State,
}

enum CallName {
    Known(String),
    FromArguments,
    Invalid,
}

impl KimiK2 {
    pub(crate) fn new() -> Self {
        Self { state: State::Text(MarkerScan::new(&[SECTION_BEGIN])) }
    }

    fn outside() -> State {
        State::Outside(MarkerScan::new(&["<|tool_call_begin|>"]))
    }

    fn id() -> State {
        let ends = &["<|tool_call_argument_begin|>", "<|tool_call_begin|>", "<|tool_call_end|>"];
        State::Id(MarkerScan::new(ends), String::new())
    }

    fn arguments(&mut self, c: char, sink: &mut Sink) {
        let State::Arguments { name, stream, started, text } = &mut self.state else { return };
        if !*started {
            if is_json_space(c) {
                return;
            }
            if c != '{' {
                self.state = Self::outside();
                return self.feed(c, sink);
            }
            *started = true;
            if let Some(name) = name {
                sink.call_start_unchecked(name);
            }
        }
        let status = stream.feed(c, text);
        if name.is_some() {
            sink.args(&std::mem::take(text));
        }
        match status {
            JsonStatus::More => {}
            JsonStatus::Done | JsonStatus::DoneBefore => {
                if name.is_none()
                    && let Some(name) = infer_name(&sink.tools, text)
                {
                    sink.call_start_unchecked(&name);
                    sink.args(text);
                }
                sink.call_end();
                self.state = Self::outside();
            }
            JsonStatus::Malformed => {
                sink.call_broken();
                self.state = Self::outside();
                self.feed(c, sink);
            }
        }
    }
}

/// `functions.NAME:IDX`, `NAME:IDX`, or only the counter `IDX`.
fn call_name(id: &str, tools: &ToolSet) -> CallName {
    let counter = |s: &str| !s.is_empty() && s.chars().all(char::is_numeric);
    if counter(id) {
        return match tools.tools() {
            [only] => CallName::Known(only.function.name.clone()),
            _ => CallName::FromArguments,
        };
    }
    let Some((name, index)) = id.rsplit_once(':') else { return CallName::Invalid };
    let name = name.strip_prefix("functions.").filter(|rest| !rest.is_empty()).unwrap_or(name);
    let named = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if named && counter(index) { CallName::Known(name.to_owned()) } else { CallName::Invalid }
}

/// The tool whose parameters cover most of the given arguments and of which fewest are missing.
fn infer_name(tools: &ToolSet, arguments: &str) -> Option<String> {
    let Ok(Value::Object(arguments)) = serde_json::from_str(arguments) else { return None };
    let keys: HashSet<&str> = arguments.keys().map(String::as_str).collect();
    let mut best: Option<(i64, &str)> = None;
    for tool in tools.tools() {
        let parameters = Parameters::new(tool.function.parameters.as_ref());
        if !parameters.lists_any() {
            continue;
        }
        let overlap = keys.iter().filter(|key| parameters.lists(key)).count();
        let score = 2 * overlap as i64 - keys.len() as i64;
        if score > best.map_or(-1, |(score, _)| score) {
            best = Some((score, &tool.function.name));
        }
    }
    best.map(|(_, name)| name.to_owned())
}

impl Format for KimiK2 {
    fn feed(&mut self, c: char, sink: &mut Sink) {
        match &mut self.state {
            State::Text(scan) => {
                let mut text = String::new();
                let opened = scan.feed(c, &mut text).is_some();
                sink.text(&text);
                if opened {
                    sink.boundary();
                    self.state = Self::outside();
                }
            }
            State::Outside(scan) => {
                if scan.feed(c, &mut String::new()).is_some() {
                    self.state = Self::id();
                }
            }
            State::Id(scan, id) => match scan.feed(c, id) {
                Some(0) => {
                    let name = match call_name(id.trim(), &sink.tools) {
                        CallName::Known(name) => Some(name),
                        CallName::FromArguments => None,
                        CallName::Invalid => {
                            self.state = Self::outside();
                            return;
                        }
                    };
                    let stream = JsonStream::new(JsonStyle::Verbatim);
                    self.state = State::Arguments { name, stream, started: false, text: String::new() };
                }
                // A new call begins inside a header: the earlier one was never finished.
                Some(1) => self.state = Self::id(),
                Some(_) => self.state = Self::outside(),
                None if id.len() > MAX_ID => self.state = Self::outside(),
                None => {}
            },
            State::Arguments { .. } => self.arguments(c, sink),
        }
    }

    fn finish(&mut self, sink: &mut Sink) {
        if let State::Text(scan) = &mut self.state {
            sink.text(&scan.take_held());
        }
    }
}
