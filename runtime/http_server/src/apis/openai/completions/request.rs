//! The body of `/v1/completions` (reference: `CompletionRequest`).

use serde_json::{Map, Value};
use sglang_proto::sampling_params::{Dialect, Given, SamplingRequest};
use sglang_tokenizer_manager::model_name::DEFAULT_MODEL;
use sglang_tokenizer_manager::requests::sampling::read;
use sglang_tokenizer_manager::requests::validation::{
    FieldError, Fields, Mismatch, Read, boolean, int, list, string,
};
use sglang_tokenizer_manager::requests::{GenerateReqInput, OneOrMany};

use crate::completion::prompt::CompletionPrompt;
use crate::completion::template::CompletionTemplate;
use crate::request_fields::{self, StreamOptions, base, sample_count};

/// The output limit in tokens if the request has none.
const DEFAULT_MAX_TOKENS: i64 = 16;

/// A completion request.
#[derive(Clone, Debug)]
pub struct CompletionRequest {
    /// The name of the model that the answer repeats.
    pub model: String,
    /// The prompt to complete.
    pub prompt: CompletionPrompt,
    /// The text that follows the completion; empty for none. Used only with `--completion-template`.
    pub suffix: String,
    /// Prompt and suffix, combined by the completion template.
    filled: Option<OneOrMany<String>>,
    /// Whether to return the prompt before the completion.
    pub echo: bool,
    /// Number of alternatives per token; `None` for no log-probabilities.
    pub logprobs: Option<i64>,
    /// Number of samples per prompt.
    pub n: usize,
    /// Whether to stream the output.
    pub stream: bool,
    /// When a stream sends token counts.
    pub stream_options: Option<StreamOptions>,
    /// Whether to return the ids of prompt and output.
    pub return_token_ids: bool,
    /// Whether to report where cached tokens came from.
    pub return_cached_tokens_details: bool,
    /// `response_format`, unless it is plain text.
    pub response_format: Option<Value>,
    /// Sampling parameters.
    pub sampling_params: SamplingRequest,
    /// The fields shared with native requests, without prompt and sampling parameters.
    pub base: GenerateReqInput,
}

fn prompt(f: &mut Fields<'_>) -> Option<CompletionPrompt> {
    f.required("prompt", |_| Ok(()))?;
    let (ids, lists, texts) = (list(int), list(list(int)), list(string));
    let read = f.union(
        "prompt",
        &[
            ("list[int]", &|v: &Value| ids(v).map(|ids| CompletionPrompt::Ids(OneOrMany::One(ids)))),
            ("list[list[int]]", &|v: &Value| lists(v).map(|ids| CompletionPrompt::Ids(OneOrMany::Many(ids)))),
            ("str", &|v: &Value| string(v).map(|text| CompletionPrompt::Text(OneOrMany::One(text)))),
            ("list[str]", &|v: &Value| texts(v).map(|texts| CompletionPrompt::Text(OneOrMany::Many(texts)))),
        ],
    );
    if read.is_none() && !f.has("prompt") {
        f.push("prompt", Mismatch::new("string_type", "Input should be a valid string", &Value::Null));
    }
    read
}

fn positive(value: &Value) -> Read<i64> {
    match int(value)? {
        n if n > 0 => Ok(n),
        _ => Err(Mismatch::rule("max_tokens must be positive", value)),
    }
}

impl CompletionRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn from_json(body: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut f = Fields::of_body(body);
        let prompt = prompt(&mut f);
        let n = f.or("n", 1, sample_count);
        let mut sampling_params =
            read::fields(&mut f, &[Dialect::OpenAi, Dialect::Completions], &["max_new_tokens", "n"]);
        sampling_params.max_new_tokens = Given::Value(f.or("max_tokens", DEFAULT_MAX_TOKENS, positive));
        sampling_params.n = Given::or_null(i64::try_from(n).ok());
        let response_format =
            f.optional("response_format", request_fields::response_format).filter(|kind| kind != "text");
        let request = prompt.map(|prompt| Self {
            model: f.or("model", DEFAULT_MODEL.to_owned(), string),
            prompt,
            suffix: f.optional("suffix", string).unwrap_or_default(),
            filled: None,
            echo: f.or("echo", false, boolean),
            logprobs: f.optional("logprobs", int),
            n,
            stream: f.or("stream", false, boolean),
            stream_options: f.optional("stream_options", request_fields::stream_options),
            return_token_ids: f.or("return_token_ids", false, boolean),
            return_cached_tokens_details: f.or("return_cached_tokens_details", false, boolean),
            response_format: response_format.and_then(|_| body.get("response_format").cloned()),
            sampling_params,
            base: base(&mut f),
        });
        f.finish(request)
    }

    /// Combines prompt and suffix with `template`. The request keeps its own prompt for the echo.
    ///
    /// # Errors
    /// If the prompt is token ids.
    pub fn fill_in_the_middle(&mut self, template: &CompletionTemplate) -> Result<(), String> {
        if !self.suffix.is_empty() {
            self.filled = Some(template.apply(&self.prompt, &self.suffix)?);
        }
        Ok(())
    }

    /// The native request. `adapter` is derived from the model's name, `dp_rank` from the header or the body.
    pub fn to_generate(&self, adapter: Option<String>, dp_rank: Option<i64>) -> GenerateReqInput {
        let mut request = self.base.clone();
        match &self.prompt {
            CompletionPrompt::Text(text) => request.text = Some(self.filled.as_ref().unwrap_or(text).clone()),
            CompletionPrompt::Ids(ids) => request.input_ids = Some(ids.clone()),
        }
        let mut sampling = self.sampling_params.clone();
        if let Some(format) = &self.response_format {
            request_fields::set_response_format(&mut sampling, format);
        }
        request.sampling_params = Some(OneOrMany::One(sampling));
        request.return_logprob = Some(OneOrMany::One(self.logprobs.is_some()));
        request.top_logprobs_num = Some(OneOrMany::One(self.logprobs.unwrap_or_default()));
        let with_prompt = self.echo && self.logprobs.is_some_and(|n| n > 0);
        request.logprob_start_len = Some(OneOrMany::One(if with_prompt { 0 } else { -1 }));
        request.stream = self.stream;
        request.return_prompt_token_ids = self.return_token_ids;
        request.routed_dp_rank = dp_rank;
        if let Some(adapter) = adapter {
            request.lora_path = Some(OneOrMany::One(Some(adapter)));
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Value) -> Result<CompletionRequest, String> {
        CompletionRequest::from_json(body.as_object().unwrap())
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn all_forms_of_a_prompt_are_read() {
        use CompletionPrompt::{Ids, Text};
        let of = |prompt: Value| read(json!({"prompt": prompt})).unwrap().prompt;
        assert_eq!(of(json!("a")), Text(OneOrMany::One("a".into())));
        assert_eq!(of(json!(["a"])), Text(OneOrMany::Many(vec!["a".into()])));
        assert_eq!(of(json!([1])), Ids(OneOrMany::One(vec![1])));
        assert_eq!(of(json!([[1]])), Ids(OneOrMany::Many(vec![vec![1]])));
        assert!(of(json!([])).is_empty() && of(json!("")).is_empty() && of(json!([[]])).is_empty());
        assert!(read(json!({"prompt": null})).is_err() && read(json!({})).is_err());
    }

    #[test]
    fn wrong_values_are_named() {
        let error = read(json!({"prompt": "a", "max_tokens": 0})).unwrap_err();
        assert!(error.contains("max_tokens must be positive"));
        assert_eq!(read(json!({"prompt": "a", "n": null})).unwrap().n, 1);
        assert!(read(json!({"prompt": "a", "n": 0})).unwrap_err().contains("n must be at least 1"));
    }

    #[test]
    fn names_differ_from_the_native_ones() {
        let request = read(
            json!({"prompt": "a", "seed": 3, "max_tokens": 4, "min_tokens": 2, "logprobs": 2, "echo": true}),
        );
        let request = request.unwrap().to_generate(None, None);
        let Some(OneOrMany::One(params)) = request.sampling_params else { panic!() };
        let params = params.to_params();
        assert_eq!(
            (params.sampling_seed, params.max_new_tokens, params.min_new_tokens),
            (Some(3), Some(4), 2)
        );
        assert_eq!(request.logprob_start_len, Some(OneOrMany::One(0)));
        assert_eq!(request.top_logprobs_num, Some(OneOrMany::One(2)));
    }
}
