//! Turns chat messages into prompt ids: converts the content for the template, renders and tokenizes (reference:
//! `OpenAIServingChat._apply_jinja_template`).

use serde_json::{Map, Value, json};
use sglang_parsers::ReasoningParser;
use sglang_tokenizer_manager::text::{ContentFormat, TextCodec, TextError};

use super::message::answer_text;
use super::request::ChatCompletionRequest;

/// Joins the text parts of a list content; other parts are dropped.
fn joined(parts: &[Value]) -> String {
    let texts: Vec<&str> = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
    texts.join(" ")
}

/// A message as the template sees it.
fn for_template(message: &Value, format: ContentFormat) -> Value {
    let mut message = message.clone();
    let role_is_tool = message.get("role").is_some_and(|r| r == "tool");
    let content = message.get("content").cloned().unwrap_or_default();
    let content = match content {
        Value::Null => "".into(),
        Value::Array(parts) if format == ContentFormat::String => {
            let text = parts.iter().filter(|p| p["type"] == "text").cloned().collect::<Vec<_>>();
            joined(&text).into()
        }
        // Most templates print a tool's answer unchanged.
        Value::Array(parts) if role_is_tool && parts.iter().all(|p| p["type"] == "text") => {
            joined(&parts).into()
        }
        Value::Array(parts) => {
            let known = |part: &Value| part["type"] == "text" || part["type"] == "tool_reference";
            Value::Array(parts.into_iter().filter(known).collect())
        }
        other => other,
    };
    if let Some(map) = message.as_object_mut() {
        map.insert("content".into(), content);
    }
    message
}

/// Turns a final assistant text that is not to be continued into a user message.
fn settle_last(messages: &mut [Value]) {
    let Some(last) = messages.last_mut() else { return };
    let text = answer_text(last).filter(|_| last["content"].is_string());
    if let Some(text) = text {
        *last = json!({"role": "user", "content": text});
    }
}

/// Appends the text to continue to the rendered opening of the answer. If the opening starts the thinking and the text
/// is not part of it, the thinking ends here.
fn join_continued(
    rendered: &str,
    text: &str,
    reasoning_is_over: bool,
    parser: Option<ReasoningParser>,
) -> String {
    let opening = rendered.trim_end();
    let Some(parser) = parser.filter(|p| reasoning_is_over && opening.ends_with(p.think_start())) else {
        return text.to_owned();
    };
    match text.strip_prefix(parser.think_start()) {
        // The text contains its own thinking, which is already open.
        Some(rest) => rest.to_owned(),
        None => format!("\n{}\n\n{text}", parser.think_end()),
    }
}

/// How to render a prompt for a route other than a chat completion (`/tokenize`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenderOptions {
    /// Whether to render the opening of an answer. If set, the messages are rendered unchanged.
    pub add_generation_prompt: Option<bool>,
    /// Whether to add the tokenizer's special tokens around the rendered text.
    pub add_special_tokens: bool,
    /// The parser for the model's thinking tags.
    pub reasoning_parser: Option<ReasoningParser>,
}

/// Prompt ids of a chat request.
///
/// # Errors
/// If there is no template, or it refuses the messages.
pub fn prompt_ids(
    codec: &dyn TextCodec,
    request: &ChatCompletionRequest,
    defaults: Option<&Map<String, Value>>,
    options: RenderOptions,
) -> Result<Vec<u32>, TextError> {
    let mut messages: Vec<Value> =
        request.messages.iter().map(|m| for_template(m, codec.content_format())).collect();
    let continued = request.continued_text();
    match (&continued, options.add_generation_prompt) {
        (Some(_), _) => drop(messages.pop()),
        (None, None) => settle_last(&mut messages),
        (None, Some(_)) => {}
    }
    let mut kwargs = Map::new();
    if let Some(effort) = &request.reasoning_effort {
        kwargs.insert("reasoning_effort".into(), effort.clone());
    }
    kwargs.extend(request.chat_template_kwargs.clone());
    for (name, value) in defaults.into_iter().flatten() {
        kwargs.entry(name).or_insert_with(|| value.clone());
    }
    let tools = request.prompt_tools();
    let tools = tools.as_deref();
    let open = options.add_generation_prompt != Some(false);
    let rendered = codec.render_chat(&messages, tools, open, &kwargs).or_else(|error| {
        // Some templates expect functions without OpenAI's wrapper.
        let Some(tools) = tools else { return Err(error) };
        let flat: Vec<Value> =
            tools.iter().map(|t| t.get("function").cloned().unwrap_or_else(|| t.clone())).collect();
        codec.render_chat(&messages, Some(&flat), open, &kwargs)
    })?;
    // The template has already written the special tokens.
    let mut ids = codec.encode(&rendered, options.add_special_tokens)?;
    if let Some(text) = continued.filter(|text| !text.is_empty()) {
        let text = join_continued(&rendered, &text, request.reasoning_is_over, options.reasoning_parser);
        let mut tail = codec.encode(&text, true)?;
        if tail.first().copied() == codec.bos_token_id() && codec.bos_token_id().is_some() {
            tail.remove(0);
        }
        ids.extend(tail);
    }
    Ok(ids)
}

/// Whether the chat template shows system messages that are not the first message.
pub fn supports_inline_system(codec: &dyn TextCodec) -> bool {
    const MARK: &str = "__inline_system_mark__";
    let turn = |role: &str, content: &str| json!({"role": role, "content": content});
    let messages = [turn("system", "t"), turn("user", "t"), turn("system", MARK), turn("user", "t")];
    codec.render_chat(&messages, None, false, &Map::new()).is_ok_and(|text| text.contains(MARK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_codec::ByteCodec;

    fn render(body: Value) -> Result<String, String> {
        let request = ChatCompletionRequest::from_json(body.as_object().unwrap()).unwrap();
        let codec = ByteCodec::default();
        let ids = prompt_ids(&codec, &request, None, RenderOptions::default()).map_err(|e| e.0)?;
        Ok(codec.decode(&ids, false).unwrap())
    }

    #[test]
    fn text_parts_are_joined_for_templates_that_want_a_string() {
        let text = render(json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]}));
        assert_eq!(text.unwrap(), "<|turn|>user:a b</s><|turn|>assistant:");
    }

    #[test]
    fn a_final_assistant_message_is_continued_or_becomes_a_users() {
        let body = |go_on| {
            json!({"continue_final_message": go_on, "messages": [
                {"role": "user", "content": "hi"}, {"role": "assistant", "content": "Well"}]})
        };
        assert_eq!(render(body(true)).unwrap(), "<|turn|>user:hi</s><|turn|>assistant:Well");
        assert_eq!(
            render(body(false)).unwrap(),
            "<|turn|>user:hi</s><|turn|>user:Well</s><|turn|>assistant:"
        );
        let parts = json!({"continue_final_message": true, "messages": [{"role": "user", "content": "hi"},
            {"role": "assistant", "content": [{"type": "text", "text": "We"}, {"type": "text", "text": "ll"}]}]});
        assert_eq!(render(parts).unwrap(), "<|turn|>user:hi</s><|turn|>assistant:Well");
        let call = json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "",
            "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}]});
        assert!(render(call).unwrap().contains("<|turn|>assistant:</s>"), "calls stay the assistant's");
    }

    #[test]
    fn a_continued_answer_ends_the_thinking_that_the_template_has_opened() {
        let parser = ReasoningParser::by_name("deepseek-r1");
        let join = |rendered, text, is_over| join_continued(rendered, text, is_over, parser);
        assert_eq!(join("assistant:<think>\n", "Paris", true), "\n</think>\n\nParis");
        assert_eq!(join("assistant:<think>\n", "<think>hm</think>Paris", true), "hm</think>Paris");
        assert_eq!(join("assistant:", "Paris", true), "Paris");
        assert_eq!(join("assistant:<think>\n", "hm, Par", false), "hm, Par");
        assert_eq!(join_continued("assistant:<think>\n", "Paris", true, None), "Paris");
    }

    #[test]
    fn template_arguments_and_tools_reach_the_template_and_its_errors_the_client() {
        let text = render(json!({"messages": [{"role": "user", "content": "x"}],
            "chat_template_kwargs": {"mode": 1}, "reasoning_effort": "low",
            "tools": [{"type": "function", "function": {"name": "f"}}]}));
        let text = text.unwrap();
        assert!(
            text.starts_with("[tool f]")
                && text.contains("[mode=1]")
                && text.contains("[reasoning_effort=\"low\"]")
        );
        let none = json!({"messages": [{"role": "user", "content": "x"}], "tool_choice": "none",
            "tools": [{"type": "function", "function": {"name": "f"}}]});
        assert!(!render(none).unwrap().contains("tool"));
        let request = json!({"messages": [{"role": "user", "content": "x"}]});
        let request = ChatCompletionRequest::from_json(request.as_object().unwrap()).unwrap();
        let bare = ByteCodec { template: false };
        assert!(prompt_ids(&bare, &request, None, RenderOptions::default()).is_err());
    }

    #[test]
    fn a_template_shows_whether_instructions_may_come_late() {
        assert!(supports_inline_system(&ByteCodec::default()));
        assert!(!supports_inline_system(&ByteCodec { template: false }));
    }
}
