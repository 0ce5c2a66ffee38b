//! A final assistant message: the beginning of the answer, which the model continues.

use serde_json::Value;

use super::error::AnthropicError;
use super::request::{MessagesRequest, Role};
use crate::chat::message::answer_text;

/// What the last message of a request begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefill {
    /// Nothing: it is a user message, or has tool calls.
    None,
    /// An answer without thinking.
    Answer,
    /// An answer after its thinking.
    AfterThinking,
}

/// Examines the last of the converted `messages`, and merges it into one text if it is to be continued. `thoughts` is
/// the thinking that it contains, in the model's tags.
///
/// # Errors
/// If the beginning cannot be continued; in Anthropic's words if there are any.
pub fn prefill(
    request: &MessagesRequest,
    messages: &mut [Value],
    thoughts: Option<&str>,
) -> Result<Prefill, AnthropicError> {
    let is_last = request.messages.last().is_some_and(|message| message.role == Role::Assistant);
    let Some(last) = messages.last_mut().filter(|_| is_last) else { return Ok(Prefill::None) };
    let Some(text) = answer_text(last) else { return Ok(Prefill::None) };
    let refuse = |why: &str| Err(AnthropicError::invalid(format!("messages: {why}")));
    if text.ends_with(char::is_whitespace) {
        return refuse("final assistant content cannot end with trailing whitespace");
    }
    if !text.is_empty() && request.output_config.schema.is_some() {
        return refuse(
            "final assistant content cannot be combined with output_config.format, which describes the whole answer",
        );
    }
    match thoughts.and_then(|thoughts| Some((thoughts, text.strip_prefix(thoughts)?))) {
        Some((thoughts, answer)) => {
            last["content"] = format!("{thoughts}\n\n{answer}").into();
            Ok(Prefill::AfterThinking)
        }
        None if !text.is_empty() && request.thinking == Some(true) => {
            refuse("final assistant content must start with a thinking block when thinking is enabled")
        }
        None => {
            last["content"] = text.into();
            Ok(Prefill::Answer)
        }
    }
}
