//! The output items of a growing answer, and the events about them.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use flate2::Compression;
use flate2::read::{ZlibDecoder, ZlibEncoder};
use serde::Serialize;
use serde_json::{Value, json};
use sglang_tokenizer_manager::requests::normalize::new_rid;

use super::request::ResponsesRequest;
use super::tools::{decode_input, decode_input_prefix};
use crate::answer::event::Event;

const CUSTOM_DELTA: &str = "response.custom_tool_call_input.delta";
const REASONING_STATE: &str = "sglang-reasoning-v1.";
/// The most bytes of reasoning that are decoded.
const MAX_REASONING: u64 = 16 << 20;

/// Reasoning as the opaque text of `encrypted_content`. The text is compressed, not encrypted.
fn encode_reasoning(text: &str) -> Option<String> {
    let mut packed = Vec::new();
    ZlibEncoder::new(text.as_bytes(), Compression::default()).read_to_end(&mut packed).ok()?;
    Some(format!("{REASONING_STATE}{}", URL_SAFE.encode(packed)))
}

/// The reasoning in an `encrypted_content` from this server or the reference.
pub(super) fn decode_reasoning(state: &str) -> Option<String> {
    let packed = URL_SAFE.decode(state.strip_prefix(REASONING_STATE)?).ok()?;
    let mut text = String::new();
    ZlibDecoder::new(packed.as_slice()).take(MAX_REASONING).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The fields of a request that decide how items look.
#[derive(Clone, Debug, Default)]
pub struct ItemOptions {
    summary: bool,
    encrypted: bool,
    custom_names: Vec<String>,
}

impl ItemOptions {
    /// The options of `request`.
    pub fn new(request: &ResponsesRequest) -> Self {
        Self {
            summary: request.summary,
            encrypted: request.include_encrypted_reasoning,
            custom_names: request.custom_names(),
        }
    }
}

/// The item that is growing.
#[derive(Clone, Debug, PartialEq)]
enum Open {
    Reasoning { id: String, text: String },
    Message { id: String, text: String },
    Call { index: usize, id: String, call_id: String, name: String, arguments: String },
    Custom { index: usize, id: String, call_id: String, name: String, arguments: String, input: String },
}

/// More text of an item: the only kind of event that is sent for every token.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<usize>,
    delta: String,
    item_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<[(); 0]>,
    output_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_index: Option<usize>,
    /// The event's number in the stream.
    pub sequence_number: u64,
    /// Name of the event.
    pub r#type: &'static str,
}

/// An event about an item.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemEvent {
    /// More text.
    Delta(Delta),
    /// Any other event, still without its number.
    Other(Value),
}

/// Builds the items of one answer.
#[derive(Clone, Debug, Default)]
pub struct Items {
    options: ItemOptions,
    closed: Vec<Value>,
    open: Option<Open>,
    events: Vec<ItemEvent>,
}

fn short_id(prefix: &str) -> String {
    let id = new_rid();
    format!("{prefix}_{}", id.get(..8).unwrap_or(&id))
}

fn output_text(text: &str, logprobs: Option<&Value>) -> Value {
    json!({"annotations": [], "text": text, "type": "output_text", "logprobs": logprobs})
}

fn message(id: &str, content: Vec<Value>, status: &str, phase: &str) -> Value {
    json!({"id": id, "content": content, "role": "assistant", "status": status, "type": "message", "phase": phase})
}

impl Items {
    /// No items yet.
    pub fn new(options: ItemOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// The index of the open item in the output.
    fn place(&self) -> usize {
        self.closed.len()
    }

    fn event(&mut self, event: Value) {
        self.events.push(ItemEvent::Other(event));
    }

    fn delta(&mut self, r#type: &'static str, item_id: String, delta: String) {
        let delta = Delta {
            content_index: None,
            delta,
            item_id,
            logprobs: None,
            output_index: self.place(),
            summary_index: None,
            sequence_number: 0,
            r#type,
        };
        self.events.push(ItemEvent::Delta(match r#type {
            "response.output_text.delta" => Delta { content_index: Some(0), logprobs: Some([]), ..delta },
            "response.reasoning_text.delta" => Delta { content_index: Some(0), ..delta },
            "response.reasoning_summary_text.delta" => Delta { summary_index: Some(0), ..delta },
            _ => delta,
        }));
    }

    /// The events since the last call, still without their numbers.
    pub fn take_events(&mut self) -> Vec<ItemEvent> {
        std::mem::take(&mut self.events)
    }

    /// Processes the next event of the answer, except its end. `cut` are the indices of the calls that stay incomplete.
    pub fn push(&mut self, event: Event, cut: &[usize]) {
        match event {
            Event::Started | Event::End(_) => {}
            Event::Reasoning(text) => self.reasoning(text, cut),
            Event::Text(text) => self.content(text, cut),
            Event::Call(call) => match call.function.name {
                Some(name) => {
                    self.close(cut, true);
                    self.open_call(call.index, call.id.unwrap_or_default(), name);
                    self.arguments(call.function.arguments);
                }
                None => self.arguments(call.function.arguments),
            },
        }
    }

    fn reasoning(&mut self, text: String, cut: &[usize]) {
        if !matches!(self.open, Some(Open::Reasoning { .. })) {
            self.close(cut, false);
            let (id, place) = (format!("rs_{}", new_rid()), self.place());
            self.event(json!({"item": {"id": id, "summary": [], "type": "reasoning", "content": [],
                "encrypted_content": null, "status": "in_progress"},
                "output_index": place, "type": "response.output_item.added"}));
            self.event(match self.options.summary {
                true => {
                    json!({"item_id": id, "output_index": place, "part": {"text": "", "type": "summary_text"},
                    "summary_index": 0, "type": "response.reasoning_summary_part.added"})
                }
                false => json!({"content_index": 0, "item_id": id, "output_index": place,
                    "part": {"text": "", "type": "reasoning_text"}, "type": "response.content_part.added"}),
            });
            self.open = Some(Open::Reasoning { id, text: String::new() });
        }
        let Some(Open::Reasoning { id, text: whole }) = &mut self.open else { return };
        whole.push_str(&text);
        let id = id.clone();
        let name = match self.options.summary {
            true => "response.reasoning_summary_text.delta",
            false => "response.reasoning_text.delta",
        };
        self.delta(name, id, text);
    }

    fn content(&mut self, text: String, cut: &[usize]) {
        // White space between two calls is not a message.
        let behind_call = matches!(self.open, Some(Open::Call { .. } | Open::Custom { .. }));
        if text.is_empty() || (behind_call && text.trim().is_empty()) {
            return;
        }
        if !matches!(self.open, Some(Open::Message { .. })) {
            self.close(cut, false);
            let (id, place) = (format!("msg_{}", new_rid()), self.place());
            let item = message(&id, Vec::new(), "in_progress", "final_answer");
            self.event(json!({"item": item, "output_index": place, "type": "response.output_item.added"}));
            self.event(json!({"content_index": 0, "item_id": id, "output_index": place, "part": output_text("", None),
                "type": "response.content_part.added"}));
            self.open = Some(Open::Message { id, text: String::new() });
        }
        let Some(Open::Message { id, text: whole }) = &mut self.open else { return };
        whole.push_str(&text);
        let id = id.clone();
        self.delta("response.output_text.delta", id, text);
    }

    fn open_call(&mut self, index: usize, call_id: String, name: String) {
        let custom = self.options.custom_names.contains(&name);
        let (item, open) = if custom {
            let id = short_id("ctc");
            let item =
                json!({"call_id": call_id, "input": "", "name": name, "type": "custom_tool_call", "id": id});
            (item, Open::Custom { index, id, call_id, name, arguments: String::new(), input: String::new() })
        } else {
            let id = short_id("fc");
            let item = json!({"arguments": "", "call_id": call_id, "name": name, "type": "function_call", "id": id,
                "status": "in_progress"});
            (item, Open::Call { index, id, call_id, name, arguments: String::new() })
        };
        // A message before a call is commentary, not the final answer.
        for item in self.closed.iter_mut().filter(|item| item["type"] == "message") {
            item["phase"] = "commentary".into();
        }
        let place = self.place();
        self.event(json!({"item": item, "output_index": place, "type": "response.output_item.added"}));
        self.open = Some(open);
    }

    fn arguments(&mut self, more: String) {
        if more.is_empty() {
            return;
        }
        match &mut self.open {
            Some(Open::Call { id, arguments, .. }) => {
                arguments.push_str(&more);
                let id = id.clone();
                self.delta("response.function_call_arguments.delta", id, more);
            }
            Some(Open::Custom { id, arguments, input, .. }) => {
                arguments.push_str(&more);
                let so_far = decode_input_prefix(arguments);
                let Some(delta) = so_far.strip_prefix(input.as_str()).filter(|delta| !delta.is_empty())
                else {
                    return;
                };
                let (id, delta) = (id.clone(), delta.to_owned());
                *input = so_far;
                self.delta(CUSTOM_DELTA, id, delta);
            }
            _ => {}
        }
    }

    /// Closes the open item. `for_call`: a call follows.
    fn close(&mut self, cut: &[usize], for_call: bool) {
        let place = self.place();
        let Some(open) = self.open.take() else { return };
        let item = match open {
            Open::Reasoning { id, text } => self.close_reasoning(place, &id, &text),
            Open::Message { id, text } => {
                let part = output_text(&text, None);
                self.event(json!({"content_index": 0, "item_id": id, "logprobs": [], "output_index": place, "text": text,
                    "type": "response.output_text.done"}));
                self.event(json!({"content_index": 0, "item_id": id, "output_index": place, "part": part,
                    "type": "response.content_part.done"}));
                message(&id, vec![part], "completed", if for_call { "commentary" } else { "final_answer" })
            }
            Open::Call { index, id, call_id, name, arguments } => {
                self.event(
                    json!({"arguments": arguments, "item_id": id, "name": name, "output_index": place,
                    "type": "response.function_call_arguments.done"}),
                );
                let status = if cut.contains(&index) { "incomplete" } else { "completed" };
                json!({"arguments": arguments, "call_id": call_id, "name": name, "type": "function_call", "id": id,
                    "status": status})
            }
            Open::Custom { id, call_id, name, arguments, input: sent, .. } => {
                // Text that was sent cannot be corrected later.
                let whole = decode_input(&arguments);
                let whole = if whole.starts_with(&sent) { whole } else { sent.clone() };
                if let Some(rest) = whole.strip_prefix(sent.as_str()).filter(|rest| !rest.is_empty()) {
                    self.delta(CUSTOM_DELTA, id.clone(), rest.to_owned());
                }
                self.event(json!({"input": whole, "item_id": id, "output_index": place,
                    "type": "response.custom_tool_call_input.done"}));
                json!({"call_id": call_id, "input": whole, "name": name, "type": "custom_tool_call", "id": id})
            }
        };
        self.event(json!({"item": item, "output_index": place, "type": "response.output_item.done"}));
        self.closed.push(item);
    }

    fn close_reasoning(&mut self, place: usize, id: &str, text: &str) -> Value {
        if self.options.summary {
            self.event(json!({"item_id": id, "output_index": place, "summary_index": 0, "text": text,
                "type": "response.reasoning_summary_text.done"}));
            self.event(
                json!({"item_id": id, "output_index": place, "part": {"text": text, "type": "summary_text"},
                "summary_index": 0, "type": "response.reasoning_summary_part.done"}),
            );
        } else {
            self.event(json!({"content_index": 0, "item_id": id, "output_index": place, "text": text,
                "type": "response.reasoning_text.done"}));
            self.event(json!({"content_index": 0, "item_id": id, "output_index": place,
                "part": {"text": text, "type": "reasoning_text"}, "type": "response.content_part.done"}));
        }
        let summary =
            if self.options.summary { json!([{"text": text, "type": "summary_text"}]) } else { json!([]) };
        let encrypted = if self.options.encrypted { encode_reasoning(text) } else { None };
        json!({"id": id, "summary": summary, "type": "reasoning", "content": [{"text": text, "type": "reasoning_text"}],
            "encrypted_content": encrypted, "status": "completed"})
    }

    /// Ends the answer and returns its items. `logprobs` are those of the whole output; its last message gets them.
    pub fn finish(&mut self, cut: &[usize], logprobs: Option<&Value>) -> Vec<Value> {
        self.close(cut, false);
        if let (Some(logprobs), Some(message)) =
            (logprobs, self.closed.iter_mut().rfind(|item| item["type"] == "message"))
        {
            message["content"][0]["logprobs"] = logprobs.clone();
        }
        self.closed.clone()
    }
}

#[cfg(test)]
mod tests;
