//! The body of `POST /v1/responses` (reference: `ResponsesRequest`).

use serde_json::{Map, Value, json};
use sglang_proto::sampling_params::{Dialect, Given, Number, SamplingRequest};
use sglang_tokenizer_manager::requests::normalize::new_rid;
use sglang_tokenizer_manager::requests::sampling::read;
use sglang_tokenizer_manager::requests::validation::{
    FieldError, Fields, Mismatch, Read, boolean, int, list, object, optional_key, string,
};

use super::tools;

const INCLUDES: [&str; 6] = [
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
];
const EFFORTS: [&str; 8] = ["none", "minimal", "low", "medium", "high", "xhigh", "ultra", "max"];
/// Efforts that the answer repeats: those that OpenAI defines.
const ECHOED_EFFORTS: [&str; 4] = ["minimal", "low", "medium", "high"];
const SUMMARIES: [&str; 3] = ["auto", "concise", "detailed"];
const TIERS: [&str; 5] = ["auto", "default", "flex", "scale", "priority"];

/// Which tools the model may or must use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// `auto`, `required` or `none`.
    Word(String),
    /// A named function or a custom tool.
    Named {
        /// `function` or `custom`.
        kind: String,
        /// The tool's name.
        name: String,
    },
}

impl ToolChoice {
    /// The choice as the answer repeats it.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Word(word) => word.as_str().into(),
            Self::Named { kind, name } => json!({"type": kind, "name": name}),
        }
    }
}

/// The body of a request.
#[derive(Clone, Debug)]
pub struct ResponsesRequest {
    /// Id of the response and of the request that generates it.
    pub request_id: String,
    /// Served name; `None` for the loaded model.
    pub model: Option<String>,
    /// New items of the conversation.
    pub input: Vec<Value>,
    /// Instructions before the conversation.
    pub instructions: Option<String>,
    /// Whether to generate in the background; the client retrieves the response by its id.
    pub background: bool,
    /// Whether to store the response.
    pub store: bool,
    /// Whether to stream events.
    pub stream: bool,
    /// The response that the conversation continues.
    pub previous_response_id: Option<String>,
    /// The output limit in tokens.
    pub max_output_tokens: Option<i64>,
    /// Tools, as the answer repeats them.
    pub tools: Vec<Value>,
    /// Which tools the model may or must call.
    pub tool_choice: ToolChoice,
    /// Whether an answer may have more than one call.
    pub parallel_tool_calls: bool,
    /// Reasoning effort.
    pub effort: Option<String>,
    /// Whether to repeat the reasoning as a summary.
    pub summary: bool,
    /// `text`, without nulls.
    pub text: Option<Value>,
    /// Whether to return log-probabilities of the output.
    pub include_logprobs: bool,
    /// Whether to add the reasoning as opaque text, which a client without stored responses sends back.
    pub include_encrypted_reasoning: bool,
    /// Fields that the answer repeats unchanged: temperature, top_p, truncation, user, metadata.
    pub echo: Map<String, Value>,
    /// Sampling parameters, except the output limit.
    pub sampling_params: SamplingRequest,
    /// Fields that the chat completion takes unchanged.
    pub passed: Map<String, Value>,
}

/// Reads one word of a fixed set.
fn word<'a>(known: &'a [&'a str]) -> impl Fn(&Value) -> Read<String> + 'a {
    move |value| match value.as_str() {
        Some(text) if known.contains(&text) => Ok(text.to_owned()),
        _ => Err(Mismatch::literal_list(known, value)),
    }
}

/// The effort (`medium` by default), and whether a summary is requested.
fn reasoning(value: &Value) -> Read<(Option<String>, bool)> {
    let map = object(value)?;
    let effort = optional_key(&map, "effort", word(&EFFORTS))?.unwrap_or_else(|| "medium".to_owned());
    Ok((Some(effort), optional_key(&map, "summary", word(&SUMMARIES))?.is_some()))
}

/// `text`, with its format checked and its nulls removed.
fn text(value: &Value) -> Read<Value> {
    let mut map = object(value)?;
    map.retain(|_, value| !value.is_null());
    optional_key(&map, "verbosity", word(&["low", "medium", "high"]))?;
    if let Some(format) = map.get_mut("format") {
        let kinds = ["text", "json_object", "json_schema"];
        let mut inner = object(format).map_err(|m| m.under("format"))?;
        inner.retain(|_, value| !value.is_null());
        let kind = inner.get("type").ok_or_else(|| Mismatch::missing("type", format).under("format"))?;
        let kind = word(&kinds)(kind).map_err(|m| m.under("type").under("format"))?;
        if kind == "json_schema" {
            for key in ["name", "schema"] {
                if !inner.contains_key(key) {
                    return Err(Mismatch::missing(key, format).under("format"));
                }
            }
            let schema = inner.get("schema").unwrap_or(&Value::Null);
            object(schema).map_err(|m| m.under("schema").under("format"))?;
        }
        *format = inner.into();
    }
    Ok(map.into())
}

/// Reads `tool_choice`. A choice that names something other than a function or custom tool cannot be forced and counts
/// as `auto`.
fn tool_choice(value: &Value) -> Read<ToolChoice> {
    if value.is_string() {
        return word(&["auto", "required", "none"])(value).map(ToolChoice::Word);
    }
    let map = object(value)?;
    let name = map.get("name").or_else(|| value.pointer("/function/name")).and_then(Value::as_str);
    let kind = map.get("type").and_then(Value::as_str).filter(|kind| ["function", "custom"].contains(kind));
    Ok(match (kind, name.filter(|name| !name.is_empty())) {
        (Some(kind), Some(name)) => ToolChoice::Named { kind: kind.to_owned(), name: name.to_owned() },
        _ => ToolChoice::Word("auto".to_owned()),
    })
}

fn input(f: &mut Fields<'_>) -> Option<Vec<Value>> {
    let items = list(|v| object(v).map(Value::Object));
    if f.map().get("input").is_none_or(Value::is_null) {
        return f.required("input", |v| items(v));
    }
    f.union(
        "input",
        &[
            ("str", &|v: &Value| string(v).map(|text| vec![json!({"role": "user", "content": text})])),
            ("list[dict[str,any]]", &items),
        ],
    )
}

impl ResponsesRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn from_json(body: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut f = Fields::of_body(body);
        let input = input(&mut f);
        let (effort, summary) = f.optional("reasoning", reasoning).unwrap_or_default();
        let include = f.optional("include", list(word(&INCLUDES))).unwrap_or_default();
        let includes = |name: &str| include.iter().any(|given| given == name);
        let sampling_params = read::fields(&mut f, &[Dialect::Responses], &["max_new_tokens"]);
        let number = |given: &Given<Number>| given.value().map(|number| number.value);
        let echo = json!({
            "temperature": number(&sampling_params.temperature),
            "top_p": number(&sampling_params.top_p),
            "truncation": f.optional("truncation", word(&["auto", "disabled"])).unwrap_or_else(|| "disabled".into()),
            "user": f.optional("user", string),
            "metadata": f.optional("metadata", object).unwrap_or_default(),
        });
        let mut kwargs = f.optional("chat_template_kwargs", object).unwrap_or_default();
        if effort.as_deref() == Some("none") {
            for name in ["thinking", "enable_thinking"] {
                kwargs.entry(name).or_insert(false.into());
            }
        }
        let passed = json!({
            "chat_template_kwargs": kwargs,
            "priority": f.or("priority", 0, int),
            "extra_key": f.optional("extra_key", string),
            "cache_salt": f.optional("cache_salt", string),
            "routed_dp_rank": f.optional("routed_dp_rank", int).or(f.optional("data_parallel_rank", int)),
            "top_logprobs": f.optional("top_logprobs", int).unwrap_or_default(),
        });
        f.optional("max_tool_calls", int);
        f.or("service_tier", "auto".to_owned(), word(&TIERS));
        let request = input.map(|input| Self {
            request_id: f.or("request_id", format!("resp_{}", new_rid()), string),
            model: f.optional("model", string),
            input,
            instructions: f.optional("instructions", string),
            background: f.optional("background", boolean).unwrap_or(false),
            store: f.optional("store", boolean).unwrap_or(true),
            stream: f.optional("stream", boolean).unwrap_or(false),
            previous_response_id: f.optional("previous_response_id", string),
            max_output_tokens: f.optional("max_output_tokens", int),
            tools: f.or("tools", Vec::new(), list(tools::tool)),
            tool_choice: f.or("tool_choice", ToolChoice::Word("auto".into()), tool_choice),
            parallel_tool_calls: f.optional("parallel_tool_calls", boolean).unwrap_or(true),
            effort,
            summary,
            text: f.optional("text", text),
            include_logprobs: includes("message.output_text.logprobs"),
            include_encrypted_reasoning: includes("reasoning.encrypted_content"),
            echo: echo.as_object().cloned().unwrap_or_default(),
            sampling_params,
            passed: passed.as_object().cloned().unwrap_or_default(),
        });
        f.finish(request)
    }

    /// The format of the output, if it is JSON.
    pub fn json_format(&self) -> Option<&Value> {
        let format = self.text.as_ref()?.get("format")?;
        (format["type"] != "text").then_some(format)
    }

    /// The effort as the answer repeats it.
    pub fn echoed_effort(&self) -> Option<&str> {
        self.effort.as_deref().filter(|effort| ECHOED_EFFORTS.contains(effort))
    }

    /// Whether the model must call a tool.
    pub fn forces_tools(&self) -> bool {
        match &self.tool_choice {
            ToolChoice::Word(word) => word == "required",
            ToolChoice::Named { .. } => true,
        }
    }

    /// Names of the tools whose input is free text.
    pub fn custom_names(&self) -> Vec<String> {
        tools::custom_names(&self.tools)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: Value) -> Result<ResponsesRequest, String> {
        ResponsesRequest::from_json(body.as_object().unwrap())
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn a_text_is_one_message_of_the_user_and_defaults_are_openais() {
        let request = read(json!({"input": "hi"})).unwrap();
        assert_eq!(request.input, [json!({"role": "user", "content": "hi"})]);
        assert!(request.store && !request.stream && !request.background && request.parallel_tool_calls);
        assert!(
            request.request_id.starts_with("resp_") && request.model.is_none() && request.effort.is_none()
        );
        assert_eq!(request.echo["truncation"], "disabled");
        let request = read(json!({"input": [], "reasoning": {}, "tools": [], "store": null})).unwrap();
        assert_eq!((request.effort.as_deref(), request.store), (Some("medium"), true));
    }

    #[test]
    fn no_effort_switches_thinking_off_unless_the_client_says_otherwise() {
        let kwargs = |more: Value| {
            let body = json!({"input": "x", "reasoning": {"effort": "none"}, "chat_template_kwargs": more});
            read(body).unwrap().passed["chat_template_kwargs"].clone()
        };
        assert_eq!(kwargs(Value::Null), json!({"thinking": false, "enable_thinking": false}));
        assert_eq!(kwargs(json!({"thinking": true}))["thinking"], true);
    }

    #[test]
    fn choices_that_cannot_be_forced_are_left_to_the_model() {
        let choice =
            |choice: Value| read(json!({"input": "x", "tool_choice": choice})).map(|r| r.tool_choice);
        let named = ToolChoice::Named { kind: "function".into(), name: "f".into() };
        assert_eq!(choice(json!({"type": "function", "name": "f"})).unwrap(), named);
        assert_eq!(choice(json!({"type": "function", "function": {"name": "f"}})).unwrap(), named);
        assert_eq!(choice(json!({"type": "web_search"})).unwrap(), ToolChoice::Word("auto".into()));
        assert!(choice(json!("sometimes")).is_err());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (body, part) in [
            (json!({}), "'loc': ('body', 'input'), 'msg': 'Field required'"),
            (json!({"input": 5}), "('body', 'input', 'str')"),
            (json!({"input": "x", "include": ["everything"]}), "('body', 'include', 0)"),
            (json!({"input": "x", "reasoning": {"effort": "huge"}}), "('body', 'reasoning', 'effort')"),
            (
                json!({"input": "x", "text": {"format": {"type": "xml"}}}),
                "('body', 'text', 'format', 'type')",
            ),
            (
                json!({"input": "x", "text": {"format": {"type": "json_schema", "name": "n"}}}),
                "('body', 'text', 'format', 'schema')",
            ),
            (json!({"input": "x", "tools": [{"type": "function"}]}), "must include a name"),
            (json!({"input": "x", "temperature": "warm"}), "('body', 'temperature')"),
        ] {
            let errors = read(body).unwrap_err();
            assert!(errors.contains(part), "{errors}");
        }
    }
}
