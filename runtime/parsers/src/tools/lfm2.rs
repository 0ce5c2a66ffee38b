//! LFM2: `<|tool_call_start|>[f(a=1), g(b="x")]<|tool_call_end|>`, or a JSON list of calls between these tags.

use super::call_json::{CallListReader, CallStatus};
use super::sink::Sink;
use super::stream::Format;
use crate::json::JsonStyle;
use crate::python_literal::parse_call_list;
use crate::scan::MarkerScan;

pub(crate) const OPEN: &str = "<|tool_call_start|>";
/// Longer calls are given up.
const MAX_CALLS: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Lfm2 {
    text: MarkerScan,
    /// The end, and the calls so far.
    inside: Option<(MarkerScan, String)>,
    /// Python calls that the model wrote so far, dropped ones included.
    written: i32,
}

impl Lfm2 {
    pub(crate) fn new() -> Self {
        Self { text: MarkerScan::new(&[OPEN]), inside: None, written: 0 }
    }
}

fn calls(text: &str, written: &mut i32, sink: &mut Sink) {
    let text = text.trim();
    let bracketed = if text.starts_with('[') { text.to_owned() } else { format!("[{text}]") };
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
                self.inside = Some((MarkerScan::new(&["<|tool_call_end|>"]), String::new()));
            }
            return;
        };
        let ended = end.feed(c, text).is_some();
        if ended || text.len() > MAX_CALLS {
            let text = std::mem::take(text);
            self.inside = None;
            if ended {
                calls(&text, &mut self.written, sink);
            }
        }
    }

    fn finish(&mut self, sink: &mut Sink) {
        sink.text(&self.text.take_held());
    }
}
