//! Translates JSON schemas (reference: `dispatch_json` of the grammar backends).

use serde_json::{Value, json};

use crate::python_json;
use crate::schema::{self, Rewritten};
use crate::spec::ANY_JSON;
use crate::strict;

/// How JSON is generated: the server's `--constrained-json-*` flags.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct JsonOptions {
    /// Allow white space between tokens; otherwise JSON is written as `{"a": 1, "b": 2}`.
    pub any_whitespace: bool,
    /// Regular expression for the white space between tokens.
    pub whitespace_pattern: Option<String>,
    /// Like the reference's default backend, do not generate properties and items that the schema does not list unless
    /// it explicitly allows them.
    pub strict_mode: bool,
    /// Refuse a schema if part of it cannot be enforced, instead of logging that part (`--strict-json-schema`).
    pub refuse_unenforced: bool,
}

impl Default for JsonOptions {
    fn default() -> Self {
        Self { any_whitespace: true, whitespace_pattern: None, strict_mode: true, refuse_unenforced: false }
    }
}

/// At most this many unenforced keywords of a schema are named; the rest are counted.
const MAX_LINES: usize = 20;

/// Parses the text of a schema.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    if text == ANY_JSON {
        return Ok(json!({"anyOf": [{"type": "object"}, {"type": "array"}]}));
    }
    serde_json::from_str(text).map_err(|e| python_json::explain(text).unwrap_or_else(|| e.to_string()))
}

impl JsonOptions {
    /// Applies these options to `schema` and returns the form that `llguidance` reads. As in the reference, `null`
    /// stands for any JSON. What cannot be enforced is logged or refused.
    pub(crate) fn apply(&self, schema: Value) -> Result<Value, String> {
        if contains_nul(&schema) {
            return Err("Invalid json: NUL bytes (\\u0000) are not allowed".into());
        }
        let mut schema = match schema {
            Value::Object(_) => schema,
            Value::Bool(true) | Value::Null => json!({}),
            Value::Bool(false) => return Err("the schema false allows nothing".into()),
            other => return Err(format!("a schema is an object or a boolean, got {}", type_name(&other))),
        };
        if self.strict_mode {
            strict::close(&mut schema);
        }
        let Rewritten { mut schema, mut ignored } = schema::rewrite(&schema)?;
        if let Some(more) = ignored.len().checked_sub(MAX_LINES).filter(|more| *more > 0) {
            ignored.truncate(MAX_LINES);
            ignored.push(format!("#: {more} more keywords are not enforced"));
        }
        if self.refuse_unenforced && !ignored.is_empty() {
            return Err(format!("JSON Schema at {}", ignored.join("; at ")));
        }
        for line in ignored {
            tracing::warn!("JSON Schema at {line}");
        }
        let (item, key) = if self.any_whitespace { (",", ":") } else { (", ", ": ") };
        if let Some(object) = schema.as_object_mut() {
            // Overwrites options that the request put there: only the server sets them.
            object.insert(
                "x-guidance".into(),
                json!({
                    "whitespace_flexible": self.any_whitespace,
                    "whitespace_pattern": self.whitespace_pattern,
                    "item_separator": item,
                    "key_separator": key,
                    "coerce_one_of": true,
                }),
            );
        }
        Ok(schema)
    }
}

/// The kind of a JSON value, for error messages.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Whether any key or string contains a NUL, which the reference refuses too.
fn contains_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(contains_nul),
        Value::Object(object) => object.iter().any(|(key, value)| key.contains('\0') || contains_nul(value)),
        _ => false,
    }
}

/// The library's message, prefixed with the JSON pointer of the first keyword that it is about, if that can be found.
pub(crate) fn with_place(message: String, schema: &Value) -> String {
    match find(schema, "#", &|keyword, value| is_cause(&message, keyword, value)) {
        Some(pointer) => format!("JSON Schema at {pointer}: {message}"),
        None => message,
    }
}

/// Whether the message is about this keyword with this value.
fn is_cause(message: &str, keyword: &str, value: &Value) -> bool {
    let quoted = |before: &str, after: &str| {
        message.split(before).nth(1).and_then(|rest| rest.split(after).next()).map(str::trim)
    };
    match keyword {
        "type" if message.contains("Invalid type: ") => {
            let wrong = quoted("Invalid type: ", "\n");
            let names = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            names.iter().any(|name| name.as_str().is_some() && name.as_str() == wrong)
        }
        "type" if message.contains("type must be a string or array of strings") => {
            !value.is_string() && !value.as_array().is_some_and(|names| names.iter().all(Value::is_string))
        }
        "pattern" if message.contains("regex parse error") => {
            value.as_str().is_some_and(schema::is_broken_pattern)
        }
        _ => quoted("Expected f64 for '", "'") == Some(keyword) && !value.is_number() && !value.is_object(),
    }
}

/// The pointer of the first member of any object for which `test` holds.
fn find(value: &Value, pointer: &str, test: &dyn Fn(&str, &Value) -> bool) -> Option<String> {
    match value {
        Value::Object(object) => object.iter().find_map(|(name, value)| {
            let place = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
            if test(name, value) { Some(place) } else { find(value, &place, test) }
        }),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(i, value)| find(value, &format!("{pointer}/{i}"), test))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requests_own_library_options_do_not_count() {
        let schema = JsonOptions::default().apply(json!({"x-guidance": {"lenient": true}})).unwrap();
        assert_eq!(schema["x-guidance"]["lenient"], Value::Null);
        assert_eq!(schema["x-guidance"]["whitespace_flexible"], true);
    }

    #[test]
    fn a_schema_names_some_of_what_is_not_enforced_and_counts_the_rest() {
        let strict = JsonOptions { refuse_unenforced: true, ..JsonOptions::default() };
        let part = |i: usize| (format!("p{i}"), json!({"uniqueItems": true}));
        let parts: serde_json::Map<_, _> = (0..30).map(part).collect();
        let error = strict.apply(json!({"properties": parts})).unwrap_err();
        assert!(error.starts_with("JSON Schema at #/properties/p0: uniqueItems is not enforced"), "{error}");
        assert!(error.ends_with("; at #: 10 more keywords are not enforced"), "{error}");
    }

    #[test]
    fn only_objects_and_booleans_are_schemas() {
        let apply = |schema| JsonOptions::default().apply(schema);
        assert_eq!(apply(json!([1])).unwrap_err(), "a schema is an object or a boolean, got an array");
        assert_eq!(apply(json!(false)).unwrap_err(), "the schema false allows nothing");
        apply(json!(true)).unwrap();
        let nul = apply(json!({"pattern": "a\0"})).unwrap_err();
        assert_eq!(nul, "Invalid json: NUL bytes (\\u0000) are not allowed");
    }

    #[test]
    fn a_wrong_value_is_named_with_its_place() {
        let told =
            |message: &str, schema: &str| with_place(message.into(), &serde_json::from_str(schema).unwrap());
        let thing = r#"{"properties": {"type": {"type": "string"}, "b": {"type": ["null", "thing"]}}}"#;
        assert_eq!(
            told("Invalid type: thing", thing),
            "JSON Schema at #/properties/b/type: Invalid type: thing"
        );
        let five = r#"{"items": [{}, {"type": 5}]}"#;
        let message = "type must be a string or array of strings";
        assert_eq!(told(message, five), format!("JSON Schema at #/items/1/type: {message}"));
        let minimum = r#"{"properties": {"minimum": {"minimum": "x"}}}"#;
        assert!(
            told("Expected f64 for 'minimum', got", minimum)
                .starts_with("JSON Schema at #/properties/minimum")
        );
    }
}
