//! Converts the tools of the Messages API to those of chat completions.

use serde_json::{Map, Value, json};
use sglang_tokenizer_manager::requests::validation::{Mismatch, Read, boolean, object, optional_key, string};

use super::error::AnthropicError;

/// `tool_choice`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolChoice {
    kind: Kind,
    name: Option<String>,
    parallel: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Auto,
    Any,
    Tool,
    None,
}

/// Reads `tool_choice`.
pub fn tool_choice(value: &Value) -> Read<ToolChoice> {
    let map = object(value)?;
    let given = map.get("type").ok_or_else(|| Mismatch::missing("type", value))?;
    let kind = match given.as_str() {
        Some("auto") => Kind::Auto,
        Some("any") => Kind::Any,
        Some("tool") => Kind::Tool,
        Some("none") => Kind::None,
        _ => return Err(Mismatch::literal(&["auto", "any", "tool", "none"], given).under("type")),
    };
    let name = optional_key(&map, "name", string)?;
    let disabled = optional_key(&map, "disable_parallel_tool_use", boolean)?.unwrap_or_default();
    Ok(ToolChoice { kind, name, parallel: !disabled })
}

/// Whether a type is a tool that Anthropic's own service runs: a family name and a date.
fn is_server_tool(kind: &str) -> bool {
    ["web_search_", "computer_", "bash_", "text_editor_"].iter().any(|family| kind.starts_with(family))
}

/// Reads one tool as a tool of a chat completion; `None` for a tool that Anthropic's own service would run.
pub fn tool(value: &Value) -> Read<Option<Value>> {
    let map = object(value)?;
    if map.get("type").and_then(Value::as_str).is_some_and(is_server_tool) {
        return Ok(None);
    }
    let name = map.get("name").ok_or_else(|| Mismatch::missing("name", value))?;
    let name = string(name).map_err(|m| m.under("name"))?;
    let schema = map.get("input_schema").ok_or_else(|| Mismatch::missing("input_schema", value))?;
    let mut schema = object(schema).map_err(|m| m.under("input_schema"))?;
    schema.retain(|key, value| key != "type" || !value.is_null());
    schema.entry("type").or_insert_with(|| "object".into());
    let description = optional_key(&map, "description", string)?.unwrap_or_default();
    let strict = optional_key(&map, "strict", boolean)?.unwrap_or_default();
    let mut function =
        json!({"name": name, "description": description, "parameters": schema, "strict": strict});
    if let Some(defer) = optional_key(&map, "defer_loading", boolean)? {
        function["defer_loading"] = defer.into();
    }
    Ok(Some(json!({"type": "function", "function": function})))
}

/// Adds the tools and their use to the body of a chat completion.
///
/// # Errors
/// If the choice names a tool that cannot be called.
pub fn insert(
    body: &mut Map<String, Value>,
    tools: Vec<Value>,
    choice: Option<&ToolChoice>,
) -> Result<(), AnthropicError> {
    let none_left = tools.is_empty();
    let known = |name: &str| tools.iter().any(|tool| tool["function"]["name"] == name);
    let word = match choice {
        None if none_left => None,
        None => Some("auto".into()),
        Some(ToolChoice { kind: Kind::None, .. }) => Some("none".into()),
        Some(ToolChoice { kind: Kind::Auto, .. }) => (!none_left).then(|| "auto".into()),
        Some(ToolChoice { kind, .. }) if none_left => {
            let word = if *kind == Kind::Any { "any" } else { "tool" };
            return Err(AnthropicError::invalid(format!(
                "tool_choice='{word}' requires at least one custom tool; tools that Anthropic's own service runs \
                 cannot be called here"
            )));
        }
        Some(ToolChoice { kind: Kind::Any, .. }) => Some("required".into()),
        Some(ToolChoice { kind: Kind::Tool, name, .. }) => {
            let name = name.as_deref().unwrap_or_default();
            if !known(name) {
                return Err(AnthropicError::invalid(format!(
                    "tool_choice references tool '{name}' but it is not among the custom tools of the request"
                )));
            }
            Some(json!({"type": "function", "function": {"name": name}}))
        }
    };
    if let Some(word) = word {
        body.insert("tool_choice".into(), word);
    }
    if let Some(choice) = choice {
        body.insert("parallel_tool_calls".into(), choice.parallel.into());
    }
    if !none_left {
        body.insert("tools".into(), tools.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inserted(tools: Value, choice: Value) -> Result<Map<String, Value>, String> {
        let tools = tools.as_array().unwrap().iter().filter_map(|v| tool(v).unwrap()).collect();
        let choice = (!choice.is_null()).then(|| tool_choice(&choice).unwrap());
        let mut body = Map::new();
        insert(&mut body, tools, choice.as_ref()).map_err(|e| e.to_string())?;
        Ok(body)
    }

    #[test]
    fn choices_are_those_of_chat_completions() {
        let tools = json!([{"name": "f", "input_schema": {}}]);
        let choice = |choice: Value| inserted(tools.clone(), choice).unwrap()["tool_choice"].clone();
        assert_eq!(choice(Value::Null), "auto");
        assert_eq!(choice(json!({"type": "auto"})), "auto");
        assert_eq!(choice(json!({"type": "any"})), "required");
        assert_eq!(choice(json!({"type": "none"})), "none");
        assert_eq!(
            choice(json!({"type": "tool", "name": "f"})),
            json!({"type": "function", "function": {"name": "f"}})
        );
        let body = inserted(tools, json!({"type": "auto", "disable_parallel_tool_use": true})).unwrap();
        assert_eq!(body["parallel_tool_calls"], false);
        assert_eq!(
            body["tools"][0].to_string(),
            r#"{"type":"function","function":{"name":"f","description":"","parameters":{"type":"object"},"strict":false}}"#
        );
    }

    #[test]
    fn a_forced_call_needs_a_tool_that_can_be_called() {
        let search = json!([{"type": "web_search_20250305", "name": "web_search"}]);
        assert_eq!(inserted(search.clone(), Value::Null).unwrap(), Map::new());
        assert!(inserted(search.clone(), json!({"type": "any"})).unwrap_err().contains("'any' requires"));
        assert!(inserted(search, json!({"type": "tool", "name": "f"})).is_err());
        let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
        assert!(inserted(tools, json!({"type": "tool", "name": "g"})).unwrap_err().contains("'g'"));
    }
}
