//! Helpers shared by the keywords.

use serde_json::{Map, Value, json};

/// Whether the schema allows every value.
pub(super) fn says_nothing(schema: &Value) -> bool {
    match schema {
        Value::Bool(all) => *all,
        Value::Object(map) => map.keys().all(|keyword| sglang_json_schema::is_annotation(keyword)),
        _ => false,
    }
}

/// A name escaped for a JSON pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The schema's type, if it has exactly one.
pub(super) fn only_type(map: &Map<String, Value>) -> Option<&str> {
    map.get("type")?.as_str()
}

/// `anyOf` of the branches. A known type is added to each branch, so that other types are not allowed once per branch.
pub(super) fn alternatives(map: &Map<String, Value>, branches: Vec<Value>) -> Value {
    let bound = |branch: Value| match only_type(map) {
        Some(kind) => json!({"type": kind, "allOf": [branch]}),
        None => branch,
    };
    json!({"anyOf": branches.into_iter().map(bound).collect::<Vec<_>>()})
}
