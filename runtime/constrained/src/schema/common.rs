//! What the keywords share.

use serde_json::{Map, Value, json};

/// Whether every value satisfies the schema.
pub(super) fn says_nothing(schema: &Value) -> bool {
    match schema {
        Value::Bool(all) => *all,
        Value::Object(map) => map.keys().all(|keyword| sglang_json_schema::is_annotation(keyword)),
        _ => false,
    }
}

/// A name inside a JSON pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The schema's type, where it has just one.
pub(super) fn only_type(map: &Map<String, Value>) -> Option<&str> {
    map.get("type")?.as_str()
}

/// Alternatives; where the type is known they are bound to it, which keeps them from allowing every other type twice.
pub(super) fn alternatives(map: &Map<String, Value>, branches: Vec<Value>) -> Value {
    let bound = |branch: Value| match only_type(map) {
        Some(kind) => json!({"type": kind, "allOf": [branch]}),
        None => branch,
    };
    json!({"anyOf": branches.into_iter().map(bound).collect::<Vec<_>>()})
}
