//! Bodies of `/api/chat`, `/api/generate` and `/api/show`.

use serde_json::{Map, Value, json};

use crate::requests::sampling::SamplingMap;
use crate::requests::validation::{
    FieldError, Fields, Mismatch, Read, boolean, float, int, list, object, string,
};
use crate::requests::{GenerateReqInput, OneOrMany};

/// Most output tokens when the request says nothing.
const DEFAULT_MAX_NEW_TOKENS: i64 = 2048;

/// Options and the native sampling parameters that they set; the rest means nothing here.
const OPTIONS: [(&str, &str); 8] = [
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("top_k", "top_k"),
    ("num_predict", "max_new_tokens"),
    ("stop", "stop"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
    ("seed", "sampling_seed"),
];

/// Sampling parameters by the native names.
fn sampling_params(options: &Map<String, Value>) -> SamplingMap {
    let mut params: SamplingMap = OPTIONS
        .into_iter()
        .filter_map(|(option, name)| Some((name.to_owned(), options.get(option)?.clone())))
        .filter(|(_, value)| !value.is_null())
        .collect();
    let limit = params.entry("max_new_tokens").or_insert_with(|| DEFAULT_MAX_NEW_TOKENS.into());
    if limit.as_i64().is_some_and(|tokens| tokens < 0) {
        // To Ollama this is "as many as there is room for".
        *limit = Value::Null;
    }
    params
}

fn generate(
    prompt: Prompt,
    options: &Map<String, Value>,
    schema: Option<&str>,
    stream: bool,
) -> GenerateReqInput {
    let (text, input_ids) = match prompt {
        Prompt::Text(text) => (Some(OneOrMany::One(text)), None),
        Prompt::Ids(ids) => (None, Some(OneOrMany::One(ids.into_iter().map(i64::from).collect()))),
    };
    let mut params = sampling_params(options);
    if let Some(schema) = schema {
        params.insert("json_schema".to_owned(), schema.into());
    }
    let sampling_params = Some(OneOrMany::One(params));
    GenerateReqInput { text, input_ids, sampling_params, stream, ..Default::default() }
}

enum Prompt {
    Text(String),
    Ids(Vec<u32>),
}

/// The schema that `format` stands for: that of any object, or one that is given.
fn format(f: &mut Fields<'_>) -> Option<String> {
    f.union(
        "format",
        &[
            ("literal['json']", &|v: &Value| match v.as_str() {
                Some("json") => Ok(r#"{"type": "object"}"#.to_owned()),
                _ => Err(Mismatch::literal("'json'", v)),
            }),
            ("dict[str,any]", &|v: &Value| object(v).map(|schema| Value::Object(schema).to_string())),
        ],
    )
}

/// A field that both generating routes take and that changes nothing; only its form is checked.
fn keep_alive(f: &mut Fields<'_>) {
    f.union::<()>(
        "keep_alive",
        &[("float", &|v: &Value| float(v).map(drop)), ("str", &|v: &Value| string(v).map(drop))],
    );
}

/// The body of `/api/chat`.
#[derive(Clone, Debug, PartialEq)]
pub struct OllamaChatRequest {
    /// The conversation: role and content of each message.
    pub messages: Vec<Value>,
    /// Send output as it is made.
    pub stream: bool,
    options: Map<String, Value>,
    schema: Option<String>,
}

fn message(value: &Value) -> Read<Value> {
    let map = object(value)?;
    let text = |key: &'static str| match map.get(key) {
        None => Err(Mismatch::missing(key, value)),
        Some(text) => string(text).map_err(|m| m.under(key)),
    };
    let message = json!({"role": text("role")?, "content": text("content")?});
    if let Some(images) = map.get("images").filter(|v| !v.is_null()) {
        list(string)(images).map_err(|m| m.under("images"))?;
    }
    Ok(message)
}

fn think(value: &Value) -> Read<()> {
    match value.as_str() {
        Some("low" | "medium" | "high") => Ok(()),
        _ => boolean(value).map(drop),
    }
}

impl OllamaChatRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// Every field that does not fit.
    pub fn from_json(body: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut f = Fields::of_body(body);
        f.required("model", string);
        let messages = f.required("messages", list(message));
        let request = Self {
            messages: messages.unwrap_or_default(),
            stream: f.or("stream", true, boolean),
            options: f.optional("options", object).unwrap_or_default(),
            schema: format(&mut f),
        };
        keep_alive(&mut f);
        f.optional("think", think);
        f.finish(Some(request))
    }

    /// The native request over the rendered messages.
    pub fn to_generate(&self, prompt: Vec<u32>) -> GenerateReqInput {
        generate(Prompt::Ids(prompt), &self.options, self.schema.as_deref(), self.stream)
    }
}

/// The body of `/api/generate`.
#[derive(Clone, Debug, PartialEq)]
pub struct OllamaGenerateRequest {
    /// The prompt, with the instructions before it.
    pub prompt: String,
    /// Send output as it is made.
    pub stream: bool,
    options: Map<String, Value>,
    schema: Option<String>,
}

impl OllamaGenerateRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// Every field that does not fit.
    pub fn from_json(body: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut f = Fields::of_body(body);
        f.required("model", string);
        let prompt = f.required("prompt", string).unwrap_or_default();
        f.optional("suffix", string);
        let prompt = match f.optional("system", string).filter(|system| !system.is_empty()) {
            Some(system) => format!("{system}\n\n{prompt}"),
            None => prompt,
        };
        f.optional("template", string);
        f.optional("context", list(int));
        let request = Self {
            prompt,
            stream: f.or("stream", true, boolean),
            options: {
                f.or("raw", false, boolean);
                f.optional("options", object).unwrap_or_default()
            },
            schema: format(&mut f),
        };
        keep_alive(&mut f);
        f.optional("images", list(string));
        f.optional("think", boolean);
        f.finish(Some(request))
    }

    /// Whether there is nothing to go on with; the command-line client sends this first.
    pub fn is_blank(&self) -> bool {
        self.prompt.trim().is_empty()
    }

    /// The native request.
    pub fn into_generate(self) -> GenerateReqInput {
        generate(Prompt::Text(self.prompt), &self.options, self.schema.as_deref(), self.stream)
    }
}

/// Reads the body of `/api/show`: the model's name.
///
/// # Errors
/// The name is missing or no text.
pub fn show(body: &Map<String, Value>) -> Result<String, Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let model = f.required("model", string);
    f.finish(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(options: Value) -> Value {
        sampling_params(options.as_object().unwrap()).into()
    }

    #[test]
    fn options_have_native_names_and_the_limit_is_2048() {
        assert_eq!(
            sampling(json!({"num_ctx": 100, "seed": 7})),
            json!({"sampling_seed": 7, "max_new_tokens": 2048})
        );
        assert_eq!(
            sampling(json!({"num_predict": 5, "stop": ["x"], "top_k": null})),
            json!({"max_new_tokens": 5, "stop": ["x"]})
        );
        assert_eq!(sampling(json!({"num_predict": -1})), json!({"max_new_tokens": null}));
    }

    #[test]
    fn instructions_stand_before_the_prompt() {
        let read = |body: Value| OllamaGenerateRequest::from_json(body.as_object().unwrap()).unwrap();
        let request = read(json!({"model": "m", "prompt": "p", "system": "s"}));
        assert_eq!((request.prompt.as_str(), request.stream, request.is_blank()), ("s\n\np", true, false));
        assert!(read(json!({"model": "m", "prompt": " \n", "stream": false})).is_blank());
    }

    #[test]
    fn fields_without_effect_must_fit_too() {
        let read = |more: Value| {
            let mut body =
                json!({"model": "m", "messages": [{"role": "user", "content": "x", "images": ["a"]}]});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            OllamaChatRequest::from_json(body.as_object().unwrap()).map(|r| r.messages)
        };
        let fine = read(json!({"format": "json", "keep_alive": "5m", "think": "low"}));
        assert_eq!(fine.unwrap(), [json!({"role": "user", "content": "x"})]);
        for wrong in [
            json!({"format": "xml"}),
            json!({"keep_alive": []}),
            json!({"think": "very"}),
            json!({"messages": [{"role": "user"}]}),
            json!({"stream": null}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
