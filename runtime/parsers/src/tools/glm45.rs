//! GLM-4.5 and 4.6: `<tool_call>NAME`, then pairs `<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>` on separate
//! lines, then `</tool_call>`. A line break may also be the two characters `\n`.

use super::argument_reader::{Arguments, Reading};
use super::sink::Sink;
use super::stream::Format;
use super::value_reader::ValueTags;
use super::values::glm_value;
use crate::scan::MarkerScan;
use crate::schema::Parameters;

pub(crate) const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";
const KEY: &str = "<arg_key>";
const MAX_NAME: usize = 1024;
const TAGS: ValueTags = ValueTags {
    close: "</arg_value>",
    key: (KEY, "</arg_key>"),
    open: Some("<arg_value>"),
    call: (OPEN, CLOSE),
    region: None,
    after_call: &[],
    may_be_open: false,
    cdata: false,
};

#[derive(Debug)]
enum State {
    Text(MarkerScan),
    Name(MarkerScan, String),
    /// Inside a call, outside a pair.
    Between(MarkerScan),
    Key(MarkerScan, String),
    /// Between a key and its value.
    Gap(MarkerScan, String),
    /// A value whose end is not yet known.
    Reading(Box<Reading>),
    /// A value that ends at the first closing tag.
    Value(MarkerScan, String, String),
    /// Inside a call that is dropped.
    Skip(MarkerScan),
}

#[derive(Debug)]
pub(crate) struct Glm45 {
    state: State,
    arguments: Arguments,
}

impl Glm45 {
    pub(crate) fn new() -> Self {
        Self { state: Self::text(), arguments: Arguments::default() }
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

    /// `end` is the index of the marker after the name: a line break (two spellings), a key, or the end of the call.
    fn named(&mut self, name: &str, end: usize, sink: &mut Sink) {
        self.arguments.begin(Parameters::new(sink.tools.parameters(name)));
        let accepted = sink.call_start(name);
        self.state = match (end, accepted) {
            (3, true) => self.end_call(sink),
            (3, false) => Self::text(),
            (_, false) => Self::skip(),
            (2, true) => Self::key(),
            (_, true) => Self::between(),
        };
    }

    fn value(&mut self, key: String) -> State {
        match self.arguments.read(key, TAGS) {
            Ok(reading) => State::Reading(reading),
            Err(key) => State::Value(MarkerScan::new(&["</arg_value>", CLOSE]), key, String::new()),
        }
    }

    fn read(&mut self, c: char, sink: &mut Sink) {
        let State::Reading(reading) = &mut self.state else { return };
        let Some(read) = reading.feed(c, &self.arguments) else { return };
        self.argument(&read.key, read.value(), sink);
        self.state = Self::between();
        read.rest().chars().for_each(|c| self.feed(c, sink));
    }

    fn argument(&mut self, key: &str, raw: &str, sink: &mut Sink) {
        let value = glm_value(raw, self.arguments.parameters.get(key).as_deref());
        self.arguments.write(key, &value, sink);
    }

    fn end_call(&mut self, sink: &mut Sink) -> State {
        self.arguments.end(sink);
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
                // A line break before the name does not end it.
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
                    self.state = self.value(key);
                }
                Some(1) => self.state = Self::key(),
                Some(_) => self.state = self.end_call(sink),
                None => {}
            },
            State::Reading(..) => self.read(c, sink),
            State::Value(scan, key, value) => match scan.feed(c, value) {
                Some(0) => {
                    let (key, value) = (std::mem::take(key), std::mem::take(value));
                    self.argument(&key, &value, sink);
                    self.state = Self::between();
                }
                // The value never ended; the call is passed on without it.
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
