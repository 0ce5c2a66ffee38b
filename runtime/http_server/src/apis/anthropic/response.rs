//! A chat completion's answer in the words of the Messages API.

use serde_json::{Map, Value, json};
use sglang_tokenizer_manager::requests::call_arguments;

/// `stop_reason` of a finish reason. A text of `stop_sequences` ends the turn like the model itself.
pub fn stop_reason(finish_reason: Option<&str>) -> &'static str {
    match finish_reason {
        Some("length") => "max_tokens",
        Some("tool_calls") => "tool_use",
        _ => "end_turn",
    }
}

/// Id of a new message.
pub fn new_message_id() -> String {
    format!("msg_{}", uuid::Uuid::new_v4().simple())
}

/// Counts that are given at the start of an answer, or with the whole: tokens from the cache are counted apart, when
/// they are reported.
pub fn usage(prompt_tokens: u64, cached_tokens: u64, output_tokens: u64) -> Value {
    let mut usage = json!({
        "input_tokens": prompt_tokens.saturating_sub(cached_tokens),
        "output_tokens": output_tokens,
    });
    if cached_tokens > 0 {
        usage["cache_read_input_tokens"] = cached_tokens.into();
    }
    usage
}

/// Counts of a chat completion: prompt, from the cache, output.
pub fn counts(usage: &Value) -> (u64, u64, u64) {
    let count = |value: &Value| value.as_u64().unwrap_or_default();
    (
        count(&usage["prompt_tokens"]),
        count(&usage["prompt_tokens_details"]["cached_tokens"]),
        count(&usage["completion_tokens"]),
    )
}

/// Arguments of a call. Of one that was cut off, the members that are complete, as clients make of the stream; what is
/// no object is an empty one, as the block cannot hold anything else.
fn input(name: &str, arguments: &str) -> Map<String, Value> {
    call_arguments::read(&arguments.into()).unwrap_or_else(|_| {
        tracing::warn!("A call of {name} has arguments that are no JSON object: {arguments}");
        Map::new()
    })
}

/// The message that a chat completion's answer, as JSON, becomes.
pub fn message(chat: &Value) -> Value {
    let choice = &chat["choices"][0];
    let text = |key: &str| choice["message"][key].as_str().filter(|text| !text.is_empty());
    let mut content = Vec::new();
    if let Some(thinking) = text("reasoning_content") {
        content.push(json!({"type": "thinking", "thinking": thinking}));
    }
    if let Some(text) = text("content") {
        content.push(json!({"type": "text", "text": text}));
    }
    for call in choice["message"]["tool_calls"].as_array().into_iter().flatten() {
        let name = call["function"]["name"].as_str().unwrap_or_default();
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        content.push(
            json!({"type": "tool_use", "id": call["id"], "name": name, "input": input(name, arguments)}),
        );
    }
    if content.is_empty() {
        content.push(json!({"type": "text", "text": ""}));
    }
    let (prompt, cached, output) = counts(&chat["usage"]);
    json!({
        "id": new_message_id(),
        "type": "message",
        "role": "assistant",
        "content": content,
        "model": chat["model"],
        "stop_reason": stop_reason(choice["finish_reason"].as_str()),
        "usage": usage(prompt, cached, output),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinking_text_and_calls_are_blocks_in_this_order() {
        let call = |arguments: &str| json!({"id": "c", "function": {"name": "f", "arguments": arguments}});
        let chat = json!({"model": "m", "choices": [{"finish_reason": "tool_calls", "message": {
            "content": "so", "reasoning_content": "hm", "tool_calls": [call("{\"a\":1}"), call("\"no object\""),
            call("{\"a\": 1, \"b\": \"cut o")]}}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}});
        let message = message(&chat);
        assert_eq!(
            message["content"],
            json!([
                {"type": "thinking", "thinking": "hm"},
                {"type": "text", "text": "so"},
                {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "c", "name": "f", "input": {}},
                {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}},
            ])
        );
        assert_eq!(message["stop_reason"], "tool_use");
        assert_eq!(
            message["usage"].to_string(),
            r#"{"input_tokens":5,"output_tokens":3,"cache_read_input_tokens":4}"#
        );
    }

    #[test]
    fn an_empty_answer_has_one_empty_block() {
        let chat = json!({"model": "m", "choices": [{"finish_reason": "stop", "message": {"content": ""}}]});
        assert_eq!(message(&chat)["content"], json!([{"type": "text", "text": ""}]));
        assert_eq!(message(&chat)["stop_reason"], "end_turn");
    }
}
