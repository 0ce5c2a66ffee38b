//! Content blocks of messages, and their conversion for a chat completion.

use serde_json::{Map, Value, json};
use sglang_tokenizer_manager::requests::call_arguments;
use sglang_tokenizer_manager::requests::validation::{
    Mismatch, Read, given, list, object, optional_key, string,
};

/// One block of a message's content.
#[derive(Clone, Debug, PartialEq)]
pub enum ContentBlock {
    /// Text; also a search result, which the model sees as text.
    Text(String),
    /// An image as a content part of a chat message; `None` if it has no data.
    Image(Option<Value>),
    /// A call that the assistant made.
    ToolUse {
        /// Id of the call.
        id: String,
        /// Tool.
        name: String,
        /// Arguments.
        input: Map<String, Value>,
    },
    /// A tool's answer.
    ToolResult {
        /// Id of the call.
        id: String,
        /// The answer as contents of messages. Consecutive references to tools become a separate message, since
        /// templates look for them at the start of one.
        contents: Vec<Value>,
        /// Only the text of the answer.
        text: String,
    },
    /// The name of a tool that was not shown at first.
    ToolReference(Option<String>),
    /// The assistant's thinking.
    Thinking(String),
    /// Encrypted thinking.
    RedactedThinking,
}

fn required(map: &Map<String, Value>, whole: &Value, key: &'static str) -> Read<String> {
    match map.get(key) {
        None => Err(Mismatch::missing(key, whole)),
        Some(value) => string(value).map_err(|m| m.under(key)),
    }
}

/// The source of an image as a content part.
fn image_part(source: &Value) -> Option<Value> {
    let text = |key: &str| source.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let url = match text("type") {
        Some("base64") => {
            format!("data:{};base64,{}", text("media_type").unwrap_or("image/png"), text("data")?)
        }
        _ => text("url")?.to_owned(),
    };
    Some(json!({"type": "image_url", "image_url": {"url": url}}))
}

fn search_result(map: &Map<String, Value>) -> String {
    let mut lines = Vec::new();
    let texts = |value: Option<&Value>| match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    };
    let source = match map.get("source") {
        Some(Value::Object(source)) => ["url", "text"].iter().find_map(|key| source.get(*key)),
        other => other,
    };
    for (name, text) in [
        ("Title", texts(map.get("title"))),
        ("Source", texts(source)),
        ("Content", texts(map.get("content"))),
    ] {
        if !text.is_empty() {
            lines.push(format!("{name}: {text}"));
        }
    }
    lines.join("\n")
}

/// Reads a tool's answer: contents of messages, and its text.
fn tool_result(value: Option<&Value>) -> Read<(Vec<Value>, String)> {
    let blocks = match value {
        None => return Ok((vec!["".into()], String::new())),
        Some(Value::String(text)) => return Ok((vec![text.as_str().into()], text.clone())),
        Some(value) => list(block)(value)?,
    };
    let (mut runs, mut texts) = (Vec::<Vec<Value>>::new(), Vec::new());
    for block in blocks {
        let part = match block {
            ContentBlock::Text(text) if !text.is_empty() => {
                let part = json!({"type": "text", "text": text});
                texts.push(text);
                part
            }
            ContentBlock::Image(Some(part)) => part,
            ContentBlock::ToolReference(Some(name)) => json!({"type": "tool_reference", "name": name}),
            _ => continue,
        };
        let is_reference = part["type"] == "tool_reference";
        match runs.last_mut().filter(|run| {
            run.first().is_some_and(|first| (first["type"] == "tool_reference") == is_reference)
        }) {
            Some(run) => run.push(part),
            None => runs.push(vec![part]),
        }
    }
    let contents: Vec<Value> = runs.into_iter().map(parts_as_content).collect();
    Ok((if contents.is_empty() { vec!["".into()] } else { contents }, texts.join("\n")))
}

/// The content of a chat message made of these parts; a single text is not wrapped in a list.
pub fn parts_as_content(parts: Vec<Value>) -> Value {
    match parts.as_slice() {
        [part] if part["type"] == "text" => part["text"].clone(),
        _ => Value::Array(parts),
    }
}

/// Reads the arguments of a call, in every form in which clients store them.
fn input(value: Option<&Value>) -> Read<Map<String, Value>> {
    let value = value.unwrap_or(&Value::Null);
    call_arguments::read(value)
        .map_err(|_| Mismatch::new("dict_type", "Input should be a valid dictionary", value))
}

/// Reads one block.
pub fn block(value: &Value) -> Read<ContentBlock> {
    let map = object(value)?;
    let kind = required(&map, value, "type")?;
    Ok(match kind.as_str() {
        "text" => ContentBlock::Text(required(&map, value, "text")?),
        "image" => ContentBlock::Image(map.get("source").and_then(image_part)),
        "search_result" => ContentBlock::Text(search_result(&map)),
        "tool_use" => ContentBlock::ToolUse {
            id: required(&map, value, "id")?,
            name: required(&map, value, "name")?,
            input: input(map.get("input")).map_err(|m| m.under("input"))?,
        },
        "tool_result" => {
            let (contents, text) = tool_result(given(&map, "content")).map_err(|m| m.under("content"))?;
            let id = optional_key(&map, "tool_use_id", string)?.or(optional_key(&map, "id", string)?);
            let id = id.unwrap_or_default();
            ContentBlock::ToolResult { id, contents, text }
        }
        "tool_reference" => {
            let name = optional_key(&map, "tool_name", string)?;
            ContentBlock::ToolReference(name.or(optional_key(&map, "name", string)?))
        }
        "thinking" => ContentBlock::Thinking(required(&map, value, "thinking")?),
        "redacted_thinking" => ContentBlock::RedactedThinking,
        _ => {
            return Err(Mismatch::literal(
                &[
                    "text",
                    "image",
                    "tool_use",
                    "tool_result",
                    "tool_reference",
                    "search_result",
                    "thinking",
                    "redacted_thinking",
                ],
                map.get("type").unwrap_or(value),
            )
            .under("type"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tools_answer_keeps_its_order_and_sets_references_apart() {
        let answer = block(&json!({"type": "tool_result", "tool_use_id": "t", "content": [
            {"type": "text", "text": "a"},
            {"type": "tool_reference", "tool_name": "f"},
            {"type": "search_result", "title": "T", "source": "u", "content": [{"type": "text", "text": "c"}]},
        ]}));
        let ContentBlock::ToolResult { id, contents, text } = answer.unwrap() else { panic!("a result") };
        assert_eq!(id, "t");
        assert_eq!(
            contents,
            [
                json!("a"),
                json!([{"type": "tool_reference", "name": "f"}]),
                json!("Title: T\nSource: u\nContent: c")
            ]
        );
        assert_eq!(text, "a\nTitle: T\nSource: u\nContent: c");
        let empty = block(&json!({"type": "tool_result"})).unwrap();
        assert_eq!(
            empty,
            ContentBlock::ToolResult { id: "".into(), contents: vec!["".into()], text: "".into() }
        );
    }

    #[test]
    fn the_arguments_of_a_call_come_back_in_any_form() {
        let input = |input: Value| match block(
            &json!({"type": "tool_use", "id": "t", "name": "f", "input": input}),
        ) {
            Ok(ContentBlock::ToolUse { input, .. }) => Some(Value::Object(input)),
            _ => None,
        };
        for nothing in [json!({}), json!(null), json!(""), json!("null")] {
            assert_eq!(input(nothing.clone()), Some(json!({})), "{nothing}");
        }
        for one in [json!({"a": 1}), json!("{\"a\": 1}"), json!("{\"a\": 1, \"b\": \"cut o")] {
            assert_eq!(input(one.clone()), Some(json!({"a": 1})), "{one}");
        }
        for wrong in [json!([1]), json!("text"), json!(5)] {
            assert_eq!(input(wrong.clone()), None, "{wrong}");
        }
    }

    #[test]
    fn images_become_urls_and_unknown_blocks_are_refused() {
        let image = |source: Value| match block(&json!({"type": "image", "source": source})) {
            Ok(ContentBlock::Image(part)) => part.map(|p| p["image_url"]["url"].clone()),
            other => panic!("an image, not {other:?}"),
        };
        assert_eq!(
            image(json!({"type": "base64", "data": "QQ=="})),
            Some("data:image/png;base64,QQ==".into())
        );
        assert_eq!(image(json!({"type": "url", "url": "u"})), Some("u".into()));
        assert_eq!(image(json!({"type": "base64"})), None);
        for wrong in [json!({"type": "song"}), json!({"text": "x"}), json!({"type": "text"}), json!("x")] {
            assert!(block(&wrong).is_err(), "{wrong}");
        }
    }
}
