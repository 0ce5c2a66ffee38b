//! The arguments of one call whose values stand between tags: what the call has so far, and the value that is being
//! read.

use std::collections::HashSet;

use super::sink::Sink;
use super::value_reader::{Around, Reads, ValueReader, ValueTags, argument_name};
use crate::json::quote;
use crate::schema::Parameters;

/// The arguments of the current call.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) parameters: Parameters,
    given: HashSet<String>,
    /// The text has ended, so the first closing tag ends a value.
    plain: bool,
}

impl Arguments {
    /// Begins a call that takes these parameters.
    pub(crate) fn begin(&mut self, parameters: Parameters) {
        self.parameters = parameters;
        self.given.clear();
    }

    /// The call has no argument yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// Starts to read the value of `key`. Once the text has ended, gives `key` back: there is nothing to look ahead to.
    pub(crate) fn read(&mut self, key: String, tags: ValueTags) -> Result<Box<Reading>, String> {
        let reads = Reads::of(self.parameters.get(argument_name(&key)).as_deref());
        self.read_as(key, tags, reads)
    }

    /// As [`Arguments::read`], for a format that says itself what the value is.
    pub(crate) fn read_as(&self, key: String, tags: ValueTags, reads: Reads) -> Result<Box<Reading>, String> {
        if self.plain {
            return Err(key);
        }
        Ok(Box::new(Reading { reader: ValueReader::new(tags, reads), key }))
    }

    /// Passes a whole argument on.
    pub(crate) fn write(&mut self, key: &str, value: &str, sink: &mut Sink) {
        let opening = if self.given.is_empty() { "{" } else { ", " };
        sink.args(&format!("{opening}{}: {value}", quote(key)));
        self.given.insert(key.to_owned());
    }

    /// Ends the call.
    pub(crate) fn end(&self, sink: &mut Sink) {
        sink.args(if self.given.is_empty() { "{}" } else { "}" });
        sink.call_end();
    }

    /// At the end of the text: the key of a value whose end was never sure, and the text after the key, to be read
    /// again with the first closing tag as the end. `None` if the call was cut off inside the value.
    pub(crate) fn reread(&mut self, reading: &mut Reading) -> Option<(String, String)> {
        if !reading.reader.holds_an_end() {
            return None;
        }
        self.plain = true;
        Some((std::mem::take(&mut reading.key), reading.reader.take_raw()))
    }
}

/// A value whose end is not yet known.
#[derive(Debug)]
pub(crate) struct Reading {
    reader: ValueReader,
    key: String,
}

/// A value whose end is known.
pub(crate) struct Read {
    pub(crate) key: String,
    raw: String,
    value: usize,
    rest: usize,
}

impl Reading {
    /// Takes one character and returns the value once its end is known.
    pub(crate) fn feed(&mut self, c: char, call: &Arguments) -> Option<Read> {
        let current = argument_name(&self.key);
        let around = Around { parameters: &call.parameters, given: &call.given, current };
        let ended = self.reader.feed(c, around)?;
        let (key, raw) = (std::mem::take(&mut self.key), self.reader.take_raw());
        Some(Read { key, raw, value: ended.value, rest: ended.rest })
    }
}

impl Read {
    /// The text between the tags.
    pub(crate) fn value(&self) -> &str {
        &self.raw[..self.value]
    }

    /// What was read behind the value, to be fed again.
    pub(crate) fn rest(&self) -> &str {
        &self.raw[self.rest..]
    }
}
