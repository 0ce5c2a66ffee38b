//! Converts a request to the chat completion that serves it (reference: `OpenAIServingResponses._make_request`,
//! `to_sampling_params`).

use serde_json::{Value, json};
use sglang_proto::sampling_params::{Given, SamplingRequest};

use super::error::ResponsesError;
use super::input;
use super::request::{ResponsesRequest, ToolChoice};
use super::tools;
use crate::chat::request::ChatCompletionRequest;

/// The temperature if neither the request nor the model sets one.
const DEFAULT_TEMPERATURE: f64 = 0.7;
/// The number of tokens that the reference subtracts from `max_output_tokens`.
const HEADROOM: i64 = 2;

/// Properties of the server that affect the conversion.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerTraits {
    /// Whether instructions may stand between other messages.
    pub inline_system: bool,
    /// Whether the model writes gpt-oss's messages.
    pub harmony: bool,
    /// Whether `--tool-call-parser` is set.
    pub parses_tools: bool,
    /// `--enable-response-store`.
    pub keeps_responses: bool,
}

/// Checks whether this server supports a request, as far as that does not depend on the conversation.
///
/// # Errors
/// The first unsupported field.
pub fn check(request: &ResponsesRequest, traits: ServerTraits) -> Result<(), ResponsesError> {
    let invalid = |message: &str, param: &'static str| Err(ResponsesError::invalid(message, param));
    if request.tools.iter().any(|tool| tool["type"] == "shell") {
        return invalid("Shell tools are not supported by this model", "tools");
    }
    if !traits.keeps_responses && request.previous_response_id.is_some() {
        return Err(ResponsesError::store_disabled("previous_response_id"));
    }
    if !traits.keeps_responses && request.background {
        return Err(ResponsesError::store_disabled("background"));
    }
    if request.background && !request.store {
        return invalid("background=true requires store=true.", "store");
    }
    let callable = |name: Option<&str>| {
        request
            .tools
            .iter()
            .any(|tool| tools::is_callable(tool) && name.is_none_or(|name| tool["name"] == name))
    };
    match &request.tool_choice {
        ToolChoice::Word(word) if word == "required" && !callable(None) => {
            return Err(ResponsesError::invalid(
                "tool_choice=\"required\" requires at least one tool with type=\"function\" or type=\"custom\"; other \
                 built-in tool types cannot be forced.",
                None,
            ));
        }
        ToolChoice::Named { name, .. } if !callable(Some(name)) => {
            return Err(ResponsesError::invalid(
                format!("Tool '{name}' is not declared in tools"),
                "tool_choice",
            ));
        }
        _ => {}
    }
    if request.include_logprobs && (traits.harmony || request.stream) {
        let place = if traits.harmony { "with gpt-oss models" } else { "in streaming mode" };
        return Err(ResponsesError::invalid(format!("logprobs are not supported {place}"), "logprobs"));
    }
    if traits.harmony && request.json_format().is_some() {
        // The grammar would already apply before the final message.
        return invalid("structured output (text.format) is not supported with gpt-oss models", "text");
    }
    let strict = || traits.parses_tools && request.tools.iter().any(|tool| tool["strict"] == true);
    let allowed = request.tool_choice != ToolChoice::Word("none".into());
    if request.json_format().is_some() && (request.forces_tools() || (allowed && strict())) {
        return Err(ResponsesError::invalid(
            "Cannot combine tool calls with constrained decoding (text.format / regex / ebnf / structural_tag / \
             json_schema). Remove one.",
            None,
        ));
    }
    Ok(())
}

/// `text.format` as a chat completion's `response_format`.
fn response_format(format: &Value) -> Value {
    match format["type"] == "json_schema" {
        true => {
            json!({"type": "json_schema", "json_schema": {"name": format["name"], "schema": format["schema"]}})
        }
        false => format.clone(),
    }
}

/// The chat completion for `history`, the whole conversation including the request's own items. `defaults` are the
/// model's sampling parameters.
///
/// # Errors
/// If an item is not a message or cannot be replayed.
pub fn chat_request(
    request: &ResponsesRequest,
    history: &[Value],
    traits: ServerTraits,
    defaults: &SamplingRequest,
    served: &str,
) -> Result<ChatCompletionRequest, ResponsesError> {
    let messages = input::messages(request.instructions.as_deref(), history, traits.inline_system)?;
    let mut body = request.passed.clone();
    body.retain(|_, value| !value.is_null());
    body.insert("model".into(), request.model.as_deref().unwrap_or(served).into());
    body.insert("messages".into(), messages.into());
    body.insert("rid".into(), request.request_id.as_str().into());
    body.insert("stream".into(), request.stream.into());
    body.insert("parallel_tool_calls".into(), request.parallel_tool_calls.into());
    body.insert("logprobs".into(), request.include_logprobs.into());
    if !request.include_logprobs {
        body.remove("top_logprobs");
    }
    if let Some(effort) = &request.effort {
        body.insert("reasoning_effort".into(), effort.as_str().into());
    }
    if let Some(format) = request.json_format() {
        body.insert("response_format".into(), response_format(format));
    }
    let tools = tools::chat_tools(&request.tools);
    let choice = match &request.tool_choice {
        _ if tools.is_empty() => "none".into(),
        ToolChoice::Word(word) => word.as_str().into(),
        ToolChoice::Named { name, .. } => json!({"type": "function", "function": {"name": name}}),
    };
    body.insert("tool_choice".into(), choice);
    if !tools.is_empty() {
        body.insert("tools".into(), tools.into());
    }
    let mut chat = ChatCompletionRequest::from_json(&body).map_err(|errors| {
        let place = |loc: &sglang_tokenizer_manager::requests::validation::Loc| match loc {
            sglang_tokenizer_manager::requests::validation::Loc::Key(key) => key.to_string(),
            sglang_tokenizer_manager::requests::validation::Loc::Index(index) => index.to_string(),
        };
        let texts: Vec<String> = errors
            .iter()
            .map(|e| {
                let place: Vec<String> = e.loc.iter().skip(1).map(place).collect();
                format!("{}: {}", place.join("."), e.msg)
            })
            .collect();
        ResponsesError::invalid(texts.join("; "), "input")
    })?;
    chat.sampling_params.overlay(request.sampling_params.clone());
    if [&request.sampling_params, defaults].iter().all(|sampling| sampling.temperature.value().is_none()) {
        chat.sampling_params.temperature = Given::Value(DEFAULT_TEMPERATURE.into());
    }
    Ok(chat)
}

/// The output limit in tokens that a request sets; as in the reference, it is two tokens lower.
pub fn max_new_tokens(request: &ResponsesRequest) -> Option<i64> {
    request.max_output_tokens.map(|limit| if limit < 0 { limit } else { (limit - HEADROOM).max(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: Value) -> ResponsesRequest {
        ResponsesRequest::from_json(body.as_object().unwrap()).unwrap()
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_its_field() {
        let traits = ServerTraits { keeps_responses: true, parses_tools: true, ..ServerTraits::default() };
        let harmony = ServerTraits { harmony: true, ..traits };
        let tool = json!({"type": "function", "name": "f", "strict": true});
        let schema = json!({"format": {"type": "json_schema", "name": "n", "schema": {}}});
        for (body, traits, part) in [
            (json!({"tools": [{"type": "shell"}]}), traits, "Shell tools"),
            (json!({"previous_response_id": "resp_1"}), ServerTraits::default(), "store is disabled"),
            (json!({"background": true}), ServerTraits::default(), "store is disabled"),
            (json!({"background": true, "store": false}), traits, "requires store=true"),
            (json!({"tool_choice": "required"}), traits, "at least one tool"),
            (
                json!({"tool_choice": {"type": "function", "name": "g"}, "tools": [tool]}),
                traits,
                "Tool 'g' is not",
            ),
            (json!({"include": ["message.output_text.logprobs"], "stream": true}), traits, "streaming mode"),
            (json!({"include": ["message.output_text.logprobs"]}), harmony, "gpt-oss"),
            (json!({"text": schema}), harmony, "text.format"),
            (json!({"text": schema, "tools": [tool]}), traits, "Cannot combine"),
        ] {
            let mut whole = json!({"input": "x"});
            whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
            let error = check(&request(whole), traits).unwrap_err();
            assert!(error.message().contains(part), "{body}: {error}");
        }
        check(&request(json!({"input": "x", "model": "m:adapter", "text": schema})), traits).unwrap();
    }

    #[test]
    fn the_chat_completion_has_the_conversation_the_tools_and_the_format() {
        let body = json!({"input": "x", "instructions": "Help.", "tool_choice": {"type": "custom", "name": "c"},
            "tools": [{"type": "custom", "name": "c"}, {"type": "web_search"}], "reasoning": {"effort": "low"}});
        let (request, nothing) = (request(body), SamplingRequest::default());
        let chat = chat_request(&request, &request.input, ServerTraits::default(), &nothing, "m").unwrap();
        assert_eq!((chat.model.as_str(), chat.messages.len(), chat.tools.len()), ("m", 2, 1));
        assert_eq!(chat.tool_choice, crate::chat::fields::ToolChoice::Named("c".into()));
        assert_eq!(chat.sampling_params.temperature, Given::Value(DEFAULT_TEMPERATURE.into()));
        assert_eq!(chat.reasoning_effort, Some(json!("low")));
        let defaults = SamplingRequest { temperature: Given::Value(0.3.into()), ..nothing.clone() };
        let chat = chat_request(&request, &request.input, ServerTraits::default(), &defaults, "m");
        assert_eq!(
            chat.unwrap().sampling_params.temperature,
            Given::Null,
            "the model's own is filled in later"
        );
        let odd = [json!({"role": "wizard", "content": "x"})];
        let error = chat_request(&request, &odd, ServerTraits::default(), &nothing, "m").unwrap_err();
        assert!(error.message().starts_with("messages.1.role: "), "{error}");
    }

    #[test]
    fn two_tokens_are_taken_off_the_limit() {
        let limit = |n: i64| max_new_tokens(&request(json!({"input": "x", "max_output_tokens": n})));
        assert_eq!((limit(8), limit(1), limit(-1)), (Some(6), Some(0), Some(-1)));
        assert_eq!(max_new_tokens(&request(json!({"input": "x"}))), None);
    }
}
