//! GLM-4.5 and 4.6: `<tool_call>NAME`, then `<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>` pairs on lines of
//! their own, then `</tool_call>`. The line breaks may be the two characters `\n`.

use super::sink::Sink;
use super::stream::Format;
use super::values::glm_value;
use crate::json::quote;
use crate::scan::MarkerScan;
use crate::schema::{infer_type, schema_properties};

pub(crate) const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";
const KEY: &str = "<arg_key>";
const MAX_NAME: usize = 1024;

#[derive(Debug)]
enum State {
    Text(MarkerScan),
    Name(MarkerScan, String),
    /// Inside a call, outside a pair.
    Between(MarkerScan),
    Key(MarkerScan, String),
    /// Between a key and its value.
    Gap(MarkerScan, String),
    Value(MarkerScan, String, String),
    /// Inside a call that is not passed on.
    Skip(MarkerScan),
}

#[derive(Debug)]
pub(crate) struct Glm45 {
    state: State,
    function: String,
    arguments: usize,
}

impl Glm45 {
    pub(crate) fn new() -> Self {
        Self { state: Self::text(), function: String::new(), arguments: 0 }
    }

    fn text() -> State {
        State::Text(MarkerScan::new(&[OPEN]))
    }

    fn between() -> State {
        State::Between(MarkerScan::new(&[KEY, CLOSE]))
    }

    fn key() -> State {
        State::Key(MarkerScan::new(&["</arg_key>", CLOSE]), String::new())
    }

    fn skip() -> State {
        State::Skip(MarkerScan::new(&[CLOSE]))
    }

    /// `end` is the marker behind the name: a line break (two spellings), a key, or the end of the call.
    fn named(&mut self, name: &str, end: usize, sink: &mut Sink) {
        self.function = name.to_owned();
        self.arguments = 0;
        let accepted = sink.call_start(name);
        self.state = match (end, accepted) {
            (3, true) => self.end_call(sink),
            (3, false) => Self::text(),
            (_, false) => Self::skip(),
            (2, true) => Self::key(),
            (_, true) => Self::between(),
        };
    }

    fn argument(&mut self, key: &str, raw: &str, sink: &mut Sink) {
        let properties = sink.tools.parameters(&self.function).map(schema_properties).unwrap_or_default();
        let kind = properties.get(key).and_then(infer_type);
        let value = glm_value(raw, kind.as_deref());
        let opening = if self.arguments == 0 { "{" } else { ", " };
        self.arguments += 1;
        sink.args(&format!("{opening}{}: {value}", quote(key)));
    }

    fn end_call(&mut self, sink: &mut Sink) -> State {
        sink.args(if self.arguments == 0 { "{}" } else { "}" });
        sink.call_end();
        Self::text()
    }
}

impl Format for Glm45 {
    fn feed(&mut self, c: char, sink: &mut Sink) {
        match &mut self.state {
            State::Text(scan) => {
                let mut text = String::new();
                let opened = scan.feed(c, &mut text).is_some();
                sink.text(&text);
                if opened {
                    sink.boundary();
                    self.state = State::Name(MarkerScan::new(&["\n", "\\n", KEY, CLOSE]), String::new());
                }
            }
            State::Name(scan, name) => match scan.feed(c, name) {
                // A line break before the name is not its end.
                Some(0 | 1) if name.trim().is_empty() => name.clear(),
                Some(end) => {
                    let name = name.trim().to_owned();
                    self.named(&name, end, sink);
                }
                None if name.len() > MAX_NAME => self.state = Self::skip(),
                None => {}
            },
            State::Between(scan) => match scan.feed(c, &mut String::new()) {
                Some(0) => self.state = Self::key(),
                Some(_) => self.state = self.end_call(sink),
                None => {}
            },
            State::Key(scan, key) => match scan.feed(c, key) {
                Some(0) => {
                    let key = key.trim().to_owned();
                    self.state = State::Gap(MarkerScan::new(&["<arg_value>", KEY, CLOSE]), key);
                }
                Some(_) => self.state = self.end_call(sink),
                None if key.len() > MAX_NAME => self.state = Self::between(),
                None => {}
            },
            State::Gap(scan, key) => match scan.feed(c, &mut String::new()) {
                Some(0) => {
                    let key = std::mem::take(key);
                    self.state = State::Value(MarkerScan::new(&["</arg_value>", CLOSE]), key, String::new());
                }
                Some(1) => self.state = Self::key(),
                Some(_) => self.state = self.end_call(sink),
                None => {}
            },
            State::Value(scan, key, value) => match scan.feed(c, value) {
                Some(0) => {
                    let (key, value) = (std::mem::take(key), std::mem::take(value));
                    self.argument(&key, &value, sink);
                    self.state = Self::between();
                }
                // The value never ended: the call stands without it.
                Some(_) => self.state = self.end_call(sink),
                None => {}
            },
            State::Skip(scan) => {
                if scan.feed(c, &mut String::new()).is_some() {
                    self.state = Self::text();
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
