//! Converts a Messages request to the chat completion that serves it (reference: `AnthropicServing`).

use serde_json::{Map, Value, json};
use sglang_parsers::reasoning::{ReasoningDefault, ReasoningParser};

use super::content::{ContentBlock, parts_as_content};
use super::error::AnthropicError;
use super::prefill::{Prefill, prefill};
use super::request::{Content, Message, MessagesRequest, Role};
use super::tools;
use crate::chat::request::ChatCompletionRequest;

/// Properties of the model that affect the conversion.
#[derive(Clone, Copy, Debug, Default)]
pub struct ModelTraits {
    /// Whether instructions may stand between other messages; if not, they move to the start.
    pub inline_system: bool,
    /// How the model marks its thinking (`--reasoning-parser`).
    pub reasoning_parser: Option<ReasoningParser>,
}

fn text_part(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// Instructions that move to the start.
fn moved_system(content: &Content) -> Option<String> {
    let texts: Vec<&str> = match content {
        Content::Text(text) => vec![text.trim()],
        Content::Blocks(blocks) => blocks
            .iter()
            .filter_map(|block| match block {
                ContentBlock::Text(text) => Some(text.trim()),
                _ => None,
            })
            .collect(),
    };
    let texts: Vec<&str> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

fn leading_system(request: &MessagesRequest, traits: ModelTraits) -> Vec<String> {
    let mut parts = Vec::new();
    match &request.system {
        Some(Content::Text(text)) if !text.trim().is_empty() => parts.push(text.clone()),
        Some(Content::Blocks(blocks)) => {
            parts.extend(blocks.iter().filter_map(|block| match block {
                ContentBlock::Text(text) if !text.is_empty() => Some(text.clone()),
                _ => None,
            }));
        }
        _ => {}
    }
    if !traits.inline_system {
        let inline = request.messages.iter().filter(|m| m.role == Role::System);
        parts.extend(inline.filter_map(|m| moved_system(&m.content)));
    }
    parts
}

/// Earlier thinking as text in the model's tags. Without a parser it is left out, since a model that does not think
/// would take it for an answer.
fn thinking_history(
    blocks: &[ContentBlock],
    parser: Option<ReasoningParser>,
) -> Result<Option<String>, AnthropicError> {
    if blocks.contains(&ContentBlock::RedactedThinking) {
        return Err(AnthropicError::invalid("Anthropic redacted_thinking history is not supported"));
    }
    let thoughts: Vec<&str> = blocks
        .iter()
        .filter_map(|block| match block {
            ContentBlock::Thinking(text) if !text.is_empty() => Some(text.as_str()),
            _ => None,
        })
        .collect();
    Ok(parser
        .filter(|_| !thoughts.is_empty())
        .map(|parser| format!("{}{}\n{}", parser.think_start(), thoughts.join("\n"), parser.think_end())))
}

fn push_message(out: &mut Vec<Value>, role: Role, parts: &mut Vec<Value>) {
    if !parts.is_empty() {
        let content = parts_as_content(std::mem::take(parts));
        out.push(json!({"role": role.word(), "content": content}));
    }
}

/// Converts one message. Tool results become separate messages, in the order of the blocks.
fn convert_blocks(
    out: &mut Vec<Value>,
    role: Role,
    blocks: &[ContentBlock],
    traits: ModelTraits,
) -> Result<(), AnthropicError> {
    let (mut parts, mut calls) = (Vec::new(), Vec::new());
    if role == Role::Assistant
        && let Some(thoughts) = thinking_history(blocks, traits.reasoning_parser)?
    {
        parts.push(text_part(&thoughts));
    }
    for block in blocks {
        match block {
            ContentBlock::Text(text) => parts.push(text_part(text)),
            ContentBlock::Image(part) => parts.extend(part.clone()),
            ContentBlock::ToolUse { id, name, input } => calls.push(json!({
                "id": id,
                "type": "function",
                "function": {"name": name, "arguments": input},
            })),
            ContentBlock::ToolResult { id, contents, .. } if role == Role::User => {
                push_message(out, role, &mut parts);
                out.extend(
                    contents
                        .iter()
                        .map(|content| json!({"role": "tool", "tool_call_id": id, "content": content})),
                );
            }
            ContentBlock::ToolResult { text, .. } => parts.push(text_part(&format!("Tool result: {text}"))),
            ContentBlock::ToolReference(_) | ContentBlock::Thinking(_) | ContentBlock::RedactedThinking => {}
        }
    }
    if role == Role::User {
        push_message(out, role, &mut parts);
        return Ok(());
    }
    let mut message = Map::new();
    message.insert("role".into(), role.word().into());
    match (parts.is_empty(), calls.is_empty()) {
        (false, _) => {
            message.insert("content".into(), parts_as_content(parts));
        }
        // An empty turn is kept, since templates require roles to alternate.
        (true, true) => {
            message.insert("content".into(), "".into());
        }
        (true, false) => {}
    }
    if !calls.is_empty() {
        message.insert("tool_calls".into(), calls.into());
    }
    out.push(Value::Object(message));
    Ok(())
}

fn messages(request: &MessagesRequest, traits: ModelTraits) -> Result<Vec<Value>, AnthropicError> {
    let mut out = Vec::with_capacity(request.messages.len() + 1);
    let system = leading_system(request, traits);
    if !system.is_empty() {
        out.push(json!({"role": "system", "content": system.join("\n")}));
    }
    for Message { role, content } in &request.messages {
        if *role == Role::System && !traits.inline_system {
            continue;
        }
        match content {
            Content::Text(text) => out.push(json!({"role": role.word(), "content": text})),
            Content::Blocks(blocks) => convert_blocks(&mut out, *role, blocks, traits)?,
        }
    }
    Ok(out)
}

/// The template variable that turns thinking on or off as requested.
fn thinking_switch(
    enabled: bool,
    parser: Option<ReasoningParser>,
) -> Result<Option<&'static str>, AnthropicError> {
    match (parser, enabled) {
        (None, true) => Err(AnthropicError::invalid(
            "Anthropic thinking is not supported for models without a reasoning parser. Launch the server with \
             --reasoning-parser to use it.",
        )),
        (None, false) => Ok(None),
        (Some(parser), false) if parser.reasoning_default() == ReasoningDefault::Always => {
            Err(AnthropicError::invalid(format!(
                "Reasoning parser '{}' is always-on and cannot be disabled via Anthropic thinking",
                parser.name()
            )))
        }
        (Some(parser), _) => Ok(parser.reasoning_default().toggle_param()),
    }
}

/// The chat completion that serves a request.
///
/// # Errors
/// If the model or this server does not support something in the request.
pub fn chat_request(
    request: MessagesRequest,
    traits: ModelTraits,
) -> Result<ChatCompletionRequest, AnthropicError> {
    let parser = traits.reasoning_parser;
    let mut messages = messages(&request, traits)?;
    let thoughts = match request.messages.last().map(|last| &last.content) {
        Some(Content::Blocks(blocks)) => thinking_history(blocks, parser)?,
        _ => None,
    };
    let prefill = prefill(&request, &mut messages, thoughts.as_deref())?;
    let switch = match (request.thinking, prefill) {
        (Some(enabled), _) => thinking_switch(enabled, parser)?.map(|name| (name, enabled)),
        // The answer has begun without thinking, so thinking is turned off.
        (None, Prefill::Answer) => {
            parser.and_then(|p| p.reasoning_default().toggle_param()).map(|name| (name, false))
        }
        (None, _) => None,
    };
    let mut body = Map::new();
    body.insert("messages".into(), messages.into());
    body.insert("continue_final_message".into(), (prefill != Prefill::None).into());
    tools::insert(&mut body, request.tools, request.tool_choice.as_ref())?;
    if let Some(schema) = request.output_config.schema {
        let schema = json!({"name": "response", "schema": schema, "strict": true});
        body.insert("response_format".into(), json!({"type": "json_schema", "json_schema": schema}));
    }
    let fields = [
        ("model", request.model.into()),
        ("stream", request.stream.into()),
        ("routed_dp_rank", request.routed_dp_rank.into()),
    ];
    body.extend(fields.into_iter().map(|(name, value): (&str, Value)| (name.to_owned(), value)));
    let mut chat = ChatCompletionRequest::from_json(&body)?;
    chat.sampling_params.overlay(request.sampling_params);
    // Set only now, because in this API the effort does not turn thinking on or off.
    chat.reasoning_effort = request.output_config.effort.map(Value::from);
    chat.reasoning_is_over = prefill != Prefill::None;
    chat.chat_template_kwargs.extend(switch.map(|(name, enabled)| (name.to_owned(), enabled.into())));
    Ok(chat)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(mut body: Value, traits: ModelTraits) -> Result<ChatCompletionRequest, String> {
        body["model"] = "m".into();
        body["max_tokens"] = 5.into();
        if body["messages"].is_null() {
            body["messages"] = json!([{"role": "user", "content": "hi"}]);
        }
        let request = MessagesRequest::from_json(body.as_object().unwrap()).unwrap();
        chat_request(request, traits).map_err(|e| e.to_string())
    }

    fn thinks(parser: &str) -> ModelTraits {
        ModelTraits { inline_system: false, reasoning_parser: ReasoningParser::by_name(parser) }
    }

    #[test]
    fn instructions_come_first_unless_the_template_shows_them_where_they_stand() {
        let body = json!({"system": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}], "messages": [
            {"role": "user", "content": "hi"}, {"role": "system", "content": " C "}]});
        let merged = converted(body.clone(), ModelTraits::default()).unwrap();
        assert_eq!(
            merged.messages,
            [json!({"role": "system", "content": "A\nB\nC"}), json!({"role": "user", "content": "hi"})]
        );
        let inline = ModelTraits { inline_system: true, ..Default::default() };
        assert_eq!(converted(body, inline).unwrap().messages[2], json!({"role": "system", "content": " C "}));
    }

    #[test]
    fn calls_and_their_answers_keep_their_order() {
        let body = json!({"messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": [
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}]},
            {"role": "user", "content": [
                {"type": "text", "text": "before"},
                {"type": "tool_result", "tool_use_id": "c1", "content": "42"},
                {"type": "text", "text": "after"}]},
            {"role": "assistant", "content": []}]});
        let messages = converted(body, ModelTraits::default()).unwrap().messages;
        let short: Vec<String> = messages
            .iter()
            .map(|m| format!("{}:{}", m["role"].as_str().unwrap(), m["content"].as_str().unwrap()))
            .collect();
        assert_eq!(
            short,
            ["user:q", "assistant:Let me see.", "user:before", "tool:42", "user:after", "assistant:"]
        );
        assert_eq!(messages[1]["tool_calls"][0]["function"], json!({"name": "f", "arguments": {"a": 1}}));
        assert_eq!(messages[3]["tool_call_id"], "c1");
    }

    #[test]
    fn thinking_needs_a_parser_and_sets_its_variable() {
        let on = json!({"thinking": {"type": "adaptive"}});
        let off = json!({"thinking": {"type": "disabled"}});
        assert!(
            converted(on.clone(), ModelTraits::default()).unwrap_err().contains("without a reasoning parser")
        );
        converted(off.clone(), ModelTraits::default()).unwrap();
        let kwargs = |body, parser| converted(body, thinks(parser)).unwrap().chat_template_kwargs;
        assert_eq!(Value::from(kwargs(on.clone(), "qwen3")), json!({"enable_thinking": true}));
        assert_eq!(Value::from(kwargs(off.clone(), "kimi_k2")), json!({"thinking": false}));
        assert!(kwargs(on, "deepseek-r1").is_empty());
        assert!(converted(off, thinks("deepseek-r1")).unwrap_err().contains("always-on"));
    }

    #[test]
    fn earlier_thinking_is_told_in_the_models_tags_or_left_out() {
        let body = json!({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "a"}]},
            {"role": "user", "content": "r"}]});
        let content = |traits| converted(body.clone(), traits).unwrap().messages[1]["content"].clone();
        assert_eq!(content(ModelTraits::default()), "a");
        assert_eq!(
            content(thinks("qwen3")),
            json!([{"type": "text", "text": "<think>hm\n</think>"}, {"type": "text", "text": "a"}])
        );
        let redacted =
            json!({"messages": [{"role": "assistant", "content": [{"type": "redacted_thinking"}]}]});
        assert!(converted(redacted, ModelTraits::default()).unwrap_err().contains("redacted_thinking"));
    }

    #[test]
    fn a_last_message_of_the_assistant_is_continued() {
        let ask = |content: Value, more: Value, parser: &str| {
            let mut body = json!({"messages": [{"role": "user", "content": "q"},
                {"role": "assistant", "content": content}]});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            converted(body, thinks(parser))
        };
        let continued = |content: Value, parser: &str| {
            let chat = ask(content, json!({}), parser).unwrap();
            assert!(chat.continue_final_message && chat.reasoning_is_over);
            (chat.continued_text().unwrap(), Value::from(chat.chat_template_kwargs))
        };
        let text = |text: &str| json!({"type": "text", "text": text});
        let thought = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
        assert_eq!(continued(json!("Well"), "none"), ("Well".into(), json!({})));
        assert_eq!(continued(json!([text("We"), text("ll")]), "none"), ("Well".into(), json!({})));
        assert_eq!(continued(json!([]), "none"), (String::new(), json!({})));
        assert_eq!(continued(json!("Well"), "qwen3"), ("Well".into(), json!({"enable_thinking": false})));
        assert_eq!(continued(json!("Well"), "deepseek-r1"), ("Well".into(), json!({})));
        assert_eq!(
            continued(json!([thought, text("Well")]), "qwen3"),
            ("<think>hm\n</think>\n\nWell".into(), json!({}))
        );
        let schema = json!({"output_config": {"format": {"type": "json_schema", "schema": {}}}});
        let on = json!({"thinking": {"type": "adaptive"}});
        for (content, more, part) in [
            (json!("Well "), json!({}), "trailing whitespace"),
            (json!([text("a"), text("\n")]), json!({}), "trailing whitespace"),
            (json!("{"), schema, "output_config.format"),
            (json!("Well"), on.clone(), "start with a thinking block"),
        ] {
            let error = ask(content, more, "qwen3").unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert!(ask(json!([thought, text("Well")]), on, "qwen3").unwrap().continue_final_message);
        let call = json!([text("Let me see."), {"type": "tool_use", "id": "c", "name": "f", "input": {}}]);
        assert!(!ask(call, json!({}), "none").unwrap().continue_final_message);
    }

    #[test]
    fn sampling_and_form_of_the_output_are_passed_on() {
        let chat = converted(
            json!({"temperature": 0.5, "top_p": 0.9, "top_k": 7, "stop_sequences": ["x"], "stream": true,
                "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}}}),
            ModelTraits::default(),
        )
        .unwrap();
        let params = chat.sampling_params.to_params();
        assert_eq!((params.temperature, params.top_p, params.top_k), (0.5, 0.9, 7));
        assert_eq!((params.stop.0, params.max_new_tokens), (vec!["x".to_owned()], Some(5)));
        assert_eq!(chat.reasoning_effort, Some(json!("high")));
        assert!(chat.chat_template_kwargs.is_empty() && chat.stream);
        assert_eq!(chat.response_format.unwrap()["json_schema"]["schema"], json!({"type": "object"}));
    }
}
