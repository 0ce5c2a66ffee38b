//! The body of `/api/generate`.

use serde_json::{Map, Value, json};
use sglang_proto::sampling_params::Given;
use sglang_tokenizer_manager::requests::validation::{FieldError, Fields, boolean, int, list, string};
use sglang_tokenizer_manager::requests::{GenerateReqInput, OneOrMany};

use super::chat::OllamaChatRequest;
use super::error::OllamaError;
use super::fields::Common;
use crate::completion::template::CompletionTemplate;

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub struct OllamaGenerateRequest {
    /// The fields shared with other requests.
    pub common: Common,
    prompt: String,
    system: String,
    suffix: String,
    template: String,
    /// The ids of an earlier prompt and its answer.
    context: Vec<i64>,
    raw: Option<bool>,
    has_images: bool,
}

impl OllamaGenerateRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn from_json(body: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut f = Fields::of_body(body);
        let common = Common::read(&mut f);
        let mut text = |name| f.optional(name, string).unwrap_or_default();
        let (suffix, system, template) = (text("suffix"), text("system"), text("template"));
        let request = Self {
            prompt: f.required("prompt", string).unwrap_or_default(),
            context: f.optional("context", list(int)).unwrap_or_default(),
            raw: f.optional("raw", boolean),
            has_images: f.optional("images", list(string)).is_some_and(|images| !images.is_empty()),
            common,
            system,
            suffix,
            template,
        };
        f.finish(Some(request))
    }

    /// Refuses requests that this server does not support.
    ///
    /// # Errors
    /// The first unsupported field, in Ollama's words if there are any.
    pub fn check(&self, fills_in: bool) -> Result<(), OllamaError> {
        let model = &self.common.model;
        let refuse = |why: String| Err(OllamaError::invalid(why));
        if self.has_images {
            return refuse("Model only supports text input; received images".into());
        }
        if !self.template.is_empty() {
            return refuse(
                "template is written in Go's language, which this server does not read; use raw, or --chat-template \
                 when the server starts"
                    .into(),
            );
        }
        if self.raw == Some(true) && !(self.system.is_empty() && self.context.is_empty()) {
            return refuse("raw mode does not support template, system, or context".into());
        }
        if self.raw == Some(true) && self.common.think.is_some() {
            return refuse("raw mode does not support think, which the chat template switches".into());
        }
        if !self.suffix.is_empty() && !fills_in {
            return refuse(format!("\"{model}\" does not support insert; it needs --completion-template"));
        }
        if !self.suffix.is_empty() && self.is_templated() {
            return refuse("suffix does not go with raw false or think".into());
        }
        Ok(())
    }

    /// Whether there is nothing to continue. The command-line client sends such a request first.
    pub fn is_blank(&self) -> bool {
        self.prompt.trim().is_empty() && self.system.is_empty() && self.suffix.is_empty()
    }

    /// Whether the prompt is a user message for the chat template, and not the raw prompt.
    pub fn is_templated(&self) -> bool {
        self.raw == Some(false) || (self.raw.is_none() && self.common.think.is_some())
    }

    /// The ids before the prompt.
    pub fn context(&self) -> &[i64] {
        &self.context
    }

    /// Whether the answer includes the ids with which a later request can continue.
    pub fn wants_context(&self) -> bool {
        self.raw != Some(true)
    }

    /// The request as a chat with one message.
    pub fn to_chat(&self) -> OllamaChatRequest {
        let message = |role: &str, content: &str| json!({"role": role, "content": content});
        let system = Some(&self.system).filter(|text| !text.is_empty()).map(|text| message("system", text));
        OllamaChatRequest {
            common: self.common.clone(),
            messages: system.into_iter().chain([message("user", &self.prompt)]).collect(),
            tools: Vec::new(),
        }
    }

    /// The prompt text for the model.
    ///
    /// # Errors
    /// If `template` refuses the prompt.
    pub fn text(&self, template: Option<&CompletionTemplate>) -> Result<String, OllamaError> {
        use crate::completion::prompt::CompletionPrompt;
        let prompt = match self.system.is_empty() {
            true => self.prompt.clone(),
            false => format!("{}\n\n{}", self.system, self.prompt),
        };
        let Some(template) = template.filter(|_| !self.suffix.is_empty()) else { return Ok(prompt) };
        let filled = template.apply(&CompletionPrompt::Text(OneOrMany::One(prompt)), &self.suffix);
        match filled.map_err(OllamaError::invalid)? {
            OneOrMany::One(text) => Ok(text),
            OneOrMany::Many(texts) => Ok(texts.concat()),
        }
    }

    /// The native request, without its prompt.
    pub fn to_generate(&self) -> GenerateReqInput {
        let mut params = self.common.options.sampling_params();
        if let Some(schema) = &self.common.schema {
            params.json_schema = Given::Value(schema.clone());
        }
        GenerateReqInput {
            sampling_params: Some(OneOrMany::One(params)),
            stream: self.common.stream,
            return_logprob: Some(OneOrMany::One(self.common.logprobs)),
            top_logprobs_num: Some(OneOrMany::One(self.common.top_logprobs)),
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(more: Value) -> OllamaGenerateRequest {
        let mut body = json!({"model": "m", "prompt": "p"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        OllamaGenerateRequest::from_json(body.as_object().unwrap()).unwrap()
    }

    #[test]
    fn instructions_stand_before_the_prompt() {
        assert_eq!(read(json!({"system": "s"})).text(None).unwrap(), "s\n\np");
        let template = CompletionTemplate::load("qwen_coder").unwrap();
        let filled = read(json!({"suffix": "end"})).text(Some(&template)).unwrap();
        assert_eq!(filled, "<|fim_prefix|>p<|fim_suffix|>end<|fim_middle|>");
        assert!(read(json!({"prompt": " \n"})).is_blank() && !read(json!({})).is_blank());
    }

    #[test]
    fn the_template_is_used_where_the_request_asks_for_it() {
        let templated = |more: Value| read(more).is_templated();
        assert!(templated(json!({"raw": false})) && templated(json!({"think": true})));
        assert!(
            !templated(json!({})) && !templated(json!({"raw": true})) && !templated(json!({"raw": null}))
        );
        let chat = read(json!({"raw": false, "system": "s"})).to_chat();
        assert_eq!(
            (&chat.messages[0]["role"], &chat.messages[1]["content"]),
            (&json!("system"), &json!("p"))
        );
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (more, part) in [
            (json!({"images": ["aGk="]}), "only supports text"),
            (json!({"template": "{{ .Prompt }}"}), "Go's language"),
            (json!({"raw": true, "system": "s"}), "raw mode does not support"),
            (json!({"raw": true, "context": [1]}), "raw mode does not support"),
            (json!({"raw": true, "think": true}), "raw mode does not support think"),
            (json!({"suffix": "s"}), "does not support insert"),
        ] {
            let error = read(more).check(false).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        read(json!({"images": [], "template": "", "suffix": "", "context": [1]})).check(false).unwrap();
        read(json!({"suffix": "s"})).check(true).unwrap();
        assert!(read(json!({"suffix": "s", "raw": false})).check(true).is_err());
    }
}
