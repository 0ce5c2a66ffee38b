//! Converts the messages of a chat to those of a chat completion.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};
use sglang_tokenizer_manager::requests::normalize::new_rid;
use sglang_tokenizer_manager::requests::validation::{
    Loc, Mismatch, Read, given, list, object, optional_key, string,
};

/// A call as `(id, name)`.
type Call = (String, String);

/// A call that the assistant made.
fn tool_call(value: &Value) -> Read<(Call, Value)> {
    let map = object(value)?;
    let function = map.get("function").ok_or_else(|| Mismatch::missing("function", value))?;
    let inner = object(function).map_err(|m| m.under("function"))?;
    let name = inner.get("name").ok_or_else(|| Mismatch::missing("name", function).under("function"))?;
    let name = string(name).map_err(|m| m.under("name").under("function"))?;
    let id = optional_key(&map, "id", string)?.unwrap_or_else(|| format!("call_{}", new_rid()));
    let arguments = given(&inner, "arguments").cloned().unwrap_or_else(|| json!({}));
    let call = json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    Ok(((id, name), call))
}

/// The id of the call that a tool answers: the first open call of that tool, else the first open call.
fn answered(open: &mut VecDeque<Call>, id: Option<String>, tool: Option<&str>) -> String {
    let at = match &id {
        Some(id) => open.iter().position(|(known, _)| known == id),
        None => tool.and_then(|tool| open.iter().position(|(_, name)| name == tool)).or(Some(0)),
    };
    let call = at.and_then(|at| open.remove(at));
    id.or(call.map(|(id, _)| id)).unwrap_or_else(|| format!("call_{}", new_rid()))
}

fn message(value: &Value, open: &mut VecDeque<Call>) -> Read<Value> {
    let map = object(value)?;
    let role = map.get("role").ok_or_else(|| Mismatch::missing("role", value))?;
    let role = string(role).map_err(|m| m.under("role"))?;
    if optional_key(&map, "images", list(string))?.is_some_and(|images| !images.is_empty()) {
        return Err(Mismatch::rule("Model only supports text input; received images", value).under("images"));
    }
    let mut message = Map::from_iter([("role".to_owned(), role.as_str().into())]);
    let thinking = optional_key(&map, "thinking", string)?.filter(|text| !text.is_empty());
    let calls = optional_key(&map, "tool_calls", list(tool_call))?.filter(|calls| !calls.is_empty());
    let content = match optional_key(&map, "content", string)? {
        // A message with thinking or calls may have no content.
        None if thinking.is_some() || calls.is_some() => String::new(),
        None => return Err(Mismatch::missing("content", value)),
        Some(content) => content,
    };
    message.insert("content".into(), content.into());
    if let Some(thinking) = thinking {
        message.insert("reasoning_content".into(), thinking.into());
    }
    if let Some(calls) = calls {
        let (names, calls): (Vec<Call>, Vec<Value>) = calls.into_iter().unzip();
        *open = names.into();
        message.insert("tool_calls".into(), calls.into());
    }
    if role == "tool" {
        let name = optional_key(&map, "tool_name", string)?.or(optional_key(&map, "name", string)?);
        let id = answered(open, optional_key(&map, "tool_call_id", string)?, name.as_deref());
        message.insert("tool_call_id".into(), id.into());
        message.extend(name.map(|name| ("name".to_owned(), name.into())));
    }
    Ok(message.into())
}

/// Reads the messages of a chat.
pub fn messages(value: &Value) -> Read<Vec<Value>> {
    let mut open = VecDeque::new();
    let items =
        value.as_array().ok_or_else(|| Mismatch::new("list_type", "Input should be a valid list", value))?;
    let read = |(i, item)| message(item, &mut open).map_err(|m| m.under(Loc::Index(i)));
    items.iter().enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_tools_find_their_calls() {
        let call = |name: &str| json!({"function": {"name": name, "arguments": {"x": 1}}});
        let given = json!([
            {"role": "user", "content": "q"},
            {"role": "assistant", "thinking": "hm", "tool_calls": [call("f"), call("g"), call("f")]},
            {"role": "tool", "tool_name": "g", "content": "1"},
            {"role": "tool", "tool_name": "f", "content": "2"},
            {"role": "tool", "content": "3"},
        ]);
        let read = messages(&given).unwrap();
        let calls = read[1]["tool_calls"].as_array().unwrap();
        assert_eq!((&read[1]["content"], &read[1]["reasoning_content"]), (&json!(""), &json!("hm")));
        assert_eq!(calls[0]["function"], json!({"name": "f", "arguments": {"x": 1}}));
        let ids: Vec<&Value> = read[2..].iter().map(|m| &m["tool_call_id"]).collect();
        assert_eq!(ids, [&calls[1]["id"], &calls[0]["id"], &calls[2]["id"]]);
        assert_eq!((&read[2]["name"], read[4].get("name")), (&json!("g"), None));
        let own = json!([
            {"role": "assistant", "content": "", "tool_calls": [{"id": "a", "function": {"name": "f"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "1"},
        ]);
        let read = messages(&own).unwrap();
        assert_eq!(read[0]["tool_calls"][0]["function"]["arguments"], json!({}));
        assert_eq!(read[1]["tool_call_id"], "a");
    }

    #[test]
    fn arguments_come_back_in_any_form() {
        for (given, want) in [
            (json!({"x": 1}), json!({"x": 1})),
            (json!("{\"x\": 1}"), json!({"x": 1})),
            (json!("\"{\\\"x\\\": 1}\""), json!({"x": 1})),
            (json!(""), json!({})),
            (json!("null"), json!({})),
            (json!(null), json!({})),
        ] {
            let call = json!({"function": {"name": "f", "arguments": given}});
            let chat = messages(&json!([{"role": "assistant", "tool_calls": [call]}])).unwrap();
            let read = crate::chat::message::messages(&chat.into()).unwrap();
            assert_eq!(read[0]["tool_calls"][0]["function"]["arguments"], want, "{given}");
        }
    }

    #[test]
    fn what_cannot_be_shown_to_the_model_is_refused() {
        for wrong in [
            json!([{"role": "user"}]),
            json!([{"role": "user", "content": null}]),
            json!([{"role": "user", "content": "x", "images": ["aGk="]}]),
            json!([{"role": "assistant", "content": "", "tool_calls": [{"function": {}}]}]),
            json!([{"content": "x"}]),
            json!("x"),
        ] {
            assert!(messages(&wrong).is_err(), "{wrong}");
        }
        messages(&json!([{"role": "user", "content": "x", "images": [], "thinking": null}])).unwrap();
    }
}
