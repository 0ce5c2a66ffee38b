//! An answer as the events of the Messages API: named events, and blocks that open and close.

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json};
use sglang_tokenizer_manager::state::Counts;

use super::error::AnthropicError;
use super::response::{new_message_id, stop_reason, usage};
use crate::answer::choice::refusal;
use crate::answer::event::{Event, ToolCall};
use crate::answer::steps::Step;
use crate::http::reply::to_json;
use crate::http::sse::push_named_event;

/// The kinds of blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Thinking,
    Text,
    ToolUse,
}

/// The kinds of additions to a block.
#[derive(Serialize)]
#[serde(tag = "type")]
enum Delta<'a> {
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "input_json_delta")]
    Input { partial_json: &'a str },
}

#[derive(Serialize)]
struct BlockDelta<'a> {
    r#type: &'static str,
    index: usize,
    delta: Delta<'a>,
}

/// The fields of a request that decide how its stream looks.
pub struct MessageFrame {
    /// Name of the model.
    pub model: String,
    /// Prompt length in tokens, for answers that end before counts arrive.
    pub prompt_tokens: u64,
    /// Whether to report which tokens came from the cache.
    pub cache_report: bool,
}

/// The state of a stream.
struct Writer {
    frame: MessageFrame,
    started: bool,
    open: Option<Block>,
    index: usize,
    out: String,
}

impl Writer {
    fn new(frame: MessageFrame) -> Self {
        Self { frame, started: false, open: None, index: 0, out: String::new() }
    }

    fn event(&mut self, data: &Value) {
        push_named_event(&mut self.out, data["type"].as_str().unwrap_or_default(), &data.to_string());
    }

    fn start(&mut self, counts: Option<Counts>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let usage = match counts {
            Some(counts) => usage(Counts { completion_tokens: 0, ..counts }, self.frame.cache_report),
            None => usage(Counts { prompt_tokens: self.frame.prompt_tokens, ..Counts::default() }, false),
        };
        let message = json!({
            "id": new_message_id(),
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": self.frame.model,
            "usage": usage,
        });
        self.event(&json!({"type": "message_start", "message": message}));
    }

    fn close(&mut self) {
        if self.open.take().is_some() {
            self.event(&json!({"type": "content_block_stop", "index": self.index}));
            self.index += 1;
        }
    }

    fn open(&mut self, block: Block, content: &Value) {
        self.close();
        self.event(&json!({"type": "content_block_start", "index": self.index, "content_block": content}));
        self.open = Some(block);
    }

    fn delta(&mut self, delta: Delta<'_>) {
        let event = BlockDelta { r#type: "content_block_delta", index: self.index, delta };
        push_named_event(&mut self.out, event.r#type, &to_json(&event));
    }

    fn tool_call(&mut self, call: ToolCall) {
        if let Some(name) = call.function.name.filter(|name| !name.is_empty()) {
            let id = call.id.unwrap_or_else(|| format!("toolu_{}", uuid::Uuid::new_v4().simple()));
            // Every call is a separate block.
            self.open(Block::ToolUse, &json!({"type": "tool_use", "id": id, "name": name, "input": {}}));
        }
        match (call.function.arguments.as_str(), self.open) {
            ("", _) => {}
            (text, Some(Block::ToolUse)) => self.delta(Delta::Input { partial_json: text }),
            (_, _) => {
                tracing::warn!("A piece of a call's arguments belongs to no call and is left out");
            }
        }
    }

    /// Ends a stream with an error.
    fn fail(&mut self, error: &AnthropicError) {
        self.start(None);
        self.close();
        self.event(&error.body());
        self.event(&json!({"type": "message_stop"}));
    }

    /// Writes an event of the answer; `counts` are the token counts so far.
    fn write(&mut self, event: Event, counts: Counts) {
        // The first token may have no text yet, so the message starts with the first text or with the end.
        if !matches!(event, Event::Started) {
            self.start(Some(counts));
        }
        match event {
            Event::Started => {}
            Event::Reasoning(thinking) => {
                if self.open != Some(Block::Thinking) {
                    self.open(Block::Thinking, &json!({"type": "thinking", "thinking": ""}));
                }
                self.delta(Delta::Thinking { thinking: &thinking });
            }
            Event::Text(text) => {
                if self.open != Some(Block::Text) {
                    self.open(Block::Text, &json!({"type": "text", "text": ""}));
                }
                self.delta(Delta::Text { text: &text });
            }
            Event::Call(call) => self.tool_call(call),
            Event::End(end) => {
                self.close();
                self.event(&json!({
                    "type": "message_delta",
                    "delta": {"stop_reason": stop_reason(Some(end.finish_word))},
                    "usage": {"output_tokens": counts.completion_tokens},
                }));
                self.event(&json!({"type": "message_stop"}));
            }
        }
    }

    /// Writes a step. Returns false if the stream ends with it.
    fn step(&mut self, step: Step) -> bool {
        if let Some((status, message)) = step.end().and_then(|end| refusal(&end.reason)) {
            self.fail(&AnthropicError::streamed(status, message));
            return false;
        }
        let goes_on = step.end().is_none();
        step.events.into_iter().for_each(|event| self.write(event, step.counts));
        goes_on
    }
}

/// The events of a message.
pub fn stream(frame: MessageFrame, steps: impl Stream<Item = Step> + Unpin) -> impl Stream<Item = Bytes> {
    let state = (steps, Some(Writer::new(frame)));
    stream::unfold(state, |(mut steps, mut writer)| async move {
        let mut w = writer.take()?;
        loop {
            let goes_on = match steps.next().await {
                Some(step) => w.step(step),
                None => {
                    w.fail(&AnthropicError::new(500, "the stream ended without a finish reason"));
                    false
                }
            };
            if !goes_on || !w.out.is_empty() {
                let out = Bytes::from(std::mem::take(&mut w.out));
                return Some((out, (steps, goes_on.then_some(w))));
            }
        }
    })
}

/// The events of a request that failed before it started.
pub fn failed(model: String, error: &AnthropicError) -> Bytes {
    let mut writer = Writer::new(MessageFrame { model, prompt_tokens: 0, cache_report: false });
    writer.fail(error);
    writer.out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::event::{End, FunctionCall};
    use sglang_proto::messages::FinishReason;

    /// The events for the steps: names and data, without ids.
    fn events(steps: Vec<Step>) -> Vec<String> {
        let frame = MessageFrame { model: "m".into(), prompt_tokens: 7, cache_report: true };
        let out: Vec<Bytes> = futures::executor::block_on(stream(frame, stream::iter(steps)).collect());
        let text = String::from_utf8(out.concat()).unwrap();
        text.split_terminator("\n\n")
            .map(|event| {
                let (name, data) = event.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
                let data: Value = serde_json::from_str(data).unwrap();
                assert_eq!(data["type"], name);
                let index = data["index"].as_u64().map_or(String::new(), |i| format!(" {i}"));
                let shown = match name {
                    "message_start" => data["message"]["usage"].to_string(),
                    "content_block_start" => data["content_block"]["type"].to_string(),
                    "content_block_delta" => data["delta"].to_string(),
                    "message_delta" => format!("{} {}", data["delta"]["stop_reason"], data["usage"]),
                    "error" => data["error"].to_string(),
                    _ => String::new(),
                };
                format!("{name}{index} {shown}").trim_end().to_owned()
            })
            .collect()
    }

    fn step(events: Vec<Event>, completion_tokens: u64) -> Step {
        Step {
            index: 0,
            events,
            cut_calls: Vec::new(),
            output_ids: Vec::new(),
            counts: Counts { prompt_tokens: 9, completion_tokens, ..Counts::default() },
            logprobs: Default::default(),
            cached_tokens_details: None,
        }
    }

    fn text(text: &str) -> Event {
        Event::Text(text.into())
    }

    fn end(reason: FinishReason, finish_word: &'static str) -> Event {
        Event::End(End { reason, finish_word, hidden_states: None })
    }

    #[test]
    fn every_kind_of_content_and_every_call_has_a_block_of_its_own() {
        let call = |name: Option<&str>, arguments: &str| {
            let function = FunctionCall { name: name.map(str::to_owned), arguments: arguments.into() };
            Event::Call(ToolCall { id: name.map(|_| "c".into()), index: 0, r#type: "function", function })
        };
        let events = events(vec![
            step(vec![Event::Started], 0),
            step(vec![Event::Reasoning("hm".into())], 1),
            step(vec![text("so")], 2),
            step(vec![text("!")], 3),
            step(vec![call(Some("f"), "")], 4),
            step(vec![call(None, "{}")], 5),
            step(vec![call(Some("g"), "{\"a\"")], 6),
            step(vec![end(FinishReason::matched_token(2), "tool_calls")], 8),
        ]);
        assert_eq!(
            events,
            [
                r#"message_start {"input_tokens":9,"output_tokens":0}"#,
                r#"content_block_start 0 "thinking""#,
                r#"content_block_delta 0 {"type":"thinking_delta","thinking":"hm"}"#,
                "content_block_stop 0",
                r#"content_block_start 1 "text""#,
                r#"content_block_delta 1 {"type":"text_delta","text":"so"}"#,
                r#"content_block_delta 1 {"type":"text_delta","text":"!"}"#,
                "content_block_stop 1",
                r#"content_block_start 2 "tool_use""#,
                r#"content_block_delta 2 {"type":"input_json_delta","partial_json":"{}"}"#,
                "content_block_stop 2",
                r#"content_block_start 3 "tool_use""#,
                r#"content_block_delta 3 {"type":"input_json_delta","partial_json":"{\"a\""}"#,
                "content_block_stop 3",
                r#"message_delta "tool_use" {"output_tokens":8}"#,
                "message_stop",
            ]
        );
    }

    #[test]
    fn an_error_closes_the_block_and_ends_the_stream() {
        let full = FinishReason::refused("The request queue is full.", 503, "x");
        let events = events(vec![
            step(vec![Event::Started, text("a")], 1),
            step(vec![text("b"), end(full, "abort")], 2),
            step(vec![text("c")], 3),
        ]);
        assert_eq!(
            events[2..],
            [
                r#"content_block_delta 0 {"type":"text_delta","text":"a"}"#,
                "content_block_stop 0",
                r#"error {"type":"overloaded_error","message":"The request queue is full."}"#,
                "message_stop",
            ]
        );
    }

    #[test]
    fn an_empty_answer_is_whole_and_one_without_an_end_is_an_error() {
        assert_eq!(
            events(vec![step(vec![Event::Started, end(FinishReason::matched_token(2), "stop")], 1)]),
            [
                r#"message_start {"input_tokens":9,"output_tokens":0}"#,
                r#"message_delta "end_turn" {"output_tokens":1}"#,
                "message_stop",
            ]
        );
        let broken = events(Vec::new());
        assert_eq!(broken[0], r#"message_start {"input_tokens":7,"output_tokens":0}"#);
        assert!(broken[1].starts_with(r#"error {"type":"api_error""#));
        assert_eq!(broken.last().unwrap(), "message_stop");
    }
}
