//! Splits an answer into the parts of Ollama's messages: thinking, text, and complete calls.

use serde_json::{Map, Value, json};

use crate::answer::event::{Event, ToolCall};
use crate::answer::format::AnswerFormat;

/// The parts of a whole answer, or the new parts of a growing one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// Thinking.
    pub thinking: String,
    /// Text of the answer proper.
    pub content: String,
    /// Complete calls.
    pub tool_calls: Vec<Value>,
}

impl Parts {
    /// Whether there are no parts.
    pub fn is_empty(&self) -> bool {
        self.thinking.is_empty() && self.content.is_empty() && self.tool_calls.is_empty()
    }
}

/// A call whose arguments are not complete yet.
#[derive(Clone, Debug)]
struct OpenCall {
    index: usize,
    id: String,
    name: String,
    arguments: String,
}

/// Combines the events of an answer into the parts of Ollama's messages.
#[derive(Default)]
pub struct Reply {
    open: Option<OpenCall>,
    calls: usize,
}

impl Reply {
    /// The parts of a whole answer, parsed by `format`.
    pub fn whole(format: &AnswerFormat, text: &str) -> Parts {
        let (events, cut_calls) = format.events(text);
        let mut reply = Self::default();
        let mut parts = reply.step(events, &cut_calls);
        reply.close(&mut parts, &cut_calls);
        parts
    }

    /// The parts that a step of a stream adds.
    pub fn step(&mut self, events: Vec<Event>, cut_calls: &[usize]) -> Parts {
        let mut parts = Parts::default();
        events.into_iter().for_each(|event| self.push(&mut parts, event, cut_calls));
        parts
    }

    fn push(&mut self, parts: &mut Parts, event: Event, cut_calls: &[usize]) {
        match event {
            Event::Started => {}
            Event::Reasoning(text) => parts.thinking.push_str(&text),
            Event::Text(text) => parts.content.push_str(&text),
            Event::Call(call) => self.call(parts, call, cut_calls),
            Event::End(_) => self.close(parts, cut_calls),
        }
    }

    fn call(&mut self, parts: &mut Parts, call: ToolCall, cut_calls: &[usize]) {
        match (call.function.name, &mut self.open) {
            (Some(name), _) => {
                self.close(parts, cut_calls);
                let (id, arguments) = (call.id.unwrap_or_default(), call.function.arguments);
                self.open = Some(OpenCall { index: call.index, id, name, arguments });
            }
            (None, Some(open)) => open.arguments.push_str(&call.function.arguments),
            (None, None) => {}
        }
    }

    /// Ends the open call. It is left out if it was cut off or its arguments are not an object, since it could not be
    /// executed.
    fn close(&mut self, parts: &mut Parts, cut_calls: &[usize]) {
        let Some(open) = self.open.take() else { return };
        let arguments = match open.arguments.trim() {
            "" => Some(Map::new()),
            text => serde_json::from_str(text).ok(),
        };
        let Some(arguments) = arguments.filter(|_| !cut_calls.contains(&open.index)) else {
            tracing::warn!("A call of {} is left out: its arguments are no JSON object", open.name);
            return;
        };
        parts.tool_calls.push(json!({
            "id": open.id,
            "function": {"index": self.calls, "name": open.name, "arguments": arguments},
        }));
        self.calls += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::event::End;
    use crate::chat::request::ChatCompletionRequest;
    use crate::parsers::Parsers;
    use sglang_parsers::{DetectedParsers, ToolParserOptions};
    use sglang_proto::messages::FinishReason;
    use sglang_server_args::ServerArgs;

    fn format() -> AnswerFormat {
        let argv = ["x", "--model-path", "m", "--tool-call-parser", "hermes", "--reasoning-parser", "qwen3"];
        let args = ServerArgs::parse_from(argv).unwrap_or_else(|_| panic!("flags"));
        let parsers = Parsers::new(&args, &DetectedParsers::default(), ToolParserOptions::default());
        let body = json!({"messages": [{"role": "user", "content": "x"}],
            "tools": [{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}]});
        let chat = ChatCompletionRequest::from_json(body.as_object().unwrap()).unwrap();
        AnswerFormat::new(&parsers, &chat, None)
    }

    fn streamed(text: &str) -> Parts {
        let (mut answer, mut reply) = (format().stream(), Reply::default());
        let count = text.chars().count();
        let mut all = Parts::default();
        for (i, c) in text.chars().enumerate() {
            let mut events = answer.push(&c.to_string());
            if i + 1 == count {
                events.append(&mut answer.finish());
                let (reason, finish_word) = (FinishReason::Length { length: count as u64 }, "length");
                events.push(Event::End(End { reason, finish_word, hidden_states: None }));
            }
            let parts = reply.step(events, &answer.cut_calls());
            all.thinking.push_str(&parts.thinking);
            all.content.push_str(&parts.content);
            all.tool_calls.extend(parts.tool_calls);
        }
        all
    }

    /// The parts without the ids of calls, which are generated.
    fn settled(mut parts: Parts) -> Parts {
        for call in &mut parts.tool_calls {
            assert!(call["id"].as_str().is_some_and(|id| !id.is_empty()));
            call["id"] = Value::Null;
        }
        parts
    }

    #[test]
    fn calls_come_whole_and_the_pieces_of_a_stream_are_the_whole_answer() {
        let call = |name: &str, arguments: &str| {
            format!("<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {arguments}}}\n</tool_call>")
        };
        let text = format!("hm</think>So:{}{}", call("f", "{\"a\": [1, \"x\"]}"), call("g", "{}"));
        let whole = settled(Reply::whole(&format(), &text));
        assert_eq!(whole, settled(streamed(&text)));
        assert_eq!((whole.thinking.as_str(), whole.content.as_str()), ("hm", "So:"));
        let calls = json!([
            {"id": null, "function": {"index": 0, "name": "f", "arguments": {"a": [1, "x"]}}},
            {"id": null, "function": {"index": 1, "name": "g", "arguments": {}}},
        ]);
        assert_eq!(Value::from(whole.tool_calls), calls);
    }

    #[test]
    fn a_call_that_was_cut_off_is_left_out_in_both_forms() {
        let text = "</think><tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"Par";
        let whole = Reply::whole(&format(), text);
        assert!(whole.tool_calls.is_empty(), "{whole:?}");
        assert_eq!(whole, streamed(text));
    }
}
