//! Fields that both generating routes share.

use serde_json::{Value, json};
use sglang_tokenizer_manager::requests::validation::{
    Fields, Mismatch, Read, boolean, float, int, object, string,
};

use super::options::Options;
use crate::request_fields::ANY_OBJECT;

/// Most alternatives per token.
const MAX_TOP_LOGPROBS: i64 = 20;

/// `think`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Think {
    /// No thinking.
    Off,
    /// The model's default thinking.
    On,
    /// Thinking with this effort.
    Effort(String),
}

impl Think {
    /// Reads `think`.
    pub fn read(value: &Value) -> Read<Self> {
        match value.as_str() {
            Some(effort @ ("low" | "medium" | "high")) => Ok(Self::Effort(effort.to_owned())),
            _ => boolean(value).map(|on| if on { Self::On } else { Self::Off }),
        }
    }
}

/// The schema in `format`: that of any object, or a given one. An empty string means no format.
pub fn format(f: &mut Fields<'_>) -> Option<String> {
    f.union(
        "format",
        &[
            ("literal['json']", &|v: &Value| match v.as_str() {
                Some("json") => Ok(Some(ANY_OBJECT.to_owned())),
                Some("") => Ok(None),
                _ => Err(Mismatch::literal(&["json"], v)),
            }),
            ("dict[str,any]", &|v: &Value| object(v).map(|schema| Some(Value::Object(schema).to_string()))),
        ],
    )
    .flatten()
}

/// Whether `keep_alive` asks to unload the model at once.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim_end_matches(char::is_alphabetic).parse() == Ok(0.0),
        other => other.as_f64() == Some(0.0),
    }
}

/// The fields that the generating routes share.
#[derive(Clone, Debug, PartialEq)]
pub struct Common {
    /// Name of the model.
    pub model: String,
    /// Whether to stream the output.
    pub stream: bool,
    /// Sampling parameters, under Ollama's names.
    pub options: Options,
    /// JSON schema of the answer.
    pub schema: Option<String>,
    /// Thinking.
    pub think: Option<Think>,
    /// Whether the request asks to unload the model. The server accepts this but keeps its model.
    pub unloads: bool,
    /// Whether to return log-probabilities of the output.
    pub logprobs: bool,
    /// Number of alternatives per token.
    pub top_logprobs: i64,
}

impl Common {
    /// Reads the fields. If the body has no `model`, the result has none either.
    pub fn read(f: &mut Fields<'_>) -> Self {
        Self {
            model: f.required("model", string).unwrap_or_default(),
            stream: f.or("stream", true, boolean),
            options: f.optional("options", Options::read).unwrap_or_default(),
            schema: format(f),
            think: f.optional("think", Think::read),
            unloads: f
                .union(
                    "keep_alive",
                    &[
                        ("float", &|v: &Value| float(v).map(|_| is_zero(v))),
                        ("str", &|v: &Value| string(v).map(|_| is_zero(v))),
                    ],
                )
                .unwrap_or_default(),
            logprobs: f.or("logprobs", false, boolean),
            top_logprobs: f.or("top_logprobs", 0, |v| match int(v)? {
                n @ 0..=MAX_TOP_LOGPROBS => Ok(n),
                _ => Err(Mismatch::rule(format!("top_logprobs must be from 0 to {MAX_TOP_LOGPROBS}"), v)),
            }),
        }
    }

    /// The schema as a chat completion's `response_format`.
    pub fn response_format(&self) -> Option<Value> {
        let schema: Value = serde_json::from_str(self.schema.as_deref()?).ok()?;
        Some(json!({"type": "json_schema", "json_schema": {"name": "format", "schema": schema}}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut body: Value) -> Result<Common, String> {
        body["model"] = "m".into();
        let mut f = Fields::of_body(body.as_object().unwrap());
        let common = Common::read(&mut f);
        f.finish(Some(common)).map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_format_is_a_schema() {
        let schema = |format: Value| read(json!({"format": format})).unwrap().schema;
        assert_eq!(schema(json!("json")).as_deref(), Some(r#"{"type": "object"}"#));
        assert_eq!(schema(json!({"b": 1, "a": 2})).as_deref(), Some(r#"{"b":1,"a":2}"#));
        assert_eq!((schema(json!("")), schema(Value::Null)), (None, None));
    }

    #[test]
    fn only_a_keep_alive_of_nothing_unloads() {
        let unloads = |value: Value| read(json!({"keep_alive": value})).unwrap().unloads;
        assert!(unloads(json!(0)) && unloads(json!("0")) && unloads(json!("0s")));
        assert!(!unloads(json!("5m")) && !unloads(json!(-1)) && !unloads(Value::Null) && !unloads(json!("")));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (body, field) in [
            (json!({"format": "xml"}), "format"),
            (json!({"keep_alive": []}), "keep_alive"),
            (json!({"think": "very"}), "think"),
            (json!({"top_logprobs": 21}), "top_logprobs"),
            (json!({"stream": "maybe"}), "stream"),
        ] {
            assert!(read(body).unwrap_err().contains(&format!("'{field}'")), "{field}");
        }
    }
}
