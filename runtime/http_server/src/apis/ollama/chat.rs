//! The body of `/api/chat`, and the chat completion that serves it.

use serde_json::{Map, Value, json};
use sglang_parsers::{ReasoningDefault, ReasoningParser};
use sglang_tokenizer_manager::requests::validation::{FieldError, Fields, list};

use super::error::OllamaError;
use super::fields::{Common, Think};
use super::history;
use crate::chat::message::{answer_text, tool};
use crate::chat::request::ChatCompletionRequest;

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub struct OllamaChatRequest {
    /// The fields shared with other requests.
    pub common: Common,
    /// The conversation as chat completion messages; empty to only load the model.
    pub messages: Vec<Value>,
    /// Tools, in the form of chat completions.
    pub tools: Vec<Value>,
}

impl OllamaChatRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn from_json(body: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut f = Fields::of_body(body);
        let common = Common::read(&mut f);
        let messages = f.required("messages", history::messages);
        let tools = f.optional("tools", list(tool)).unwrap_or_default();
        f.finish(messages.map(|messages| Self { common, messages, tools }))
    }

    /// The chat completion. As in Ollama, a final assistant message is the beginning of the answer.
    ///
    /// # Errors
    /// If the request turns thinking on or off and the model does not support that.
    pub fn to_chat(&self, parser: Option<ReasoningParser>) -> Result<ChatCompletionRequest, OllamaError> {
        let mut messages = self.messages.clone();
        let continues = messages.last_mut().is_some_and(|last| begin_answer(last, parser));
        let mut body = Map::from_iter([
            ("model".to_owned(), self.common.model.as_str().into()),
            ("stream".to_owned(), self.common.stream.into()),
            ("logprobs".to_owned(), self.common.logprobs.into()),
            ("top_logprobs".to_owned(), self.common.top_logprobs.into()),
            ("continue_final_message".to_owned(), continues.into()),
            ("messages".to_owned(), messages.into()),
        ]);
        if !self.tools.is_empty() {
            body.insert("tools".into(), self.tools.clone().into());
        }
        body.extend(self.common.response_format().map(|format| ("response_format".to_owned(), format)));
        let think = if continues { Some(&Think::Off) } else { self.common.think.as_ref() };
        let parser = parser.filter(|parser| {
            // If the model always thinks, the thinking ends before the text.
            !continues || parser.reasoning_default() != ReasoningDefault::Always
        });
        body.extend(thinking(&self.common.model, think, parser)?);
        let mut chat = ChatCompletionRequest::from_json(&body).map_err(OllamaError::from)?;
        chat.reasoning_is_over = continues;
        Ok(chat)
    }
}

/// Merges a final assistant message into one text, preceded by its thinking in the model's tags. False for other
/// messages.
fn begin_answer(last: &mut Value, parser: Option<ReasoningParser>) -> bool {
    let Some(text) = answer_text(last) else { return false };
    let thoughts = last["reasoning_content"].as_str().zip(parser);
    let text = match thoughts {
        Some((thoughts, parser)) => {
            format!("{}{thoughts}\n{}\n\n{text}", parser.think_start(), parser.think_end())
        }
        None => text,
    };
    last["content"] = text.into();
    true
}

/// The fields of a chat completion that turn thinking on or off.
fn thinking(
    model: &str,
    think: Option<&Think>,
    parser: Option<ReasoningParser>,
) -> Result<Vec<(String, Value)>, OllamaError> {
    let switch =
        |on: bool| ("chat_template_kwargs".to_owned(), json!({"thinking": on, "enable_thinking": on}));
    let effort = |word: &str| ("reasoning_effort".to_owned(), Value::from(word));
    let by_effort = parser.is_some_and(|parser| parser.reasoning_default() == ReasoningDefault::Effort);
    Ok(match (think, parser) {
        (None, _) | (Some(Think::Off), None) => Vec::new(),
        (Some(_), None) => {
            return Err(OllamaError::invalid(format!(
                "\"{model}\" does not support thinking; a model that thinks needs --reasoning-parser"
            )));
        }
        (Some(Think::Off), Some(parser)) if parser.reasoning_default() == ReasoningDefault::Always => {
            return Err(OllamaError::invalid(format!("\"{model}\" always thinks; think cannot be false")));
        }
        (Some(Think::Off), _) if by_effort => vec![effort("none")],
        (Some(Think::On), _) if by_effort => vec![effort("high")],
        (Some(Think::Off), _) => vec![switch(false)],
        (Some(Think::On), _) => vec![switch(true)],
        (Some(Think::Effort(word)), _) => vec![effort(word)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(more: Value, parser: &str) -> Result<ChatCompletionRequest, String> {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let request = OllamaChatRequest::from_json(body.as_object().unwrap()).unwrap();
        request.to_chat(ReasoningParser::by_name(parser)).map_err(|e| e.to_string())
    }

    #[test]
    fn a_last_message_of_the_assistant_is_continued() {
        let ask = |last: Value, parser| {
            chat(json!({"messages": [{"role": "user", "content": "x"}, last]}), parser).unwrap()
        };
        let plain = ask(json!({"role": "assistant", "content": "Well"}), "none");
        assert_eq!(plain.continued_text().as_deref(), Some("Well"));
        assert!(plain.reasoning_is_over && plain.chat_template_kwargs.is_empty());
        let thoughtful =
            ask(json!({"role": "assistant", "content": "Well", "thinking": "hm"}), "deepseek-r1");
        assert_eq!(thoughtful.continued_text().as_deref(), Some("<think>hm\n</think>\n\nWell"));
        let toggled = ask(json!({"role": "assistant", "content": "Well"}), "qwen3");
        assert_eq!(toggled.chat_template_kwargs["enable_thinking"], false);
        let call = json!({"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]});
        assert!(!ask(call, "none").continue_final_message);
    }

    #[test]
    fn thinking_is_switched_as_the_model_does_it_or_refused() {
        let kwargs =
            |think: Value, parser| chat(json!({"think": think}), parser).unwrap().chat_template_kwargs;
        assert_eq!(kwargs(json!(true), "qwen3")["enable_thinking"], true);
        assert_eq!(kwargs(json!(false), "kimi_k2")["thinking"], false);
        assert!(kwargs(json!(false), "none").is_empty() && kwargs(Value::Null, "qwen3").is_empty());
        let effort = |think: Value, parser| chat(json!({"think": think}), parser).unwrap().reasoning_effort;
        assert_eq!(effort(json!("low"), "gpt-oss"), Some(json!("low")));
        assert_eq!(effort(json!(true), "mistral"), Some(json!("high")));
        assert!(chat(json!({"think": true}), "none").unwrap_err().contains("does not support thinking"));
        assert!(chat(json!({"think": false}), "deepseek-r1").unwrap_err().contains("always thinks"));
    }

    #[test]
    fn tools_and_the_format_are_those_of_a_chat_completion() {
        let tools =
            json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
        let chat =
            chat(json!({"tools": tools, "format": {"type": "object"}, "logprobs": true}), "none").unwrap();
        assert_eq!(chat.tools[0]["function"]["name"], "f");
        assert_eq!(chat.response_format.unwrap()["json_schema"]["schema"], json!({"type": "object"}));
        assert!(chat.logprobs);
    }
}
