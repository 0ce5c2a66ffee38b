//! Converts the items of a conversation to chat completion messages (reference: `_normalize_response_message_for_chat`,
//! `_construct_input_messages`).

use serde_json::{Map, Value, json};
use sglang_tokenizer_manager::requests::call_arguments;

use super::error::ResponsesError;
use super::items::decode_reasoning;
use super::tools::encode_input;

/// Prefix of a developer's instructions that become a system message.
const DEVELOPER: &str = "Developer instructions:";

fn texts(parts: &Value) -> Vec<&str> {
    let parts = parts.as_array().map(Vec::as_slice).unwrap_or_default();
    parts.iter().filter_map(|part| part["text"].as_str()).filter(|text| !text.is_empty()).collect()
}

fn part(value: &Value) -> Value {
    match value["type"].as_str() {
        Some("input_text" | "output_text") => json!({"type": "text", "text": value["text"]}),
        Some("refusal") => json!({"type": "text", "text": value["refusal"]}),
        Some("input_image") => json!({"type": "image_url", "image_url": value["image_url"]}),
        _ => value.clone(),
    }
}

/// Arguments in a form that templates can read; incomplete ones are left out.
fn arguments(value: &Value) -> String {
    Value::Object(call_arguments::read(value).unwrap_or_default()).to_string()
}

fn call(item: &Value, arguments: String) -> Value {
    let id = ["call_id", "id"].iter().find_map(|key| item[*key].as_str());
    json!({"role": "assistant", "tool_calls": [
        {"id": id, "type": "function", "function": {"name": item["name"], "arguments": arguments}}]})
}

fn reasoning(item: &Value) -> Option<Value> {
    let told = [texts(&item["summary"]), texts(&item["content"])].into_iter().find(|texts| !texts.is_empty());
    let text = match told {
        Some(texts) => texts.join("\n"),
        None => decode_reasoning(item["encrypted_content"].as_str()?)?,
    };
    Some(json!({"role": "assistant", "reasoning_content": text}))
}

/// Marks a developer's instructions, to distinguish them from those of the system.
fn labelled(content: &Value) -> Value {
    match content {
        Value::String(text) => format!("{DEVELOPER}\n{text}").into(),
        Value::Array(parts) => {
            let mut parts = parts.clone();
            match parts.iter_mut().find(|part| part["text"].is_string()) {
                Some(part) => {
                    let text = part["text"].as_str().unwrap_or_default();
                    part["text"] = format!("{DEVELOPER}\n{text}").into();
                }
                None => parts.insert(0, json!({"type": "input_text", "text": DEVELOPER})),
            }
            parts.into()
        }
        other => other.clone(),
    }
}

fn message(item: &Map<String, Value>) -> Value {
    let mut message = Map::new();
    for (key, value) in item {
        if !value.is_null() && !["id", "status", "type"].contains(&key.as_str()) {
            message.insert(key.clone(), value.clone());
        }
    }
    if message.get("role").is_some_and(|role| role == "developer") {
        let content = labelled(message.get("content").unwrap_or(&Value::Null));
        message.insert("role".into(), "system".into());
        message.insert("content".into(), content);
    }
    if let Some(Value::Array(parts)) = message.get_mut("content") {
        *parts = parts.iter().map(part).collect();
    }
    Value::Object(message)
}

/// One item as a message; `None` for empty reasoning.
fn to_message(index: usize, item: &Value) -> Result<Option<Value>, ResponsesError> {
    let Value::Object(map) = item else {
        return Err(ResponsesError::invalid(format!("input[{index}] is no object"), "input"));
    };
    Ok(match item["type"].as_str() {
        Some("function_call") => Some(call(item, arguments(&item["arguments"]))),
        Some("custom_tool_call") => {
            Some(call(item, encode_input(item["input"].as_str().unwrap_or_default())))
        }
        Some("function_call_output" | "custom_tool_call_output") => {
            let output = match &item["output"] {
                Value::Array(_) => texts(&item["output"]).concat().into(),
                other => other.clone(),
            };
            Some(json!({"role": "tool", "tool_call_id": item["call_id"], "content": output}))
        }
        Some("reasoning") => reasoning(item),
        None | Some("message") => Some(message(map)),
        Some(other) => {
            let message = format!("Unsupported Responses API input item type: '{other}' (input[{index}])");
            return Err(ResponsesError::invalid(message, "input"));
        }
    })
}

fn as_parts(content: &Value) -> Vec<Value> {
    match content {
        Value::Array(parts) => parts.clone(),
        Value::String(text) if !text.is_empty() => vec![json!({"type": "text", "text": text})],
        _ => Vec::new(),
    }
}

fn is_empty(content: &Value) -> bool {
    content.is_null() || *content == ""
}

/// Merges the next item of the same turn into an assistant message.
fn merge(previous: &mut Value, next: &Value) {
    if !next["phase"].is_null() {
        previous["phase"] = next["phase"].clone();
    }
    if !is_empty(&next["content"]) {
        previous["content"] = match (&previous["content"], &next["content"]) {
            (before, after) if is_empty(before) => after.clone(),
            (Value::String(before), Value::String(after)) => format!("{before}\n\n{after}").into(),
            (before, after) => [as_parts(before), as_parts(after)].concat().into(),
        };
    }
    if let Some(calls) = next["tool_calls"].as_array() {
        let mut all = previous["tool_calls"].as_array().cloned().unwrap_or_default();
        all.extend(calls.iter().cloned());
        previous["tool_calls"] = all.into();
    }
    if let Some(reasoning) = next["reasoning_content"].as_str() {
        previous["reasoning_content"] = match previous["reasoning_content"].as_str() {
            Some(before) => format!("{before}\n{reasoning}").into(),
            None => reasoning.into(),
        };
    }
}

fn same_turn(previous: &Value, next: &Value) -> bool {
    let only_reasoning = previous
        .as_object()
        .is_some_and(|m| m.len() == 2 && m.contains_key("role") && m.contains_key("reasoning_content"));
    previous["role"] == "assistant"
        && next["role"] == "assistant"
        && (previous["phase"] == next["phase"] || only_reasoning)
}

/// The messages of a conversation. Instructions come first, unless the template supports them in between
/// (`inline_system`).
///
/// # Errors
/// If this server cannot replay an item.
pub(super) fn messages(
    instructions: Option<&str>,
    items: &[Value],
    inline_system: bool,
) -> Result<Vec<Value>, ResponsesError> {
    let mut out: Vec<Value> = Vec::with_capacity(items.len() + 1);
    if let Some(text) = instructions.filter(|text| !text.is_empty()) {
        out.push(json!({"role": "system", "content": text}));
    }
    for (index, item) in items.iter().enumerate() {
        let Some(message) = to_message(index, item)? else { continue };
        match out.last_mut() {
            Some(last) if same_turn(last, &message) => merge(last, &message),
            _ => out.push(message),
        }
    }
    if inline_system {
        return Ok(out);
    }
    let (system, others): (Vec<Value>, Vec<Value>) = out.into_iter().partition(|m| m["role"] == "system");
    let texts: Vec<&str> = system
        .iter()
        .flat_map(|m| match &m["content"] {
            Value::String(text) => vec![text.as_str()],
            parts => texts(parts),
        })
        .collect();
    let first = (!texts.is_empty()).then(|| json!({"role": "system", "content": texts.join("\n\n")}));
    Ok(first.into_iter().chain(others).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_turn_of_the_assistant_is_one_message() {
        let items = [
            json!({"role": "user", "content": [{"type": "input_text", "text": "hi"}]}),
            json!({"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}),
            json!({"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "phase": "commentary",
                "content": [{"type": "output_text", "text": "Let me see."}]}),
            json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{\"a\": 1}", "phase": "commentary"}),
            json!({"type": "function_call_output", "call_id": "c", "output": [{"type": "output_text", "text": "4"}]}),
        ];
        let out = messages(None, &items, false).unwrap();
        assert_eq!(out[0], json!({"role": "user", "content": [{"type": "text", "text": "hi"}]}));
        assert_eq!(out[1]["reasoning_content"], "hm");
        assert_eq!(out[1]["content"][0], json!({"type": "text", "text": "Let me see."}));
        assert_eq!(out[1].get("id"), None);
        assert_eq!(out.len(), 4, "a call without a phase is a message of its own here: {out:?}");
        let call = &out[2]["tool_calls"][0];
        assert_eq!((&call["id"], &call["function"]["arguments"]), (&json!("c"), &json!("{\"a\":1}")));
        assert_eq!(out[3], json!({"role": "tool", "tool_call_id": "c", "content": "4"}));
        let two = [
            json!({"role": "assistant", "content": "a"}),
            json!({"role": "assistant", "content": "b"}),
            json!({"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"}),
        ];
        let out = messages(None, &two, false).unwrap();
        assert_eq!((out.len(), &out[0]["content"]), (1, &json!("a\n\nb")));
        assert_eq!(out[0]["tool_calls"][0]["function"]["arguments"], "{\"input\":\"x\"}");
    }

    #[test]
    fn instructions_come_first_or_stay_where_the_template_takes_them() {
        let items = [
            json!({"role": "user", "content": "hi"}),
            json!({"role": "developer", "content": "be brief"}),
            json!({"role": "developer", "content": [{"type": "input_text", "text": "be kind"}]}),
        ];
        let out = messages(Some("You help."), &items, false).unwrap();
        assert_eq!(
            out[0]["content"],
            "You help.\n\nDeveloper instructions:\nbe brief\n\nDeveloper instructions:\nbe kind"
        );
        assert_eq!(out.len(), 2);
        let roles: Vec<Value> =
            messages(Some("x"), &items, true).unwrap().iter().map(|m| m["role"].clone()).collect();
        assert_eq!(roles, ["system", "user", "system", "system"]);
    }

    #[test]
    fn what_cannot_be_replayed_is_refused_and_what_says_nothing_left_out() {
        let error = messages(None, &[json!({"type": "web_search_call"})], false).unwrap_err();
        assert!(error.message().contains("'web_search_call' (input[0])"), "{error}");
        assert!(messages(None, &[json!({"type": "reasoning", "summary": []})], false).unwrap().is_empty());
        let replayed = |arguments: Value| {
            let item = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": arguments});
            let out = messages(None, &[item], false).unwrap();
            out[0]["tool_calls"][0]["function"]["arguments"].clone()
        };
        for nothing in [json!("{\"a"), json!(""), json!("null"), json!(null), json!("oops"), json!({})] {
            assert_eq!(replayed(nothing.clone()), "{}", "{nothing}");
        }
        for one in
            [json!({"a": 1}), json!("{\"a\": 1}"), json!("\"{\\\"a\\\": 1}\""), json!("{\"a\": 1, \"b")]
        {
            assert_eq!(replayed(one.clone()), "{\"a\":1}", "{one}");
        }
    }

    #[test]
    fn a_refusal_is_text() {
        let item = json!({"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]});
        let out = messages(None, &[item], false).unwrap();
        assert_eq!(out[0]["content"], json!([{"type": "text", "text": "No."}]));
    }
}
