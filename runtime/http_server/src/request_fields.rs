//! Readers of fields that several kinds of requests share.

use serde_json::Value;
use sglang_proto::CaptureHiddenMode;
use sglang_proto::sampling_params::{Given, SamplingRequest};
use sglang_tokenizer_manager::requests::generate::{hidden_mode, session_params};
use sglang_tokenizer_manager::requests::validation::{
    Fields, Mismatch, Read, boolean, int, list, nullable, object, optional_key, string,
};
use sglang_tokenizer_manager::requests::{GenerateReqInput, OneOrMany};

/// `stream_options`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamOptions {
    /// Whether to send a chunk with the counts at the end.
    pub include_usage: bool,
    /// Whether to add counts to every content chunk.
    pub continuous_usage_stats: bool,
}

/// Reads `stream_options`.
pub fn stream_options(value: &Value) -> Read<StreamOptions> {
    let map = object(value)?;
    let flag = |key: &'static str| Ok(optional_key(&map, key, boolean)?.unwrap_or_default());
    Ok(StreamOptions {
        include_usage: flag("include_usage")?,
        continuous_usage_stats: flag("continuous_usage_stats")?,
    })
}

/// Reads one text or a list of texts, for fields of [`Fields::union`].
pub fn texts(f: &mut Fields<'_>, name: &'static str) -> Option<OneOrMany<String>> {
    let many = list(string);
    f.union(
        name,
        &[
            ("str", &|v: &Value| string(v).map(OneOrMany::One)),
            ("list[str]", &|v: &Value| many(v).map(OneOrMany::Many)),
        ],
    )
}

/// The type of `response_format`.
pub fn response_format(value: &Value) -> Read<String> {
    let map = object(value)?;
    match map.get("type") {
        None => Err(Mismatch::missing("type", value)),
        Some(kind) => match kind.as_str() {
            Some(known @ ("text" | "json_object" | "json_schema" | "structural_tag")) => Ok(known.to_owned()),
            _ => Err(Mismatch::literal(&["text", "json_object", "json_schema", "structural_tag"], kind)
                .under("type")),
        },
    }
}

/// The schema for a client that asks for JSON without giving a schema: any object.
pub const ANY_OBJECT: &str = r#"{"type": "object"}"#;

/// Sets the grammar for a `response_format` (reference: `to_sampling_params` in `openai/protocol.py`).
pub fn set_response_format(sampling: &mut SamplingRequest, format: &Value) {
    let (grammar, text) = match format["type"].as_str() {
        Some("json_object") => (&mut sampling.json_schema, ANY_OBJECT.to_owned()),
        Some("json_schema") => {
            (&mut sampling.json_schema, response_schema(format).unwrap_or(&Value::Null).to_string())
        }
        Some("structural_tag") => (&mut sampling.structural_tag, format.to_string()),
        _ => return,
    };
    *grammar = Given::Value(text);
}

/// The schema of a `response_format` of type `json_schema`: under `json_schema`, or in the short form next to the type.
pub fn response_schema(format: &Value) -> Option<&Value> {
    let places = [format.pointer("/json_schema/schema"), format.get("schema")];
    places.into_iter().flatten().find(|schema| !schema.is_null())
}

/// Reads a number of samples.
pub fn sample_count(value: &Value) -> Read<usize> {
    usize::try_from(int(value)?)
        .ok()
        .filter(|n| *n >= 1)
        .ok_or_else(|| Mismatch::rule("n must be at least 1", value))
}

/// Reads the fields that both OpenAI routes pass to the scheduler unchanged.
pub fn base(f: &mut Fields<'_>) -> GenerateReqInput {
    GenerateReqInput {
        rid: texts(f, "rid"),
        extra_key: texts(f, "extra_key"),
        cache_salt: texts(f, "cache_salt"),
        session_id: f.optional("session_id", string),
        session_params: f.optional("session_params", session_params),
        priority: f.optional("priority", int),
        routed_dp_rank: {
            let old = f.optional("data_parallel_rank", int);
            f.optional("routed_dp_rank", int).or(old)
        },
        lora_path: {
            let many = list(nullable(string));
            f.union(
                "lora_path",
                &[
                    ("list[nullable[str]]", &|v: &Value| many(v).map(OneOrMany::Many)),
                    ("str", &|v: &Value| string(v).map(|name| OneOrMany::One(Some(name)))),
                ],
            )
        },
        return_hidden_states: {
            let mode = f.or("return_hidden_states", CaptureHiddenMode::Null, hidden_mode);
            Some(OneOrMany::One(mode))
        },
        has_custom_logit_processor: f.has("custom_logit_processor"),
        return_text_in_logprobs: true,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_response_format_is_a_grammar() {
        let of = |format: Value| {
            let mut sampling = SamplingRequest::default();
            set_response_format(&mut sampling, &format);
            sampling
        };
        let bound = |text: &str| SamplingRequest {
            json_schema: Given::Value(text.to_owned()),
            ..SamplingRequest::default()
        };
        let schema = json!({"type": "object", "properties": {"b": {}, "a": {}}});
        let expected = bound(&schema.to_string());
        assert_eq!(
            of(json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})),
            expected
        );
        assert_eq!(of(json!({"type": "json_schema", "schema": schema})), expected);
        assert_eq!(of(json!({"type": "json_object"})), bound("{\"type\": \"object\"}"));
        let tag = json!({"type": "structural_tag", "structures": [], "triggers": ["<"]});
        assert_eq!(of(tag.clone()).structural_tag, Given::Value(tag.to_string()));
        assert_eq!(of(json!({"type": "text"})), SamplingRequest::default());
    }
}
