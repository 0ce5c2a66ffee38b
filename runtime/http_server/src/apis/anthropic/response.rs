//! A whole answer as a message of the Messages API.

use serde_json::{Map, Value, json};
use sglang_tokenizer_manager::requests::call_arguments;
use sglang_tokenizer_manager::state::Counts;

use crate::answer::format::Answer;

/// `stop_reason` for a finish reason. A match of `stop_sequences` ends the turn, like the model's own stop.
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

/// Token counts, for the start of a stream or for a whole answer. With `cache_report`, tokens from the cache are
/// reported separately.
pub fn usage(counts: Counts, cache_report: bool) -> Value {
    let cached = if cache_report { counts.cached_tokens } else { 0 };
    let mut usage = json!({
        "input_tokens": counts.prompt_tokens.saturating_sub(cached),
        "output_tokens": counts.completion_tokens,
    });
    if cached > 0 {
        usage["cache_read_input_tokens"] = cached.into();
    }
    usage
}

/// The arguments of a call. For a call that was cut off, only the complete members, which is also what clients make of
/// a stream. Arguments that are not an object become an empty one, since the block requires an object.
fn input(name: &str, arguments: &str) -> Map<String, Value> {
    call_arguments::read(&arguments.into()).unwrap_or_else(|_| {
        tracing::warn!("A call of {name} has arguments that are no JSON object: {arguments}");
        Map::new()
    })
}

/// The message for an answer.
pub fn message(model: &str, answer: &Answer, counts: Counts, cache_report: bool) -> Value {
    let mut content = Vec::new();
    if let Some(thinking) = answer.reasoning_content.as_deref().filter(|text| !text.is_empty()) {
        content.push(json!({"type": "thinking", "thinking": thinking}));
    }
    if !answer.content.is_empty() {
        content.push(json!({"type": "text", "text": answer.content}));
    }
    for call in &answer.tool_calls {
        let name = call.function.name.as_deref().unwrap_or_default();
        let input = input(name, &call.function.arguments);
        content.push(json!({"type": "tool_use", "id": call.id, "name": name, "input": input}));
    }
    if content.is_empty() {
        content.push(json!({"type": "text", "text": ""}));
    }
    json!({
        "id": new_message_id(),
        "type": "message",
        "role": "assistant",
        "content": content,
        "model": model,
        "stop_reason": stop_reason(answer.finish_reason),
        "usage": usage(counts, cache_report),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::event::{FunctionCall, ToolCall};

    fn answer(content: &str, finish_reason: &'static str) -> Answer {
        Answer {
            content: content.into(),
            reasoning_content: None,
            tool_calls: Vec::new(),
            finish_reason: Some(finish_reason),
            matched_stop: None,
        }
    }

    #[test]
    fn thinking_text_and_calls_are_blocks_in_this_order() {
        let call = |arguments: &str| ToolCall {
            id: Some("c".into()),
            index: 0,
            r#type: "function",
            function: FunctionCall { name: Some("f".into()), arguments: arguments.into() },
        };
        let calls = ["{\"a\":1}", "\"no object\"", "{\"a\": 1, \"b\": \"cut o"];
        let answer = Answer {
            reasoning_content: Some("hm".into()),
            tool_calls: calls.map(call).into(),
            ..answer("so", "tool_calls")
        };
        let counts =
            Counts { prompt_tokens: 9, completion_tokens: 3, cached_tokens: 4, ..Default::default() };
        let message = message("m", &answer, counts, true);
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
        assert_eq!(usage(counts, false).to_string(), r#"{"input_tokens":9,"output_tokens":3}"#);
    }

    #[test]
    fn an_empty_answer_has_one_empty_block() {
        let message = message("m", &answer("", "stop"), Counts::default(), false);
        assert_eq!(message["content"], json!([{"type": "text", "text": ""}]));
        assert_eq!(message["stop_reason"], "end_turn");
    }
}
