//! The body of `/v1/chat/completions` (reference: `ChatCompletionRequest`).

use serde_json::{Map, Value};
use sglang_proto::sampling_params::{Dialect, Given, SamplingRequest};
use sglang_tokenizer_manager::model_name::DEFAULT_MODEL;
use sglang_tokenizer_manager::requests::sampling::read;
use sglang_tokenizer_manager::requests::validation::{
    FieldError, Fields, boolean, int, list, object, string,
};
use sglang_tokenizer_manager::requests::{GenerateReqInput, OneOrMany};

use super::fields::{ToolChoice, reasoning, tool_choice};
use super::message;
use crate::request_fields;
use crate::request_fields::StreamOptions;
use crate::request_fields::{base, sample_count};

/// A chat request.
#[derive(Clone, Debug)]
pub struct ChatCompletionRequest {
    /// The name of the model that the answer repeats.
    pub model: String,
    /// The conversation.
    pub messages: Vec<Value>,
    /// Whether to return log-probabilities of the output.
    pub logprobs: bool,
    /// Number of alternatives per token.
    pub top_logprobs: i64,
    /// Number of choices.
    pub n: usize,
    /// Whether to stream the output.
    pub stream: bool,
    /// When a stream sends token counts.
    pub stream_options: Option<StreamOptions>,
    /// Tool definitions.
    pub tools: Vec<Value>,
    /// Which tools the model may or must call.
    pub tool_choice: ToolChoice,
    /// Whether an answer may have more than one call.
    pub parallel_tool_calls: bool,
    /// Whether to return reasoning separately from the text.
    pub separate_reasoning: bool,
    /// Whether to stream reasoning as it is generated, instead of all at once.
    pub stream_reasoning: bool,
    /// `response_format`, unless it is plain text.
    pub response_format: Option<Value>,
    /// Reasoning effort, for templates that support it.
    pub reasoning_effort: Option<Value>,
    /// Further variables of the template.
    pub chat_template_kwargs: Map<String, Value>,
    /// Whether to continue the last assistant message.
    pub continue_final_message: bool,
    /// Whether the reasoning is over in the message to continue. Set only by other dialects.
    pub reasoning_is_over: bool,
    /// Prompt ids that replace the rendered messages.
    pub input_ids: Option<Vec<i64>>,
    /// Whether to return the prompt's ids.
    pub return_prompt_token_ids: bool,
    /// Whether to return the ids of prompt and output.
    pub return_token_ids: bool,
    /// Whether to return the native `meta_info`.
    pub return_meta_info: bool,
    /// Whether to report where cached tokens came from.
    pub return_cached_tokens_details: bool,
    /// Sampling parameters; null for those that the model's defaults fill.
    pub sampling_params: SamplingRequest,
    /// The fields shared with native requests.
    pub base: GenerateReqInput,
}

impl ChatCompletionRequest {
    /// The tool definitions of the request and of its system messages, as sent.
    pub fn tool_definitions(&self) -> impl Iterator<Item = &Value> {
        let system = |message: &&Value| {
            ["root", "system", "developer"].iter().any(|role| message.get("role").is_some_and(|r| r == role))
        };
        let in_messages =
            self.messages.iter().filter(system).filter_map(|m| m.get("tools").and_then(Value::as_array));
        self.tools.iter().chain(in_messages.flatten())
    }

    /// Reads a body.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn from_json(body: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut f = Fields::of_body(body);
        let messages = f.required("messages", message::messages);
        let (reasoning_effort, thinking) = reasoning(&mut f);
        let mut kwargs = f.optional("chat_template_kwargs", object).unwrap_or_default();
        if let Some(thinking) = thinking {
            // Templates use either name.
            for name in ["thinking", "enable_thinking"] {
                kwargs.entry(name).or_insert(thinking.into());
            }
        }
        // The template variable takes precedence. It is removed, since effort is passed to the template separately.
        let reasoning_effort = kwargs.shift_remove("reasoning_effort").or(reasoning_effort);
        let n = f.or("n", 1, sample_count);
        let max_tokens = f.optional("max_tokens", int);
        let max_tokens =
            f.optional("max_completion_tokens", int).filter(|n| *n != 0).or(max_tokens).filter(|n| *n != 0);
        let tools = f.optional("tools", list(message::tool));
        let mut sampling_params = read::fields(&mut f, &[Dialect::OpenAi], &["max_new_tokens", "n"]);
        sampling_params.max_new_tokens = Given::or_null(max_tokens);
        sampling_params.n = Given::or_null(i64::try_from(n).ok());
        // As in the reference, chat requests set this parameter through a template variable.
        let spaces = kwargs.get("spaces_between_special_tokens").and_then(Value::as_bool);
        sampling_params.spaces_between_special_tokens = Given::or_null(spaces);
        let tool_choice = f.optional("tool_choice", tool_choice).unwrap_or(match tools {
            None => ToolChoice::None,
            Some(_) => ToolChoice::Auto,
        });
        let response_format =
            f.optional("response_format", request_fields::response_format).filter(|kind| kind != "text");
        let request = messages.map(|messages| Self {
            model: f.or("model", DEFAULT_MODEL.to_owned(), string),
            messages,
            logprobs: f.or("logprobs", false, boolean),
            top_logprobs: f.optional("top_logprobs", int).unwrap_or_default(),
            n,
            stream: f.or("stream", false, boolean),
            stream_options: f.optional("stream_options", request_fields::stream_options),
            tools: tools.unwrap_or_default(),
            tool_choice,
            parallel_tool_calls: f.optional("parallel_tool_calls", boolean).unwrap_or(true),
            separate_reasoning: f.or("separate_reasoning", true, boolean),
            stream_reasoning: f.or("stream_reasoning", true, boolean),
            response_format: response_format.and_then(|_| body.get("response_format").cloned()),
            reasoning_effort,
            chat_template_kwargs: kwargs,
            continue_final_message: f.or("continue_final_message", false, boolean),
            reasoning_is_over: false,
            input_ids: f.optional("input_ids", list(int)),
            return_prompt_token_ids: f.or("return_prompt_token_ids", false, boolean),
            return_token_ids: f.or("return_token_ids", false, boolean),
            return_meta_info: f.or("return_meta_info", false, boolean),
            return_cached_tokens_details: f.or("return_cached_tokens_details", false, boolean),
            sampling_params,
            base: base(&mut f),
        });
        f.finish(request)
    }

    /// The native request for `prompt`. Sampling parameters that are absent or null come from `model_defaults`.
    pub fn to_generate(
        &self,
        prompt: Vec<i64>,
        model_defaults: &SamplingRequest,
        adapter: Option<String>,
        dp_rank: Option<i64>,
    ) -> GenerateReqInput {
        let mut sampling = self.sampling_params.clone();
        sampling.fill(model_defaults);
        if self.tool_choice != ToolChoice::None && self.tool_definitions().next().is_some() {
            // In some models the markers of a call are special tokens.
            sampling.skip_special_tokens = Given::Value(false);
        }
        if let Some(format) = &self.response_format {
            request_fields::set_response_format(&mut sampling, format);
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

    /// The assistant text that the answer continues.
    pub fn continued_text(&self) -> Option<String> {
        message::answer_text(self.messages.last().filter(|_| self.continue_final_message)?)
    }

    /// The tools in the prompt: those that may be called. `None` if there are none.
    pub fn prompt_tools(&self) -> Option<Vec<Value>> {
        let callable = |tool: &&Value| match &self.tool_choice {
            ToolChoice::None => false,
            ToolChoice::Auto | ToolChoice::Required => true,
            ToolChoice::Named(name) => tool["function"]["name"] == name.as_str(),
        };
        Some(self.tools.iter().filter(callable).cloned().collect())
            .filter(|tools: &Vec<Value>| !tools.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(mut body: Value) -> ChatCompletionRequest {
        body["messages"] = json!([{"role": "user", "content": "hi"}]);
        ChatCompletionRequest::from_json(body.as_object().unwrap()).unwrap()
    }

    fn sampling(request: &GenerateReqInput) -> &SamplingRequest {
        match &request.sampling_params {
            Some(OneOrMany::One(sampling)) => sampling,
            _ => panic!("one set of parameters"),
        }
    }

    #[test]
    fn the_models_defaults_fill_what_is_left_out() {
        let defaults = SamplingRequest {
            temperature: Given::Value(0.6.into()),
            top_k: Given::Value(20),
            ..SamplingRequest::default()
        };
        let request = read(json!({"top_p": 0.5})).to_generate(vec![1], &defaults, None, None);
        let params = sampling(&request).to_params();
        assert_eq!((params.temperature, params.top_k, params.top_p, params.min_p), (0.6, 20, 0.5, 0.0));
        assert_eq!(params.max_new_tokens, None);
    }

    #[test]
    fn completion_tokens_win_over_max_tokens() {
        let limit = |body: Value| read(body).sampling_params.max_new_tokens;
        assert_eq!(limit(json!({"max_tokens": 3, "max_completion_tokens": 5})), Given::Value(5));
        assert_eq!(limit(json!({"max_tokens": 3})), Given::Value(3));
        assert_eq!(limit(json!({"max_tokens": 0})), Given::Null);
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
}
