//! Converts bare argument values to JSON by the type in the schema.

use sglang_json_schema::JsonType;

use crate::json::{float_repr, normalise, quote};
use crate::python_literal::literal_to_json;
use crate::schema::Parameter;

/// Python's `int(text)`.
pub(super) fn python_int(text: &str) -> Option<String> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let grouped = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    let digits = digits.replace('_', "");
    if grouped || digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    Some(if digits.is_empty() { "0".to_owned() } else { format!("{sign}{digits}") })
}

/// Python's `float(text)`, if JSON can express it.
pub(super) fn python_float(text: &str) -> Option<String> {
    text.trim().replace('_', "").parse().ok().and_then(float_repr)
}

fn is_float_text(text: &str) -> bool {
    text.contains(['.', 'e', 'E'])
}

/// One argument of Qwen3-Coder as JSON. `parameter` is its schema.
pub(crate) fn qwen3_coder_value(raw: &str, parameter: Option<&Parameter>) -> String {
    if let Some(settled) = parameter.and_then(|parameter| parameter.settled(raw)) {
        return settled;
    }
    if raw.eq_ignore_ascii_case("null") {
        return "null".to_owned();
    }
    let value = match parameter.and_then(Parameter::main) {
        None | Some(JsonType::String) => None,
        Some(JsonType::Integer) => python_int(raw),
        Some(JsonType::Number) => {
            let integer = if is_float_text(raw) { None } else { python_int(raw) };
            integer.or_else(|| python_float(raw))
        }
        Some(JsonType::Boolean) => Some(raw.eq_ignore_ascii_case("true").to_string()),
        Some(JsonType::Object | JsonType::Array | JsonType::Null) => {
            normalise(raw).or_else(|| literal_to_json(raw))
        }
    };
    value.unwrap_or_else(|| quote(raw))
}

/// One argument of GLM-4.5 as JSON: JSON as it is, JSON with one extra layer of escapes, a Python literal, or else a
/// string. If the schema says string, it is always a string.
pub(crate) fn glm_value(raw: &str, parameter: Option<&Parameter>) -> String {
    if let Some(settled) = parameter.and_then(|parameter| parameter.settled(raw)) {
        return settled;
    }
    let kind = parameter.and_then(Parameter::main);
    if let Some(json) = normalise(raw).or_else(|| unescaped(raw)) {
        let string: Option<String> = serde_json::from_str(&json).ok();
        return match (kind, string) {
            (Some(JsonType::String), Some(_)) => json,
            (Some(JsonType::String), None) if json.starts_with(['{', '[']) => quote(&json),
            (Some(JsonType::String), None) => quote(raw.trim()),
            (Some(JsonType::Number | JsonType::Integer), Some(text)) => number(&text).unwrap_or(json),
            _ => json,
        };
    }
    if kind == Some(JsonType::String) {
        let inner = ['"', '\''].iter().find_map(|q| raw.strip_prefix(*q)?.strip_suffix(*q));
        return quote(inner.unwrap_or(raw));
    }
    literal_to_json(raw).unwrap_or_else(|| quote(raw))
}

/// Removes one layer of escapes from a value such as `{\"a\": 1}`.
fn unescaped(raw: &str) -> Option<String> {
    if !raw.contains('\\') {
        return None;
    }
    normalise(&serde_json::from_str::<String>(&format!("\"{raw}\"")).ok()?)
}

fn number(text: &str) -> Option<String> {
    if is_float_text(text) { python_float(text) } else { python_int(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use sglang_json_schema::Schema;

    fn parameter(schema: &Value) -> Parameter {
        Parameter::new(&Schema::new(schema))
    }

    #[test]
    fn qwen3_coder_values_follow_their_schema() {
        let cases = [
            ("5", json!({"type": "integer"}), "5"),
            (" 5_0 ", json!({"type": "int32"}), "50"),
            ("five", json!({"type": "integer"}), "\"five\""),
            ("5", json!({"type": "number"}), "5"),
            ("5.0", json!({"type": "number"}), "5.0"),
            ("nan", json!({"type": "number"}), "\"nan\""),
            ("True", json!({"type": "boolean"}), "true"),
            ("yes", json!({"type": "boolean"}), "false"),
            ("{\"a\":1}", json!({"type": "object"}), "{\"a\": 1}"),
            ("{'a': 1}", json!({"type": "object"}), "{\"a\": 1}"),
            ("[1, x", json!({"type": "array"}), "\"[1, x\""),
            ("Null", json!({"type": "string"}), "null"),
            ("5", json!({"type": "string"}), "\"5\""),
        ];
        for (raw, schema, want) in cases {
            assert_eq!(qwen3_coder_value(raw, Some(&parameter(&schema))), want, "{raw} {schema}");
        }
        assert_eq!(qwen3_coder_value("5", None), "\"5\"");
    }

    #[test]
    fn glm_values_are_json_where_they_can_be() {
        let cases = [
            ("5", None, "5"),
            ("Paris", None, "\"Paris\""),
            ("5", Some("string"), "\"5\""),
            ("\"5\"", Some("number"), "5"),
            ("{\"a\":1}", Some("object"), "{\"a\": 1}"),
            ("{\"a\":1}", Some("string"), "\"{\\\"a\\\": 1}\""),
            ("{\\\"a\\\": 1}", Some("object"), "{\"a\": 1}"),
            ("{'a': True}", Some("object"), "{\"a\": true}"),
            ("'a\\d'", Some("string"), "\"a\\\\d\""),
            ("'", Some("string"), "\"'\""),
            ("true", Some("string"), "\"true\""),
        ];
        for (raw, kind, want) in cases {
            let parameter = kind.map(|kind| parameter(&json!({"type": kind})));
            assert_eq!(glm_value(raw, parameter.as_ref()), want, "{raw} {kind:?}");
        }
    }
}
