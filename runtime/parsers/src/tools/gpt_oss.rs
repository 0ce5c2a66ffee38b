//! gpt-oss: harmony messages addressed to a function.

use super::sink::Sink;
use super::stream::Format;
use crate::harmony::{HarmonyEvent, HarmonyStream};
use crate::json::{JsonStatus, JsonStream, JsonStyle, is_json_space};

#[derive(Debug)]
struct Call {
    stream: JsonStream,
    started: bool,
    done: bool,
}

#[derive(Debug)]
pub(crate) struct GptOss {
    harmony: HarmonyStream,
    call: Option<Call>,
}

impl GptOss {
    pub(crate) fn new() -> Self {
        Self { harmony: HarmonyStream::new(), call: None }
    }

    fn body(&mut self, text: &str, sink: &mut Sink) {
        for c in text.chars() {
            let Some(call) = &mut self.call else { return };
            if call.done || (!call.started && is_json_space(c)) {
                continue;
            }
            call.started = true;
            let mut json = String::new();
            let status = call.stream.feed(c, &mut json);
            sink.args(&json);
            match status {
                JsonStatus::More => {}
                JsonStatus::Done => call.done = true,
                JsonStatus::DoneBefore if is_json_space(c) => call.done = true,
                JsonStatus::DoneBefore | JsonStatus::Malformed => {
                    sink.call_broken();
                    self.call = None;
                }
            }
        }
    }

    fn end(&mut self, sink: &mut Sink) {
        let Some(mut call) = self.call.take() else { return };
        let mut json = String::new();
        if !call.started {
            // Missing arguments become an empty object.
            sink.args("{}");
        } else if call.done || call.stream.finish(&mut json) {
            sink.args(&json);
        } else {
            return sink.call_broken();
        }
        sink.call_end();
    }

    fn deliver(&mut self, events: Vec<HarmonyEvent>, sink: &mut Sink) {
        for event in events {
            match event {
                HarmonyEvent::Message => sink.boundary(),
                HarmonyEvent::Reasoning(_) => {}
                HarmonyEvent::Text(text) => sink.text(&text),
                HarmonyEvent::Call { recipient, .. } => {
                    let name = recipient.rsplit('.').next().unwrap_or_default();
                    if sink.call_start(name) {
                        let stream = JsonStream::new(JsonStyle::Normalised);
                        self.call = Some(Call { stream, started: false, done: false });
                    }
                }
                HarmonyEvent::CallBody(text) => self.body(&text, sink),
                // The text stopped inside the call.
                HarmonyEvent::CallEnd("") if self.call.as_ref().is_none_or(|call| !call.done) => {
                    self.call = None;
                    sink.call_broken();
                }
                HarmonyEvent::CallEnd(_) => self.end(sink),
            }
        }
    }
}

impl Format for GptOss {
    fn feed(&mut self, c: char, sink: &mut Sink) {
        let mut events = Vec::new();
        self.harmony.feed(c, &mut events);
        self.deliver(events, sink);
    }

    fn finish(&mut self, sink: &mut Sink) {
        let mut events = Vec::new();
        self.harmony.finish(&mut events);
        self.deliver(events, sink);
    }
}
