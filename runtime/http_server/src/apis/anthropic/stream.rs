//! A chat completion's stream in the words of the Messages API: named events, blocks that are opened and closed.

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::AnthropicError;
use super::response::{counts, new_message_id, stop_reason, usage};
use crate::http::sse::push_named_event;

/// An event of a chat completion's stream.
#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Value>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Delta,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    reasoning_content: Option<String>,
    tool_calls: Option<Vec<ToolCall>>,
}

#[derive(Deserialize)]
struct ToolCall {
    id: Option<String>,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    code: u16,
    message: String,
}

/// Kinds of blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Thinking,
    Text,
    ToolUse,
}

/// How far a stream has come.
struct Writer {
    model: String,
    /// Prompt length, for answers that end before there are counts.
    prompt_tokens: u64,
    started: bool,
    open: Option<Block>,
    index: usize,
    output_tokens: u64,
    finish_reason: Option<String>,
    out: String,
}

impl Writer {
    fn new(model: String, prompt_tokens: u64) -> Self {
        Self {
            model,
            prompt_tokens,
            started: false,
            open: None,
            index: 0,
            output_tokens: 0,
            finish_reason: None,
            out: String::new(),
        }
    }

    fn event(&mut self, data: &Value) {
        push_named_event(&mut self.out, data["type"].as_str().unwrap_or_default(), &data.to_string());
    }

    fn start(&mut self, chunk_usage: Option<&Value>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let (prompt, cached, _) = chunk_usage.map_or((self.prompt_tokens, 0, 0), counts);
        let message = json!({
            "id": new_message_id(),
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": self.model,
            "usage": usage(prompt, cached, 0),
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

    fn delta(&mut self, delta: &Value) {
        self.event(&json!({"type": "content_block_delta", "index": self.index, "delta": delta}));
    }

    fn tool_call(&mut self, call: ToolCall) {
        let arguments = call.function.arguments.filter(|text| !text.is_empty());
        if let Some(name) = call.function.name.filter(|name| !name.is_empty()) {
            let id = call.id.unwrap_or_else(|| format!("toolu_{}", uuid::Uuid::new_v4().simple()));
            // Every call has a block of its own.
            self.open(Block::ToolUse, &json!({"type": "tool_use", "id": id, "name": name, "input": {}}));
        }
        match (arguments, self.open) {
            (Some(text), Some(Block::ToolUse)) => {
                self.delta(&json!({"type": "input_json_delta", "partial_json": text}));
            }
            (Some(_), _) => {
                tracing::warn!("A piece of a call's arguments belongs to no call and is left out")
            }
            (None, _) => {}
        }
    }

    fn choice(&mut self, choice: Choice) {
        if choice.finish_reason.is_some() {
            self.finish_reason = choice.finish_reason;
        }
        if let Some(thinking) = choice.delta.reasoning_content.filter(|text| !text.is_empty()) {
            if self.open != Some(Block::Thinking) {
                self.open(Block::Thinking, &json!({"type": "thinking", "thinking": ""}));
            }
            self.delta(&json!({"type": "thinking_delta", "thinking": thinking}));
        }
        for call in choice.delta.tool_calls.into_iter().flatten() {
            self.tool_call(call);
        }
        if let Some(text) = choice.delta.content.filter(|text| !text.is_empty()) {
            if self.open != Some(Block::Text) {
                self.open(Block::Text, &json!({"type": "text", "text": ""}));
            }
            self.delta(&json!({"type": "text_delta", "text": text}));
        }
    }

    /// Ends a stream that cannot go on.
    fn fail(&mut self, error: &AnthropicError) {
        self.start(None);
        self.close();
        self.event(&error.body());
        self.event(&json!({"type": "message_stop"}));
    }

    /// Reads one event; false when the stream ends with it.
    fn read(&mut self, data: &str) -> bool {
        let chunk = match serde_json::from_str::<Chunk>(data) {
            Ok(Chunk { error: Some(failure), .. }) => {
                self.fail(&AnthropicError::streamed(failure.code, failure.message));
                return false;
            }
            Ok(chunk) => chunk,
            Err(error) => {
                self.fail(&AnthropicError::new(500, format!("an event cannot be read: {error}: {data}")));
                return false;
            }
        };
        if let Some(usage) = &chunk.usage {
            self.output_tokens = counts(usage).2;
        }
        let has_payload = chunk.choices.first().is_some_and(|choice| {
            let some = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
            some(&choice.delta.content)
                || some(&choice.delta.reasoning_content)
                || choice.delta.tool_calls.is_some()
        });
        // The first event has no counts yet, only the role.
        if has_payload || chunk.usage.is_some() {
            self.start(chunk.usage.as_ref());
        }
        if let Some(choice) = chunk.choices.into_iter().next() {
            self.choice(choice);
        }
        true
    }

    fn end(&mut self) {
        self.start(None);
        if self.finish_reason.is_none() {
            self.fail(&AnthropicError::new(500, "the stream ended without a finish reason"));
            return;
        }
        self.close();
        self.event(&json!({
            "type": "message_delta",
            "delta": {"stop_reason": stop_reason(self.finish_reason.as_deref())},
            "usage": {"output_tokens": self.output_tokens},
        }));
        self.event(&json!({"type": "message_stop"}));
    }
}

/// The events of a message from those of the chat completion that makes it.
pub fn stream(
    model: String,
    prompt_tokens: u64,
    chunks: impl Stream<Item = Bytes>,
) -> impl Stream<Item = Bytes> {
    let state = (Box::pin(chunks), Some(Writer::new(model, prompt_tokens)));
    stream::unfold(state, |(mut chunks, mut writer)| async move {
        let mut w = writer.take()?;
        loop {
            let goes_on = match chunks.next().await {
                Some(bytes) => {
                    let text = String::from_utf8_lossy(&bytes);
                    text.split("\n\n")
                        .filter_map(|event| event.strip_prefix("data: "))
                        .all(|data| w.read(data))
                }
                None => {
                    w.end();
                    false
                }
            };
            if !goes_on || !w.out.is_empty() {
                let out = Bytes::from(std::mem::take(&mut w.out));
                return Some((out, (chunks, goes_on.then_some(w))));
            }
        }
    })
}

/// The events of a request that failed before it started.
pub fn failed(model: String, error: &AnthropicError) -> Bytes {
    let mut writer = Writer::new(model, 0);
    writer.fail(error);
    writer.out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events that chunks become: names and data, ids left out.
    fn events(chunks: &[Value]) -> Vec<String> {
        let pieces: Vec<Bytes> = chunks.iter().map(|c| format!("data: {c}\n\n").into()).collect();
        let out: Vec<Bytes> =
            futures::executor::block_on(stream("m".into(), 7, stream::iter(pieces)).collect());
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

    fn delta(delta: Value) -> Value {
        json!({"choices": [{"delta": delta, "finish_reason": null}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 1}})
    }

    fn finish(word: &str) -> Value {
        json!({"choices": [{"delta": {}, "finish_reason": word}]})
    }

    #[test]
    fn every_kind_of_content_and_every_call_has_a_block_of_its_own() {
        let call = |function: Value| delta(json!({"tool_calls": [{"id": "c", "function": function}]}));
        let events = events(&[
            json!({"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": null}]}),
            delta(json!({"reasoning_content": "hm"})),
            delta(json!({"content": "so"})),
            delta(json!({"content": "!"})),
            call(json!({"name": "f", "arguments": ""})),
            call(json!({"arguments": "{}"})),
            call(json!({"name": "g", "arguments": "{\"a\""})),
            finish("tool_calls"),
            json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 8}}),
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
        let error = json!({"error": {"code": 503, "message": "The request queue is full."}});
        let events = events(&[delta(json!({"content": "a"})), error, delta(json!({"content": "b"}))]);
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
    fn an_empty_answer_is_whole_and_a_broken_one_is_an_error() {
        let counts = json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 1}});
        assert_eq!(
            events(&[finish("stop"), counts]),
            [
                r#"message_start {"input_tokens":9,"output_tokens":0}"#,
                r#"message_delta "end_turn" {"output_tokens":1}"#,
                "message_stop",
            ]
        );
        assert!(events(&[])[1].starts_with(r#"error {"type":"api_error""#));
        assert_eq!(events(&[json!({"choices": 5})]).last().unwrap(), "message_stop");
    }
}
