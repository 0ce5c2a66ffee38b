//! Trinity: Qwen's format, also inside the thinking. The thinking's tags are dropped.

use super::sink::Sink;
use super::stream::Format;
use super::tagged_json::TaggedJson;
use crate::scan::MarkerScan;

#[derive(Debug)]
pub(crate) struct Trinity {
    thinking: MarkerScan,
    calls: TaggedJson,
}

impl Trinity {
    pub(crate) fn new() -> Self {
        Self { thinking: MarkerScan::new(&["<think>", "</think>"]), calls: TaggedJson::qwen() }
    }
}

impl Format for Trinity {
    fn feed(&mut self, c: char, sink: &mut Sink) {
        let mut text = String::new();
        self.thinking.feed(c, &mut text);
        text.chars().for_each(|c| self.calls.feed(c, sink));
    }

    fn finish(&mut self, sink: &mut Sink) {
        let held = self.thinking.take_held();
        held.chars().for_each(|c| self.calls.feed(c, sink));
        self.calls.finish(sink);
    }
}
