//! Calls whose name and arguments each have their own tags. One state machine serves all model families; they differ in
//! their tags ([`Dialect`]) and in how bare text becomes JSON.
//!
//! A value's type comes from the tool's schema, so an argument is passed on only when it is complete.

use super::argument_reader::{Arguments, Reading};
use super::call_json::{CallReader, CallStatus};
use super::sink::{After, Before, Sink};
use super::stream::Format;
use super::value_reader::{Reads, ValueTags};
use crate::json::{JsonStatus, JsonStream, JsonStyle};
use crate::scan::MarkerScan;
use crate::schema::Parameters;

/// Longer text is not a name or key.
const MAX_NAME: usize = 1024;

/// See [`Dialect::argument`].
pub(crate) type Argument = fn(&str, &str, &mut Parameters) -> Option<(String, String)>;

type Markers = &'static [&'static str];

/// The tags of one model family. Within each list no tag is a proper prefix of another, and a tag's index decides what
/// it means.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// Ends the text: [opening of a region of calls, opening of a call outside a region (optional)].
    pub(crate) text: Markers,
    /// Inside a region: [opening of a call, end of the region]. Empty: there are no regions, and the tag that ends the
    /// text opens a call.
    pub(crate) region: Markers,
    /// Ends a name: [the arguments follow, the call ends (optional), the first key follows (optional)].
    pub(crate) name: Markers,
    /// Inside a call: [opening of a key, end of the call, end of the region (optional)].
    pub(crate) body: Markers,
    /// Ends a key: [end of the key, end of the call (optional)].
    pub(crate) key: Markers,
    /// Between key and value, if the format has anything there: [opening of the value, opening of another key, end of
    /// the call].
    pub(crate) gap: Markers,
    /// Ends a value: [end of the value, end of the call (optional; the unfinished value is dropped)].
    pub(crate) value: Markers,
    /// How the text around the calls is treated.
    pub(crate) before: Before,
    pub(crate) behind: After,
    /// The arguments may be a JSON object instead of tags.
    pub(crate) json_arguments: bool,
    /// An object with a name and arguments may stand in place of the call's tags.
    pub(crate) json_call: bool,
    /// A whole-text result counts the calls instead of giving the tool's index.
    pub(crate) counts_calls: bool,
    /// Makes an argument's key and JSON value from the text before and inside the value's tags. `None` for an invalid
    /// tag, which drops the call.
    pub(crate) argument: Argument,
    /// What may follow the end of a call inside a region.
    pub(crate) after_call: Markers,
    /// A value may be a CDATA section.
    pub(crate) cdata: bool,
}

impl Dialect {
    fn value_tags(&self, in_region: bool) -> ValueTags {
        let tag = |tags: Markers, at: usize| tags.get(at).copied().unwrap_or_default();
        let has_regions = !self.region.is_empty();
        ValueTags {
            close: tag(self.value, 0),
            key: (tag(self.body, 0), tag(self.key, 0)),
            open: self.gap.first().copied(),
            call: (tag(if has_regions { self.region } else { self.text }, 0), tag(self.body, 1)),
            region: has_regions.then(|| (tag(self.text, 0), tag(self.region, 1))),
            after_call: if in_region { self.after_call } else { &[] },
            may_be_open: false,
            cdata: self.cdata,
        }
    }
}

#[derive(Debug)]
enum State {
    Text(MarkerScan),
    Region(MarkerScan),
    Name(MarkerScan, String),
    Body(MarkerScan),
    Key(MarkerScan, String),
    Gap(MarkerScan, String),
    /// A value whose end is not yet known.
    Reading(Box<Reading>),
    /// A value that ends at the first closing tag.
    Value(MarkerScan, String, String),
    Json(JsonStream),
    Call(Box<CallReader>),
    /// Inside a call that is dropped, up to its end.
    Skip(MarkerScan),
}

#[derive(Debug)]
pub(crate) struct TaggedArguments {
    dialect: &'static Dialect,
    state: State,
    /// The parser is inside a region.
    in_region: bool,
    arguments: Arguments,
    /// Only white space so far in the region or in the call's arguments.
    blank: bool,
}

impl TaggedArguments {
    pub(crate) fn new(dialect: &'static Dialect) -> Self {
        let state = State::Text(MarkerScan::new(dialect.text));
        Self { dialect, state, in_region: false, arguments: Arguments::default(), blank: true }
    }

    /// The state after a call.
    fn outside(&mut self) -> State {
        self.blank = true;
        match self.in_region {
            true => State::Region(MarkerScan::new(self.dialect.region)),
            false => State::Text(MarkerScan::new(self.dialect.text)),
        }
    }

    fn name(&self) -> State {
        State::Name(MarkerScan::new(self.dialect.name), String::new())
    }

    fn body(&mut self) -> State {
        self.blank = true;
        State::Body(MarkerScan::new(self.dialect.body))
    }

    fn key(&self) -> State {
        State::Key(MarkerScan::new(self.dialect.key), String::new())
    }

    fn value(&mut self, key: String) -> State {
        let tags = self.dialect.value_tags(self.in_region);
        // A type that the format states beside the name takes precedence.
        let reading = match key.rsplit_once("\" string=\"") {
            Some((_, "true")) => self.arguments.read_as(key, tags, Reads::Text),
            Some(_) => self.arguments.read_as(key, tags, Reads::Json),
            None => self.arguments.read(key, tags),
        };
        match reading {
            Ok(reading) => State::Reading(reading),
            Err(key) => State::Value(MarkerScan::new(self.dialect.value), key, String::new()),
        }
    }

    fn read(&mut self, c: char, sink: &mut Sink) {
        let State::Reading(reading) = &mut self.state else { return };
        let Some(read) = reading.feed(c, &self.arguments) else { return };
        self.argument(&read.key, read.value(), sink);
        read.rest().chars().for_each(|c| self.feed(c, sink));
    }

    fn skip(&self) -> State {
        State::Skip(MarkerScan::new(self.dialect.body.get(1..).unwrap_or_default()))
    }

    fn text(&mut self, text: &str, opened: Option<usize>, sink: &mut Sink) {
        sink.text(text);
        let Some(opened) = opened else { return };
        sink.boundary();
        self.in_region = opened == 0 && !self.dialect.region.is_empty();
        self.state = if self.in_region { self.outside() } else { self.name() };
    }

    /// `end` is the index in [`Dialect::name`] of the tag after the name.
    fn named(&mut self, name: &str, end: usize, sink: &mut Sink) {
        let accepted = sink.call_start(name.trim());
        self.arguments.begin(Parameters::new(sink.tools.parameters(name.trim())));
        self.state = match (end, accepted) {
            (1, true) => self.end_call(sink),
            (1, false) => self.outside(),
            (_, false) => self.skip(),
            (0, true) => self.body(),
            (_, true) => self.key(),
        };
    }

    fn argument(&mut self, key: &str, raw: &str, sink: &mut Sink) {
        let Some((key, value)) = (self.dialect.argument)(key, raw, &mut self.arguments.parameters) else {
            sink.call_broken();
            self.state = self.skip();
            return;
        };
        self.arguments.write(&key, &value, sink);
        self.state = self.body();
    }

    fn end_call(&mut self, sink: &mut Sink) -> State {
        self.arguments.end(sink);
        self.outside()
    }

    fn region(&mut self, c: char, sink: &mut Sink) {
        let State::Region(scan) = &mut self.state else { return };
        let mut text = String::new();
        match scan.feed(c, &mut text) {
            Some(0) => self.state = self.name(),
            Some(_) => {
                self.in_region = false;
                self.state = self.outside();
            }
            None if self.blank && self.dialect.json_call && text == "{" => {
                let mut call = Box::new(CallReader::new(JsonStyle::Normalised));
                call.feed('{', sink);
                self.state = State::Call(call);
            }
            None => self.blank &= text.chars().all(char::is_whitespace),
        }
    }

    fn in_body(&mut self, c: char, sink: &mut Sink) {
        let State::Body(scan) = &mut self.state else { return };
        let mut text = String::new();
        match scan.feed(c, &mut text) {
            Some(0) => self.state = self.key(),
            Some(end) => {
                self.state = self.end_call(sink);
                self.in_region &= end == 1;
                self.state = self.outside();
            }
            None if self.blank && self.dialect.json_arguments && self.arguments.is_empty() && text == "{" => {
                let mut stream = JsonStream::new(JsonStyle::Normalised);
                let mut out = String::new();
                stream.feed('{', &mut out);
                sink.args(&out);
                self.state = State::Json(stream);
            }
            None => self.blank &= text.chars().all(char::is_whitespace),
        }
    }

    fn json(&mut self, c: char, sink: &mut Sink) {
        let State::Json(stream) = &mut self.state else { return };
        let mut out = String::new();
        let status = stream.feed(c, &mut out);
        sink.args(&out);
        match status {
            JsonStatus::More => {}
            JsonStatus::Done => {
                sink.call_end();
                self.state = self.skip();
            }
            JsonStatus::DoneBefore | JsonStatus::Malformed => {
                sink.call_broken();
                self.state = self.skip();
                self.feed(c, sink);
            }
        }
    }
}

impl Format for TaggedArguments {
    fn feed(&mut self, c: char, sink: &mut Sink) {
        match &mut self.state {
            State::Text(scan) => {
                let mut text = String::new();
                let opened = scan.feed(c, &mut text);
                self.text(&text, opened, sink);
            }
            State::Region(_) => self.region(c, sink),
            State::Name(scan, name) => match scan.feed(c, name) {
                // A line break before the name does not end it.
                Some(0) if name.trim().is_empty() && self.dialect.name.first() == Some(&"\n") => name.clear(),
                Some(end) => {
                    let name = std::mem::take(name);
                    self.named(&name, end, sink);
                }
                None if name.len() > MAX_NAME => self.state = self.skip(),
                None => {}
            },
            State::Body(_) => self.in_body(c, sink),
            State::Key(scan, key) => match scan.feed(c, key) {
                Some(0) => {
                    let key = std::mem::take(key);
                    self.state = match self.dialect.gap {
                        [] => self.value(key),
                        gap => State::Gap(MarkerScan::new(gap), key),
                    };
                }
                Some(_) => self.state = self.end_call(sink),
                None if key.len() > MAX_NAME => self.state = self.body(),
                None => {}
            },
            State::Gap(scan, key) => match scan.feed(c, &mut String::new()) {
                Some(0) => {
                    let key = std::mem::take(key);
                    self.state = self.value(key);
                }
                Some(1) => self.state = self.key(),
                Some(_) => self.state = self.end_call(sink),
                None => {}
            },
            State::Reading(..) => self.read(c, sink),
            State::Value(scan, key, value) => match scan.feed(c, value) {
                Some(0) => {
                    let (key, value) = (std::mem::take(key), std::mem::take(value));
                    self.argument(&key, &value, sink);
                }
                Some(_) => self.state = self.end_call(sink),
                None => {}
            },
            State::Json(_) => self.json(c, sink),
            State::Call(call) => match call.feed(c, sink) {
                CallStatus::More => {}
                CallStatus::Done => self.state = self.outside(),
                CallStatus::Malformed => {
                    self.state = self.outside();
                    self.blank = false;
                    self.feed(c, sink);
                }
            },
            State::Skip(scan) => {
                if let Some(end) = scan.feed(c, &mut String::new()) {
                    self.in_region &= end == 0;
                    self.state = self.outside();
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
