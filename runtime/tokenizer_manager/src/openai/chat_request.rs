//! The body of `/v1/chat/completions` (reference: `ChatCompletionRequest`).

use serde_json::{Map, Value, json};

use super::completion_request::{base, sample_count};
use super::fields::{self, StreamOptions};
use super::message::{self, media_part};
use crate::requests::sampling::SamplingMap;
use crate::requests::validation::{
    FieldError, Fields, Mismatch, Read, boolean, float, int, list, object, string,
};
use crate::requests::{GenerateReqInput, OneOrMany};

/// Which tools the model may or must use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// None; tools are left out of the prompt.
    None,
    /// The model decides.
    Auto,
    /// At least one call.
    Required,
    /// This one.
    Named(String),
}

/// A chat request.
#[derive(Clone, Debug)]
pub struct ChatCompletionRequest {
    /// Name that the answer repeats.
    pub model: String,
    /// The conversation.
    pub messages: Vec<Value>,
    /// Log-probabilities of the output.
    pub logprobs: bool,
    /// Alternatives per token.
    pub top_logprobs: i64,
    /// Most output tokens; `None` up to the context's end.
    pub max_tokens: Option<i64>,
    /// Choices.
    pub n: usize,
    /// Send output as it is made.
    pub stream: bool,
    /// Counts in streams.
    pub stream_options: Option<StreamOptions>,
    /// Tool definitions.
    pub tools: Vec<Value>,
    /// Use of tools.
    pub tool_choice: ToolChoice,
    /// `response_format`, when it is not plain text.
    pub response_format: Option<Value>,
    /// Reasoning effort, for templates that know it.
    pub reasoning_effort: Option<Value>,
    /// Further variables of the template.
    pub chat_template_kwargs: Map<String, Value>,
    /// Go on with the last assistant message.
    pub continue_final_message: bool,
    /// Prompt ids that replace the rendered messages.
    pub input_ids: Option<Vec<i64>>,
    /// Give the prompt's ids.
    pub return_prompt_token_ids: bool,
    /// Give ids of prompt and output.
    pub return_token_ids: bool,
    /// Give the native meta information.
    pub return_meta_info: bool,
    /// Say where cached tokens came from.
    pub return_cached_tokens_details: bool,
    /// Sampling parameters by the native names; null where the model's defaults apply.
    pub sampling_params: SamplingMap,
    /// What it shares with a native request.
    pub base: GenerateReqInput,
}

/// Sampling parameters that the model's generation_config may fill, and what they are without it.
const MODEL_DEFAULTS: [(&str, f64); 5] =
    [("temperature", 1.0), ("top_p", 1.0), ("top_k", -1.0), ("min_p", 0.0), ("repetition_penalty", 1.0)];

fn tool_choice(value: &Value) -> Read<ToolChoice> {
    match value {
        Value::String(word) => match word.as_str() {
            "none" => Ok(ToolChoice::None),
            "auto" => Ok(ToolChoice::Auto),
            "required" => Ok(ToolChoice::Required),
            _ => Err(Mismatch::literal("'auto', 'required' or 'none'", value)),
        },
        _ => {
            let map = object(value)?;
            let function = map.get("function").ok_or_else(|| Mismatch::missing("function", value))?;
            let function = object(function).map_err(|m| m.under("function"))?;
            Ok(ToolChoice::Named(function.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()))
        }
    }
}

const EFFORTS: [&str; 8] = ["none", "minimal", "low", "medium", "high", "xhigh", "ultra", "max"];

fn effort(value: &Value) -> Read<Value> {
    match value {
        Value::String(word) if EFFORTS.contains(&word.as_str()) => Ok(value.clone()),
        Value::Bool(_) => Err(Mismatch::rule("reasoning_effort must not be a boolean", value)),
        _ => match float(value)? {
            x if (0.0..=0.99).contains(&x) => Ok(x.into()),
            _ => Err(Mismatch::new(
                "less_than_equal",
                "Input should be a tier such as 'low', or a number from 0 to 0.99",
                value,
            )),
        },
    }
}

/// `reasoning` and `reasoning_effort` as one effort, and whether thinking is switched on or off by them.
fn reasoning(f: &mut Fields<'_>) -> (Option<Value>, Option<bool>) {
    let nested = f.optional("reasoning", object).unwrap_or_default();
    let inner =
        ["effort", "reasoning_effort"].iter().find_map(|key| nested.get(*key).filter(|v| !v.is_null()));
    let effort = match inner.map(effort) {
        Some(Ok(value)) => Some(value),
        Some(Err(mismatch)) => {
            f.push("reasoning", mismatch);
            None
        }
        None => f.optional("reasoning_effort", effort),
    };
    let enabled = ["enabled", "enable"].iter().find_map(|key| nested.get(*key).filter(|v| !v.is_null()));
    let enabled = enabled.is_some_and(|v| boolean(v).unwrap_or_default());
    let thinking = match &effort {
        Some(value) => Some(value != "none"),
        None => enabled.then_some(true),
    };
    (effort, thinking)
}

impl ChatCompletionRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// Every field that does not fit.
    pub fn from_json(body: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut f = Fields::of_body(body);
        let messages = f.required("messages", message::messages);
        let (reasoning_effort, thinking) = reasoning(&mut f);
        let mut kwargs = f.optional("chat_template_kwargs", object).unwrap_or_default();
        if let Some(thinking) = thinking {
            // Templates differ in the name that they look at.
            for name in ["thinking", "enable_thinking"] {
                kwargs.entry(name).or_insert(thinking.into());
            }
        }
        // What a template says about effort wins, and it is a variable of its own.
        let reasoning_effort = kwargs.shift_remove("reasoning_effort").or(reasoning_effort);
        let n = f.or("n", 1, sample_count);
        let max_tokens = f.optional("max_tokens", int);
        let max_tokens =
            f.optional("max_completion_tokens", int).filter(|n| *n != 0).or(max_tokens).filter(|n| *n != 0);
        let tools = f.optional("tools", list(message::tool));
        let sampling_params = json!({
            "temperature": fields::float_json(&mut f, "temperature"),
            "max_new_tokens": max_tokens,
            "min_new_tokens": f.or("min_tokens", 0, int),
            "stop": fields::texts_json(&mut f, "stop"),
            "stop_token_ids": fields::ints_json(&mut f, "stop_token_ids"),
            "stop_regex": fields::texts_json(&mut f, "stop_regex"),
            "top_p": fields::float_json(&mut f, "top_p"),
            "top_k": fields::int_json(&mut f, "top_k"),
            "min_p": fields::float_json(&mut f, "min_p"),
            "presence_penalty": f.or("presence_penalty", 0.0, float),
            "frequency_penalty": f.or("frequency_penalty", 0.0, float),
            "repetition_penalty": fields::float_json(&mut f, "repetition_penalty"),
            "regex": f.optional("regex", string),
            "ebnf": f.optional("ebnf", string),
            "n": n,
            "no_stop_trim": f.or("no_stop_trim", false, boolean),
            "ignore_eos": f.or("ignore_eos", false, boolean),
            "skip_special_tokens": f.or("skip_special_tokens", true, boolean),
            "logit_bias": fields::bias_json(&mut f, "logit_bias"),
            "custom_params": f.optional("custom_params", object),
            "sampling_seed": fields::int_json(&mut f, "seed"),
            "spaces_between_special_tokens":
                kwargs.get("spaces_between_special_tokens").and_then(Value::as_bool).unwrap_or(true),
        });
        let tool_choice = f.optional("tool_choice", tool_choice).unwrap_or(match tools {
            None => ToolChoice::None,
            Some(_) => ToolChoice::Auto,
        });
        let response_format =
            f.optional("response_format", fields::response_format).filter(|kind| kind != "text");
        let request = messages.map(|messages| Self {
            model: f.or("model", "default".to_owned(), string),
            messages,
            logprobs: f.or("logprobs", false, boolean),
            top_logprobs: f.optional("top_logprobs", int).unwrap_or_default(),
            max_tokens,
            n,
            stream: f.or("stream", false, boolean),
            stream_options: f.optional("stream_options", fields::stream_options),
            tools: tools.unwrap_or_default(),
            tool_choice,
            response_format: response_format.and_then(|_| body.get("response_format").cloned()),
            reasoning_effort,
            chat_template_kwargs: kwargs,
            continue_final_message: f.or("continue_final_message", false, boolean),
            input_ids: f.optional("input_ids", list(int)),
            return_prompt_token_ids: f.or("return_prompt_token_ids", false, boolean),
            return_token_ids: f.or("return_token_ids", false, boolean),
            return_meta_info: f.or("return_meta_info", false, boolean),
            return_cached_tokens_details: f.or("return_cached_tokens_details", false, boolean),
            sampling_params: match sampling_params {
                Value::Object(map) => map,
                _ => Map::new(),
            },
            base: base(&mut f),
        });
        f.finish(request)
    }

    /// Whether the request makes sense; the text is the answer's.
    ///
    /// # Errors
    /// What is wrong, in the reference's words.
    pub fn validate(&self, context_length: Option<usize>, allow_auto_truncate: bool) -> Result<(), String> {
        if self.messages.is_empty() {
            return Err("Messages cannot be empty.".into());
        }
        if self.chat_template_kwargs.contains_key("chat_template") {
            return Err("Request-supplied chat_template is not allowed. Start the server with \
                        --trust-request-chat-template to permit it."
                .into());
        }
        if let Some(kind) = media_part(&self.messages) {
            return Err(format!(
                "Model only supports text input; received unsupported content type '{kind}'."
            ));
        }
        match &self.tool_choice {
            ToolChoice::Required if self.tools.is_empty() => {
                return Err("Tools cannot be empty if tool choice is set to required.".into());
            }
            ToolChoice::Named(_) if self.tools.is_empty() => {
                return Err("Tools cannot be empty if tool choice is set to a specific tool.".into());
            }
            ToolChoice::Named(name) if !self.tools.iter().any(|t| t["function"]["name"] == name.as_str()) => {
                return Err(format!("Tool '{name}' not found in tools list."));
            }
            _ => {}
        }
        if let (Some(wanted), Some(limit), false) = (self.max_tokens, context_length, allow_auto_truncate)
            && usize::try_from(wanted).is_ok_and(|wanted| wanted > limit)
        {
            return Err(format!(
                "max_completion_tokens is too large: {wanted}.This model supports at most {limit} completion tokens."
            ));
        }
        if let Some(format) = &self.response_format
            && format["type"] == "json_schema"
            && format["json_schema"]["schema"].is_null()
            && format["schema"].is_null()
        {
            return Err("schema_ is required for json_schema response format request.".into());
        }
        Ok(())
    }

    /// What cannot be converted to a native request; the text is the answer's.
    ///
    /// # Errors
    /// Options that exclude each other or that this version does not have.
    pub fn check_conversion(&self) -> Result<(), String> {
        let not_in_streams = [
            ("return_prompt_token_ids", self.return_prompt_token_ids, ""),
            ("return_token_ids", self.return_token_ids, " on /v1/chat/completions"),
            ("return_meta_info", self.return_meta_info, ""),
        ];
        for (name, wanted, place) in not_in_streams {
            if self.stream && wanted {
                return Err(format!(
                    "{name} is not supported with streaming{place}. Please set stream=false when using {name}=true."
                ));
            }
        }
        let forced = matches!(self.tool_choice, ToolChoice::Required | ToolChoice::Named(_));
        let constrained = self.response_format.is_some()
            || ["regex", "ebnf"]
                .iter()
                .any(|key| self.sampling_params.get(*key).is_some_and(|v| !v.is_null()));
        if forced && constrained {
            return Err(
                "tool_choice 'required' or a named tool cannot be combined with response_format, regex, or \
                        ebnf: the tool-call constraint and the output constraint cannot both be honored."
                    .into(),
            );
        }
        if forced {
            return Err(
                "tool_choice 'required' or a named tool needs structured output, which this version of the \
                        server does not support. Use tool_choice 'auto' or 'none'."
                    .into(),
            );
        }
        if let Some(format) = &self.response_format {
            return Err(format!(
                "response_format type {} needs structured output, which this version of the server does not support. \
                 Use type 'text' or leave it out.",
                format["type"]
            ));
        }
        Ok(())
    }

    /// The native request over `prompt`. Sampling parameters that are left out come from `model_defaults`.
    pub fn to_generate(
        &self,
        prompt: Vec<i64>,
        model_defaults: &Map<String, Value>,
        adapter: Option<String>,
        dp_rank: Option<i64>,
    ) -> GenerateReqInput {
        let mut sampling = self.sampling_params.clone();
        for (name, default) in MODEL_DEFAULTS {
            if sampling.get(name).is_none_or(Value::is_null) {
                let fallback = if name == "top_k" { Value::from(-1) } else { Value::from(default) };
                sampling.insert(name.into(), model_defaults.get(name).cloned().unwrap_or(fallback));
            }
        }
        if self.uses_tools() {
            // Markers of a call are special tokens in some models.
            sampling.insert("skip_special_tokens".into(), false.into());
        }
        let mut request = self.base.clone();
        request.input_ids = Some(OneOrMany::One(prompt));
        request.sampling_params = Some(OneOrMany::One(sampling));
        request.return_logprob = Some(OneOrMany::One(self.logprobs));
        request.logprob_start_len = Some(OneOrMany::One(-1));
        request.top_logprobs_num = Some(OneOrMany::One(self.top_logprobs));
        request.stream = self.stream;
        request.return_prompt_token_ids = self.return_prompt_token_ids || self.return_token_ids;
        request.routed_dp_rank = dp_rank;
        if let Some(adapter) = adapter {
            request.lora_path = Some(OneOrMany::One(Some(adapter)));
        }
        request
    }

    /// Whether tools go into the prompt.
    pub fn uses_tools(&self) -> bool {
        !self.tools.is_empty() && self.tool_choice != ToolChoice::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut body: Value) -> ChatCompletionRequest {
        body["messages"] = json!([{"role": "user", "content": "hi"}]);
        ChatCompletionRequest::from_json(body.as_object().unwrap()).unwrap()
    }

    fn sampling(request: &GenerateReqInput) -> &SamplingMap {
        match &request.sampling_params {
            Some(OneOrMany::One(map)) => map,
            _ => panic!("one set of parameters"),
        }
    }

    #[test]
    fn the_models_defaults_fill_what_is_left_out() {
        let defaults = json!({"temperature": 0.6, "top_k": 20});
        let request =
            read(json!({"top_p": 0.5})).to_generate(vec![1], defaults.as_object().unwrap(), None, None);
        let map = sampling(&request);
        assert_eq!(
            (&map["temperature"], &map["top_k"], &map["top_p"], &map["min_p"]),
            (&json!(0.6), &json!(20), &json!(0.5), &json!(0.0))
        );
        assert_eq!(map["max_new_tokens"], Value::Null);
    }

    #[test]
    fn completion_tokens_win_over_max_tokens() {
        assert_eq!(read(json!({"max_tokens": 3, "max_completion_tokens": 5})).max_tokens, Some(5));
        assert_eq!(read(json!({"max_tokens": 3})).max_tokens, Some(3));
    }

    #[test]
    fn effort_switches_thinking_for_every_name() {
        let request = read(json!({"reasoning_effort": "none"}));
        assert_eq!(request.chat_template_kwargs["enable_thinking"], false);
        let request = read(json!({"reasoning": {"effort": "high"}}));
        assert_eq!(
            (&request.chat_template_kwargs["thinking"], request.reasoning_effort),
            (&json!(true), Some(json!("high")))
        );
        assert!(read(json!({})).chat_template_kwargs.is_empty());
    }

    #[test]
    fn impossible_requests_say_why() {
        let tool = json!({"type": "function", "function": {"name": "f"}});
        let validate = |body: Value| read(body).validate(Some(100), false).unwrap_err();
        assert_eq!(
            validate(json!({"tool_choice": "required"})),
            "Tools cannot be empty if tool choice is set to required."
        );
        assert_eq!(
            validate(
                json!({"tools": [tool], "tool_choice": {"type": "function", "function": {"name": "g"}}})
            ),
            "Tool 'g' not found in tools list."
        );
        assert!(validate(json!({"max_tokens": 101})).starts_with("max_completion_tokens is too large: 101."));
        let convert = |body: Value| read(body).check_conversion().unwrap_err();
        assert!(convert(json!({"tools": [tool], "tool_choice": "required", "response_format": {"type": "json_object"}})).contains("cannot both be honored"));
        assert!(convert(json!({"response_format": {"type": "json_object"}})).contains("does not support"));
        assert!(
            convert(json!({"stream": true, "return_meta_info": true}))
                .starts_with("return_meta_info is not supported with streaming.")
        );
        read(json!({"tools": [tool]})).check_conversion().unwrap();
    }
}
