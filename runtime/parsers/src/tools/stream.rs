//! Splits an answer with tool calls as it arrives.

use super::sink::{Event, Sink};
use super::types::{Parsed, StreamItem, ToolCallItem};

/// The state machine of one tool-call format; it reads character by character.
pub(crate) trait Format: Send {
    fn feed(&mut self, c: char, sink: &mut Sink);
    fn finish(&mut self, sink: &mut Sink);
}

/// Splits one answer as it arrives.
///
/// A call begins with its name and empty arguments, followed by pieces of its arguments, which at every point add up to
/// a prefix of valid JSON. However the text is cut, the text and the complete calls add up to the result of
/// [`ToolParser::parse`](super::ToolParser::parse).
pub struct ToolStream {
    /// `None`: the request has no tools, so all text passes through.
    format: Option<Box<dyn Format>>,
    sink: Sink,
    calls: i32,
    incomplete: Vec<i32>,
}

impl ToolStream {
    pub(crate) fn new(format: Option<Box<dyn Format>>, sink: Sink) -> Self {
        Self { format, sink, calls: 0, incomplete: Vec::new() }
    }

    /// Takes the next piece of the answer.
    pub fn push(&mut self, delta: &str) -> Vec<StreamItem> {
        let events = self.push_events(delta);
        self.items(events)
    }

    /// Ends the answer and emits what was held back.
    pub fn finish(&mut self) -> Vec<StreamItem> {
        let events = self.finish_events();
        self.items(events)
    }

    /// The calls that were started but not completed, by their index in the answer: the text ended inside them (known
    /// after [`finish`](Self::finish)), or their arguments were not JSON. A whole-text parse leaves them out.
    pub fn incomplete_calls(&self) -> &[i32] {
        &self.incomplete
    }

    /// How many calls were started.
    pub fn calls(&self) -> usize {
        usize::try_from(self.calls).unwrap_or_default()
    }

    pub(crate) fn push_events(&mut self, delta: &str) -> Vec<Event> {
        match &mut self.format {
            Some(format) => delta.chars().for_each(|c| format.feed(c, &mut self.sink)),
            None => self.sink.text(delta),
        }
        self.sink.take_events()
    }

    pub(crate) fn finish_events(&mut self) -> Vec<Event> {
        if let Some(format) = &mut self.format {
            format.finish(&mut self.sink);
        }
        self.sink.finish();
        self.sink.take_events()
    }

    fn items(&mut self, events: Vec<Event>) -> Vec<StreamItem> {
        let mut items = Vec::new();
        for event in events {
            match event {
                Event::Text(text) => items.push(StreamItem::Text(text)),
                Event::CallStart { name, .. } => {
                    let tool_index = self.calls;
                    self.calls += 1;
                    let call = ToolCallItem { tool_index, name: Some(name), parameters: String::new() };
                    items.push(StreamItem::Call(call));
                }
                Event::Args(parameters) => {
                    let call = ToolCallItem { tool_index: self.calls - 1, name: None, parameters };
                    items.push(StreamItem::Call(call));
                }
                Event::CallEnd => {}
                Event::CallBroken => self.incomplete.push(self.calls - 1),
            }
        }
        items
    }
}

/// What `tool_index` counts in a whole-text result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexOf {
    Tool,
    Call,
}

/// Assembles the events of a whole answer, without the incomplete calls.
pub(crate) fn collect(events: Vec<Event>, index_of: IndexOf) -> Parsed {
    let mut parsed = Parsed::default();
    let mut open: Option<ToolCallItem> = None;
    for event in events {
        match event {
            Event::Text(text) => parsed.normal_text.push_str(&text),
            Event::CallStart { name, position } => {
                let tool_index = match index_of {
                    IndexOf::Tool => position,
                    IndexOf::Call => i32::try_from(parsed.calls.len()).unwrap_or(i32::MAX),
                };
                open = Some(ToolCallItem { tool_index, name: Some(name), parameters: String::new() });
            }
            Event::Args(fragment) => {
                if let Some(call) = &mut open {
                    call.parameters.push_str(&fragment);
                }
            }
            Event::CallEnd => parsed.calls.extend(open.take()),
            Event::CallBroken => open = None,
        }
    }
    parsed
}
