//! LFM2: `<|tool_call_start|>[f(a=1), g(b="x")]<|tool_call_end|>`, or a JSON list of calls between these tags.

use super::call_json::{CallListReader, CallStatus};
use super::sink::Sink;
use super::stream::Format;
use crate::json::{JsonStyle, normalise};
use crate::python_literal::parse_call_list;
use crate::scan::MarkerScan;

pub(crate) const OPEN: &str = "<|tool_call_start|>";
/// Longer calls are dropped.
const MAX_CALLS: usize = 1 << 20;
const CLOSE: &str = "<|tool_call_end|>";
/// Only this many end tags are checked; after that, each one ends the calls.
const MAX_TRIES: usize = 64;

#[derive(Debug)]
pub(crate) struct Lfm2 {
    text: MarkerScan,
    /// Scans for the end tag, and the text of the calls so far.
    inside: Option<(MarkerScan, String)>,
    /// Position of the first end tag, if the calls continued after it.
    first_end: Option<usize>,
    /// How many end tags were checked.
    tries: usize,
    /// Python calls that the model wrote so far, including dropped ones.
    written: i32,
}

impl Lfm2 {
    pub(crate) fn new() -> Self {
        Self { text: MarkerScan::new(&[OPEN]), inside: None, first_end: None, tries: 0, written: 0 }
    }

    fn leave(&mut self) {
        (self.inside, self.first_end) = (None, None);
        self.tries = if self.tries > MAX_TRIES { self.tries } else { 0 };
    }

    /// The calls never became complete: they end at the first end tag, and what follows is read again.
    fn fall_back(&mut self, sink: &mut Sink) {
        let (Some((mut end, mut text)), first_end) = (self.inside.take(), self.first_end.take()) else {
            return;
        };
        text.push_str(&end.take_held());
        let Some((text, rest)) = first_end.and_then(|at| text.split_at_checked(at)) else { return };
        // From here on every end tag counts, so that no text is read a third time.
        self.tries = MAX_TRIES + 1;
        calls(text, &mut self.written, sink);
        let rest = rest.strip_prefix(CLOSE).unwrap_or(rest).to_owned();
        rest.chars().for_each(|c| self.feed(c, sink));
    }
}

fn bracketed(text: &str) -> String {
    let text = text.trim();
    if text.starts_with('[') { text.to_owned() } else { format!("[{text}]") }
}

/// Whether `text` is a complete list of calls, rather than the part before an end tag that is inside a string.
fn is_whole(text: &str) -> bool {
    let bracketed = bracketed(text);
    parse_call_list(&bracketed).is_some() || normalise(&bracketed).is_some()
}

fn calls(text: &str, written: &mut i32, sink: &mut Sink) {
    let text = text.trim();
    let bracketed = bracketed(text);
    if let Some(calls) = parse_call_list(&bracketed) {
        for call in calls {
            let number = *written;
            *written += 1;
            if let Some(arguments) = call.arguments
                && sink.call_start_numbered(&call.name, number)
            {
                sink.args(&arguments);
                sink.call_end();
            }
        }
        return;
    }
    let mut list = CallListReader::new(JsonStyle::Normalised);
    for c in text.chars() {
        if list.feed(c, sink) != CallStatus::More {
            break;
        }
    }
    sink.call_broken();
}

impl Format for Lfm2 {
    fn feed(&mut self, c: char, sink: &mut Sink) {
        let Some((end, text)) = &mut self.inside else {
            let mut text = String::new();
            let opened = self.text.feed(c, &mut text).is_some();
            sink.text(&text);
            if opened {
                sink.boundary();
                self.inside = Some((MarkerScan::new(&[CLOSE]), String::new()));
            }
            return;
        };
        if end.feed(c, text).is_some() {
            self.first_end.get_or_insert(text.len());
            self.tries += 1;
            if self.tries > MAX_TRIES || is_whole(text) {
                let text = std::mem::take(text);
                self.leave();
                calls(&text, &mut self.written, sink);
            } else {
                text.push_str(CLOSE);
            }
        } else if text.len() > MAX_CALLS {
            self.fall_back(sink);
        }
    }

    fn finish(&mut self, sink: &mut Sink) {
        while self.first_end.is_some() {
            self.fall_back(sink);
        }
        sink.text(&self.text.take_held());
    }
}
