//! The body of `/v1/messages` and `/v1/messages/count_tokens` (reference: `AnthropicMessagesRequest`).

use serde_json::{Map, Value};
use sglang_proto::sampling_params::{Dialect, Given, SamplingRequest};
use sglang_proto::wire::StringList;
use sglang_tokenizer_manager::requests::sampling::read;
use sglang_tokenizer_manager::requests::validation::{
    FieldError, Fields, Mismatch, Read, boolean, int, list, object, string,
};

use super::content::{self, ContentBlock};
use super::fields::{self, OutputConfig};
use super::tools::{self, ToolChoice};

/// The author of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The user, whose messages also contain the results of tools.
    User,
    /// The model.
    Assistant,
    /// Instructions.
    System,
}

impl Role {
    /// The name of the role in chat completions.
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
        }
    }
}

/// The content of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// One text.
    Text(String),
    /// Blocks.
    Blocks(Vec<ContentBlock>),
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The author.
    pub role: Role,
    /// The content.
    pub content: Content,
}

/// A request.
#[derive(Clone, Debug)]
pub struct MessagesRequest {
    /// The name of the model that the answer repeats.
    pub model: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Instructions before the conversation.
    pub system: Option<Content>,
    /// Whether to stream the answer.
    pub stream: bool,
    /// Sampling parameters; absent if tokens are only counted.
    pub sampling_params: SamplingRequest,
    /// Whether thinking is turned on; `None` if the request does not say.
    pub thinking: Option<bool>,
    /// Tools as chat completion tools, without those that Anthropic's own service would run.
    pub tools: Vec<Value>,
    /// Which tools the model may or must call.
    pub tool_choice: Option<ToolChoice>,
    /// Effort and format of the output.
    pub output_config: OutputConfig,
    /// Data-parallel rank to run on.
    pub routed_dp_rank: Option<i64>,
}

fn content(value: &Value) -> Read<Content> {
    match value {
        Value::String(text) => Ok(Content::Text(text.clone())),
        Value::Array(_) => list(content::block)(value).map(Content::Blocks),
        _ => Err(Mismatch::new(
            "string_type",
            "Input should be a valid string or a list of content blocks",
            value,
        )),
    }
}

fn message(value: &Value) -> Read<Message> {
    let map = object(value)?;
    let role = map.get("role").ok_or_else(|| Mismatch::missing("role", value))?;
    let role = match role.as_str() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        _ => return Err(Mismatch::literal(&["user", "assistant", "system"], role).under("role")),
    };
    let given = map.get("content").ok_or_else(|| Mismatch::missing("content", value))?;
    Ok(Message { role, content: content(given).map_err(|m| m.under("content"))? })
}

fn model(value: &Value) -> Read<String> {
    match string(value)? {
        name if name.is_empty() => Err(Mismatch::rule("Model is required", value)),
        name => Ok(name),
    }
}

fn max_tokens(value: &Value) -> Read<i64> {
    match int(value)? {
        tokens @ 1.. => Ok(tokens),
        _ => Err(Mismatch::rule("max_tokens must be positive", value)),
    }
}

impl MessagesRequest {
    /// Reads the body of `/v1/messages`.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn from_json(body: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        Self::read(body, true)
    }

    /// Reads the body of `/v1/messages/count_tokens`: only the fields that affect the prompt.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn from_count_json(body: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        Self::read(body, false)
    }

    fn read(body: &Map<String, Value>, generates: bool) -> Result<Self, Vec<FieldError>> {
        let mut f = Fields::of_body(body);
        let model = f.required("model", model);
        let messages = f.required("messages", list(message));
        let max_tokens = if generates { f.required("max_tokens", max_tokens) } else { None };
        let mut request = Self {
            model: model.unwrap_or_default(),
            messages: messages.unwrap_or_default(),
            system: f.optional("system", content),
            stream: false,
            sampling_params: SamplingRequest::default(),
            thinking: f.optional("thinking", fields::thinking),
            tools: f.optional("tools", list(tools::tool)).unwrap_or_default().into_iter().flatten().collect(),
            tool_choice: f.optional("tool_choice", tools::tool_choice),
            output_config: f.optional("output_config", fields::output_config).unwrap_or_default(),
            routed_dp_rank: None,
        };
        f.optional("betas", list(string));
        if generates {
            f.optional("metadata", object);
            let stop = f.optional("stop_sequences", list(string));
            request.stream = f.optional("stream", boolean).unwrap_or_default();
            request.sampling_params = read::fields(&mut f, &[Dialect::Messages], &["max_new_tokens", "stop"]);
            request.sampling_params.max_new_tokens = Given::or_null(max_tokens);
            request.sampling_params.stop = Given::or_null(stop.map(StringList));
            request.routed_dp_rank = f.optional("routed_dp_rank", int);
        }
        f.finish(Some(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apis::anthropic::error::AnthropicError;
    use serde_json::json;

    fn error(body: Value) -> String {
        AnthropicError::from(MessagesRequest::from_json(body.as_object().unwrap()).unwrap_err()).to_string()
    }

    #[test]
    fn errors_name_every_field_that_does_not_fit() {
        assert_eq!(
            error(json!({})),
            "model: Field required; messages: Field required; max_tokens: Field required"
        );
        let body = json!({"model": "", "max_tokens": 0, "messages": [{"role": "tool", "content": "x"}]});
        assert_eq!(
            error(body),
            "model: Value error, Model is required; messages.0.role: Input should be 'user', 'assistant' or 'system'; \
             max_tokens: Value error, max_tokens must be positive"
        );
        let body = json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [{"type": "text"}]}]});
        assert_eq!(error(body), "messages.0.content.0.text: Field required");
    }

    #[test]
    fn counting_needs_no_limit() {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "system": "s"});
        let request = MessagesRequest::from_count_json(body.as_object().unwrap()).unwrap();
        assert_eq!((request.sampling_params, request.messages.len()), (SamplingRequest::default(), 1));
    }
}
