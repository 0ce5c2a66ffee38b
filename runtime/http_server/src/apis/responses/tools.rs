//! Tools of the Responses API: functions, and custom tools with free text as input, which the model sees as functions
//! with one string argument (reference: `responses_adapters.py`).

use serde_json::{Map, Value, json};
use sglang_tokenizer_manager::requests::validation::{Mismatch, Read, boolean, object, optional_key, string};

const TYPES: [&str; 13] = [
    "function",
    "web_search",
    "web_search_preview",
    "code_interpreter",
    "file_search",
    "image_generation",
    "computer_use_preview",
    "local_shell",
    "shell",
    "mcp",
    "custom",
    "namespace",
    "tool_search",
];

/// The only argument of the function that represents a custom tool.
const INPUT: &str = "input";

/// Reads one tool in the form in which the answer repeats it.
pub(super) fn tool(value: &Value) -> Read<Value> {
    let map = object(value)?;
    let kind = map.get("type").ok_or_else(|| Mismatch::missing("type", value))?;
    if !kind.as_str().is_some_and(|kind| TYPES.contains(&kind)) {
        return Err(Mismatch::literal_list(&TYPES, kind).under("type"));
    }
    let text_or_null = |key: &'static str| Ok(optional_key(&map, key, string)?.into());
    let object_or_null = |key: &'static str| Ok(optional_key(&map, key, object)?.into());
    let strict = optional_key(&map, "strict", boolean)?.unwrap_or_default();
    let name: Value = text_or_null("name")?;
    if kind == "function" && name.as_str().is_none_or(|name| name.trim().is_empty()) {
        return Err(Mismatch::rule("Function tools must include a name.", value));
    }
    let mut tool = Map::new();
    tool.insert("type".into(), kind.clone());
    tool.insert("name".into(), name);
    tool.insert("description".into(), text_or_null("description")?);
    tool.insert("parameters".into(), object_or_null("parameters")?);
    tool.insert("strict".into(), strict.into());
    for key in ["tools", "defer_loading"] {
        tool.insert(key.into(), map.get(key).cloned().unwrap_or_default());
    }
    tool.insert("format".into(), object_or_null("format")?);
    for (key, value) in map {
        tool.entry(key).or_insert(value);
    }
    Ok(Value::Object(tool))
}

/// Whether the model can be forced to call this tool.
pub(super) fn is_callable(tool: &Value) -> bool {
    (tool["type"] == "function" || tool["type"] == "custom") && tool["name"].is_string()
}

/// The tools that a chat completion supports; others need services that do not exist here.
pub(super) fn chat_tools(tools: &[Value]) -> Vec<Value> {
    let chat = |tool: &Value| {
        let (description, parameters) = match tool["type"] == "custom" {
            true => (custom_description(tool), custom_parameters()),
            false => (tool["description"].clone(), tool["parameters"].clone()),
        };
        json!({"type": "function", "function": {"name": tool["name"], "description": description,
            "parameters": parameters, "strict": tool["strict"]}})
    };
    tools.iter().filter(|tool| is_callable(tool)).map(chat).collect()
}

/// The names of the custom tools.
pub(super) fn custom_names(tools: &[Value]) -> Vec<String> {
    let custom = tools.iter().filter(|tool| tool["type"] == "custom");
    custom.filter_map(|tool| tool["name"].as_str().map(str::to_owned)).collect()
}

fn custom_parameters() -> Value {
    let input = json!({"type": "string", "description": "The whole input of the tool, as plain text."});
    json!({"type": "object", "properties": {INPUT: input}, "required": [INPUT], "additionalProperties": false})
}

/// A custom tool's description, with the grammar that its input should follow.
fn custom_description(tool: &Value) -> Value {
    let mut parts: Vec<String> = tool["description"].as_str().map(str::to_owned).into_iter().collect();
    if tool["format"]["type"] == "grammar" {
        let syntax = tool["format"]["syntax"].as_str().unwrap_or("lark");
        let definition = tool["format"]["definition"].as_str().unwrap_or_default();
        parts.push(format!("The input has to follow this {syntax} grammar:\n{definition}"));
    }
    if parts.is_empty() { Value::Null } else { parts.join("\n\n").into() }
}

/// Free text as arguments of the function that represents the tool.
pub(super) fn encode_input(text: &str) -> String {
    json!({INPUT: text}).to_string()
}

/// The free text in complete arguments; arguments in another form are returned unchanged.
pub(super) fn decode_input(arguments: &str) -> String {
    let Ok(Value::Object(map)) = serde_json::from_str(arguments) else { return arguments.to_owned() };
    let only = if map.len() == 1 { map.values().next() } else { None };
    let text = map.get(INPUT).filter(|v| v.is_string()).or(only).and_then(Value::as_str);
    text.map_or_else(|| arguments.to_owned(), str::to_owned)
}

/// The part of the free text that the beginning of its arguments already determines.
pub(super) fn decode_input_prefix(arguments: &str) -> String {
    let start = arguments.find(&format!("\"{INPUT}\"")).and_then(|at| {
        let rest = arguments.get(at + INPUT.len() + 2..)?;
        rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')
    });
    let Some(body) = start else { return String::new() };
    // The longest prefix that can be closed to a string; escapes have at most twelve characters.
    let end = unescaped_quote(body).unwrap_or(body.len());
    let body = body.get(..end).unwrap_or_default();
    let cuts = body.char_indices().map(|(at, _)| at).chain([body.len()]).rev().take(13);
    cuts.filter_map(|cut| body.get(..cut))
        .find_map(|part| serde_json::from_str(&format!("\"{part}\"")).ok())
        .unwrap_or_default()
}

fn unescaped_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices()
        .find(|(_, c)| {
            let ends = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        })
        .map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_repeated_with_all_its_keys() {
        let given = json!({"type": "function", "name": "f", "parameters": {"type": "object"}, "own": 1});
        assert_eq!(
            tool(&given).unwrap().to_string(),
            r#"{"type":"function","name":"f","description":null,"parameters":{"type":"object"},"strict":false,"tools":null,"defer_loading":null,"format":null,"own":1}"#
        );
        for bad in [
            json!({"name": "f"}),
            json!({"type": "function"}),
            json!({"type": "dance"}),
            json!({"type": "function", "name": "f", "parameters": 1}),
            json!({"type": "function", "name": 1}),
        ] {
            assert!(tool(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_tool_of_free_text_is_a_function_of_one_string() {
        let format = json!({"type": "grammar", "syntax": "regex", "definition": "a+"});
        let tools = [
            json!({"type": "custom", "name": "c", "description": "Does c.", "strict": false, "format": format}),
            json!({"type": "web_search"}),
        ];
        let chat = chat_tools(&tools);
        assert_eq!((chat.len(), custom_names(&tools)), (1, vec!["c".to_owned()]));
        let function = &chat[0]["function"];
        assert!(function["description"].as_str().unwrap().ends_with("regex grammar:\na+"));
        assert_eq!(function["parameters"]["required"], json!(["input"]));
    }

    #[test]
    fn free_text_survives_its_arguments_whole_and_in_pieces() {
        let text = "a \"b\"\n\\ é 😀 {}";
        let arguments =
            format!("{{\"input\" : {}}}", json!(text).to_string().replace('😀', "\\ud83d\\ude00"));
        assert_eq!(decode_input(&arguments), text);
        assert_eq!(decode_input(&encode_input(text)), text);
        let mut last = String::new();
        for cut in (0..=arguments.len()).filter(|cut| arguments.is_char_boundary(*cut)) {
            let part = decode_input_prefix(&arguments[..cut]);
            assert!(part.starts_with(&last) && text.starts_with(&part), "{part:?} after {last:?}");
            last = part;
        }
        assert_eq!(last, text);
        assert_eq!(decode_input("just text"), "just text");
        assert_eq!(decode_input("{\"command\": \"ls\"}"), "ls");
        assert_eq!(decode_input("{\"a\": 1}"), "{\"a\": 1}");
    }
}
