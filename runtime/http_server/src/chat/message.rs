//! Reads chat messages into the JSON objects that templates see (reference: `ChatCompletionMessageParam`).

use serde_json::{Map, Value, json};
use sglang_tokenizer_manager::requests::call_arguments::{self, NoArguments};
use sglang_tokenizer_manager::requests::validation::{Loc, Mismatch, Read, given, list, object, string};

const ROLES: [&str; 7] = ["system", "assistant", "tool", "function", "developer", "latest_reminder", "root"];

/// Kinds of content parts that a text model does not support.
pub const MEDIA_PARTS: [&str; 4] = ["image_url", "video_url", "audio_url", "input_audio"];

fn role(value: &Value) -> Read<&'static str> {
    let Some(text) = value.as_str() else {
        return Err(Mismatch::rule("'role' must be a string", value));
    };
    let lower = text.to_lowercase();
    if text == "user" {
        return Ok("user");
    }
    ROLES.into_iter().find(|known| *known == lower).ok_or_else(|| {
        let allowed: Vec<String> = ROLES.iter().map(|r| format!("'{r}'")).collect();
        Mismatch::rule(
            format!("'role' must be one of 'user', {} (case-insensitive).", allowed.join(", ")),
            value,
        )
    })
}

fn text_field(map: &Map<String, Value>, whole: &Value, key: &'static str) -> Read<String> {
    match map.get(key) {
        None => Err(Mismatch::missing(key, whole)),
        Some(value) => string(value).map_err(|m| m.under(key)),
    }
}

/// Reads one part of a list content.
fn part(value: &Value, assistant: bool) -> Read<Value> {
    let map = object(value)?;
    let kind = text_field(&map, value, "type")?;
    match kind.as_str() {
        "text" => Ok(json!({"type": "text", "text": text_field(&map, value, "text")?})),
        "thinking" | "reasoning" => {
            if !assistant {
                return Err(Mismatch::rule(
                    "thinking content parts are only valid in assistant messages",
                    value,
                ));
            }
            Ok(value.clone())
        }
        "refusal" => Ok(json!({"type": "text", "text": text_field(&map, value, "refusal")?})),
        "tool_reference" => Ok(json!({"type": "tool_reference", "name": text_field(&map, value, "name")?})),
        kind if MEDIA_PARTS.contains(&kind) => Ok(value.clone()),
        _ => Err(Mismatch::literal(
            &[
                "text",
                "refusal",
                "thinking",
                "reasoning",
                "image_url",
                "video_url",
                "audio_url",
                "input_audio",
                "tool_reference",
            ],
            map.get("type").unwrap_or(value),
        )
        .under("type")),
    }
}

fn content(value: &Value, role: &str) -> Read<Value> {
    match value {
        Value::String(_) => Ok(value.clone()),
        Value::Null if role != "user" => Ok(Value::Null),
        Value::Array(_) => list(|v| part(v, role == "assistant"))(value).map(Value::Array),
        _ => Err(Mismatch::new("string_type", "Input should be a valid string", value)),
    }
}

/// Reads the arguments of a call in the history as an object, since templates iterate over it.
fn arguments(value: &Value) -> Read<Value> {
    call_arguments::read(value).map(Value::Object).map_err(|why| {
        let what = match why {
            NoArguments::NotJson => "valid JSON",
            NoArguments::NotAnObject => "a JSON object",
        };
        Mismatch::rule(format!("Assistant tool call function.arguments must be {what}."), value)
    })
}

fn tool_call(value: &Value, strict: bool) -> Read<Value> {
    let map = object(value)?;
    let function = map.get("function").ok_or_else(|| Mismatch::missing("function", value))?;
    let function = object(function).map_err(|m| m.under("function"))?;
    let mut call = Map::new();
    call.insert("id".into(), map.get("id").cloned().unwrap_or_default());
    call.insert("index".into(), map.get("index").cloned().unwrap_or_default());
    call.insert("type".into(), given(&map, "type").cloned().unwrap_or_else(|| "function".into()));
    let given = function.get("arguments").cloned().unwrap_or_default();
    let arguments =
        if strict { arguments(&given).map_err(|m| m.under("arguments").under("function"))? } else { given };
    call.insert(
        "function".into(),
        json!({"name": function.get("name").cloned().unwrap_or_default(), "arguments": arguments}),
    );
    Ok(Value::Object(call))
}

/// Reads one message. The result has no nulls, except possibly a null content.
pub fn message(value: &Value) -> Read<Value> {
    let map = object(value)?;
    let role = match map.get("role") {
        None => return Err(Mismatch::missing("role", value)),
        Some(given) => role(given).map_err(|m| m.under("role"))?,
    };
    let mut message = Map::new();
    message.insert("role".into(), role.into());
    let given = map.get("content").unwrap_or(&Value::Null);
    if role == "user" && !map.contains_key("content") {
        return Err(Mismatch::missing("content", value));
    }
    let mut content = content(given, role).map_err(|m| m.under("content"))?;
    // A refusal without content has its text in a separate field.
    if let Some(refusal) = map.get("refusal").filter(|v| !v.is_null() && role == "assistant") {
        let refusal = string(refusal).map_err(|m| m.under("refusal"))?;
        if matches!(content, Value::Null) || content == "" {
            content = refusal.into();
        }
    }
    message.insert("content".into(), content);
    if role == "user" {
        return Ok(Value::Object(message));
    }
    for key in ["tool_call_id", "name", "phase", "reasoning_content"] {
        if let Some(value) = map.get(key).filter(|v| !v.is_null()) {
            message.insert(key.into(), string(value).map_err(|m| m.under(key))?.into());
        }
    }
    if let Some(calls) = map.get("tool_calls").filter(|v| !v.is_null()) {
        let calls = list(|v| tool_call(v, role == "assistant"))(calls).map_err(|m| m.under("tool_calls"))?;
        message.insert("tool_calls".into(), calls.into());
    }
    if let Some(tools) = map.get("tools").filter(|v| !v.is_null()) {
        let tools = list(tool)(tools).map_err(|m| m.under("tools"))?;
        message.insert("tools".into(), tools.into());
    }
    Ok(Value::Object(message))
}

/// Reads one tool definition. The function's keys keep the client's order, since templates print them. Type names of
/// other languages become those of JSON Schema.
pub fn tool(value: &Value) -> Read<Value> {
    let map = object(value)?;
    let inner = map.get("function").ok_or_else(|| Mismatch::missing("function", value))?;
    let function = object(inner).map_err(|m| m.under("function"))?;
    let name = text_field(&function, inner, "name").map_err(|m| m.under("function"))?;
    if name.trim().is_empty() {
        let empty = Mismatch::rule("a function needs a name that is not empty", inner);
        return Err(empty.under("name").under("function"));
    }
    if let Some(schema) = function.get("parameters").filter(|p| !p.is_null() && !p.is_object()) {
        let mismatch = Mismatch::new("dict_type", "Input should be a valid dictionary", schema);
        return Err(mismatch.under("parameters").under("function"));
    }
    let mut tool = Map::new();
    tool.insert("type".into(), given(&map, "type").cloned().unwrap_or_else(|| "function".into()));
    let mut kept = Map::new();
    for (key, mut value) in function {
        if key == "parameters" {
            sglang_json_schema::normalize_types(&mut value);
        }
        let known = ["description", "name", "parameters", "strict", "defer_loading"].contains(&key.as_str());
        let absent = value.is_null() && ["strict", "defer_loading"].contains(&key.as_str());
        if known && !absent {
            kept.insert(key, value);
        }
    }
    for key in ["description", "parameters"] {
        kept.entry(key).or_insert(Value::Null);
    }
    tool.insert("function".into(), kept.into());
    Ok(Value::Object(tool))
}

/// Reads the messages of a request.
pub fn messages(value: &Value) -> Read<Vec<Value>> {
    let items =
        value.as_array().ok_or_else(|| Mismatch::new("list_type", "Input should be a valid list", value))?;
    items.iter().enumerate().map(|(i, v)| message(v).map_err(|m| m.under(Loc::Index(i)))).collect()
}

/// The text of an assistant message whose content is one text or a list of parts. `None` for other roles, and for
/// messages with tool calls or with parts other than text and thinking.
pub fn answer_text(message: &Value) -> Option<String> {
    let has_calls = message["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty());
    if message["role"] != "assistant" || has_calls {
        return None;
    }
    match &message["content"] {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let text = |part: &Value| match part["type"].as_str() {
                Some("text") => part["text"].as_str().map(str::to_owned),
                Some("thinking" | "reasoning") => Some(String::new()),
                _ => None,
            };
            parts.iter().map(text).collect()
        }
        _ => None,
    }
}

/// The type of the first part that is not text, in any message.
pub fn media_part(messages: &[Value]) -> Option<&str> {
    messages
        .iter()
        .filter_map(|m| m.get("content").and_then(Value::as_array))
        .flatten()
        .filter_map(|part| part.get("type").and_then(Value::as_str))
        .find(|kind| MEDIA_PARTS.contains(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_case_insensitive_except_user() {
        assert_eq!(message(&json!({"role": "System", "content": "x"})).unwrap()["role"], "system");
        assert!(message(&json!({"role": "User", "content": "x"})).is_err());
        assert!(message(&json!({"role": "wizard", "content": "x"})).is_err());
        assert!(message(&json!({"role": "user"})).is_err());
        assert_eq!(
            message(&json!({"role": "assistant"})).unwrap(),
            json!({"role": "assistant", "content": null})
        );
    }

    #[test]
    fn call_arguments_become_objects() {
        let call = |arguments: Value| {
            message(
                &json!({"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": arguments}}]}),
            )
        };
        assert_eq!(
            call(json!("{\"a\": 1}")).unwrap()["tool_calls"][0]["function"]["arguments"],
            json!({"a": 1})
        );
        let object = |arguments: Value| {
            let message = call(arguments.clone()).unwrap_or_else(|e| panic!("{arguments}: {e:?}"));
            message["tool_calls"][0]["function"]["arguments"].clone()
        };
        for nothing in [json!(""), json!("null"), json!(null), json!({}), json!("{\"a\": \"cut o")] {
            assert_eq!(object(nothing.clone()), json!({}), "{nothing}");
        }
        assert_eq!(object(json!({"a": 1})), json!({"a": 1}));
        assert_eq!(object(json!("\"{\\\"a\\\": 1}\"")), json!({"a": 1}));
        assert_eq!(object(json!("{\"a\": 1, \"b\": [2")), json!({"a": 1}));
        assert!(call(json!("[1]")).is_err());
        assert!(call(json!("{oops")).is_err());
        assert!(call(json!(5)).is_err());
        let bare = json!({"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f"}}]});
        assert_eq!(message(&bare).unwrap()["tool_calls"][0]["function"]["arguments"], json!({}));
    }

    #[test]
    fn a_refusal_is_text() {
        let parts = json!([{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "I cannot."}]);
        let read = message(&json!({"role": "assistant", "content": parts})).unwrap();
        assert_eq!(read["content"][1], json!({"type": "text", "text": "I cannot."}));
        assert_eq!(answer_text(&read).as_deref(), Some("aI cannot."));
        let of = |more: Value| {
            let mut body = json!({"role": "assistant", "refusal": "No."});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            message(&body).map(|read| read["content"].clone())
        };
        assert_eq!(of(json!({})).unwrap(), "No.");
        assert_eq!(of(json!({"content": null})).unwrap(), "No.");
        assert_eq!(of(json!({"content": "x"})).unwrap(), "x");
        assert_eq!(of(json!({"refusal": null})).unwrap(), Value::Null);
        assert!(of(json!({"refusal": 5})).is_err());
        assert!(message(&json!({"role": "assistant", "content": [{"type": "refusal"}]})).is_err());
    }

    #[test]
    fn tools_keep_the_clients_key_order() {
        let read = tool(
            &json!({"type": "function", "function": {"parameters": {"b": 1, "a": 2}, "name": "f", "strict": null}}),
        );
        assert_eq!(
            read.unwrap().to_string(),
            r#"{"type":"function","function":{"parameters":{"b":1,"a":2},"name":"f","description":null}}"#
        );
        let refused = |function: Value| tool(&json!({"type": "function", "function": function})).unwrap_err();
        refused(json!({}));
        refused(json!({"name": " "}));
        refused(json!({"name": "f", "parameters": [1]}));
        let read =
            tool(&json!({"function": {"name": "f", "parameters": {"properties": {"a": {"type": "int"}}}}}));
        assert_eq!(read.unwrap()["function"]["parameters"]["properties"]["a"]["type"], "integer");
    }

    #[test]
    fn the_text_of_an_answer_is_that_of_its_parts() {
        let text = |content: Value| answer_text(&json!({"role": "assistant", "content": content}));
        assert_eq!(text(json!("a")).as_deref(), Some("a"));
        assert_eq!(text(Value::Null).as_deref(), Some(""));
        let parts = json!([{"type": "thinking", "thinking": "t"}, {"type": "text", "text": "a"},
            {"type": "text", "text": " b"}]);
        assert_eq!(text(parts).as_deref(), Some("a b"));
        assert_eq!(text(json!([{"type": "image_url"}])), None);
        assert_eq!(answer_text(&json!({"role": "user", "content": "a"})), None);
        let call = json!({"role": "assistant", "content": "a", "tool_calls": [{"id": "c"}]});
        assert_eq!(answer_text(&call), None);
    }

    #[test]
    fn media_parts_are_found_and_thinking_is_for_assistants() {
        let image = json!({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]});
        assert_eq!(media_part(&[message(&image).unwrap()]), Some("image_url"));
        assert!(message(&json!({"role": "user", "content": [{"type": "thinking", "text": "a"}]})).is_err());
        assert!(message(&json!({"role": "user", "content": [{"type": "song"}]})).is_err());
    }
}
