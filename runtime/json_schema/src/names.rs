//! Maps the type names of databases and programming languages to those of JSON Schema (reference:
//! `normalize_json_schema_types`).

use serde_json::Value;

use crate::keywords::{Holds, holds};

/// JSON Schema's own names.
pub(crate) const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "string", "integer"];

/// Names that must match as a whole.
const ALIASES: [(&str, &[&str]); 5] = [
    (
        "string",
        &[
            "str",
            "text",
            "varchar",
            "char",
            "enum",
            "uuid",
            "date",
            "datetime",
            "time",
            "timestamp",
            "binary",
            "blob",
            "bytea",
            "bytes",
            "varbinary",
        ],
    ),
    ("boolean", &["bool"]),
    ("integer", &["bigint", "smallint", "tinyint"]),
    ("number", &["double", "decimal", "real", "numeric"]),
    ("array", &["arr", "tuple", "set"]),
];
/// Names that a size or parameters may follow (`int32`, `list[str]`).
const PREFIXES: [(&str, &[&str]); 4] = [
    ("integer", &["int", "uint", "long", "short", "unsigned"]),
    ("number", &["num", "float"]),
    ("array", &["list"]),
    ("object", &["dict"]),
];

/// JSON Schema's name for the type `raw`.
pub(crate) fn standard_type(raw: &str) -> Option<&'static str> {
    let base = raw.split('(').next().unwrap_or_default().trim().to_lowercase();
    let whole = |names: &[&str]| names.contains(&base.as_str());
    let begins = |names: &[&str]| {
        names.iter().any(|name| {
            let rest = base.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(|c| "0123456789[<( \t".contains(c)))
        })
    };
    let by_alias = || ALIASES.iter().find(|(_, names)| whole(names)).map(|(kind, _)| *kind);
    let by_prefix = || PREFIXES.iter().find(|(_, names)| begins(names)).map(|(kind, _)| *kind);
    let map = || (base == "map").then_some("object");
    TYPES.into_iter().find(|kind| *kind == base).or_else(by_alias).or_else(map).or_else(by_prefix)
}

fn normalize_type(value: &mut Value) {
    if let Some(kind) = value.as_str().and_then(standard_type) {
        *value = kind.into();
    }
}

/// Rewrites all type names in a schema. Unknown names stay, for [`check`](crate::check) to report.
pub fn normalize_types(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(normalize_types),
        Value::Object(map) => {
            match map.get_mut("type") {
                Some(Value::Array(names)) => {
                    let mut known: Vec<Value> = Vec::with_capacity(names.len());
                    for mut name in std::mem::take(names) {
                        normalize_type(&mut name);
                        if !known.contains(&name) {
                            known.push(name);
                        }
                    }
                    *names = known;
                }
                Some(name) => normalize_type(name),
                None => {}
            }
            for (keyword, value) in map.iter_mut() {
                match (holds(keyword), value) {
                    (Some(Holds::Map), Value::Object(inner)) => inner.values_mut().for_each(normalize_types),
                    (Some(Holds::List | Holds::One), value) => normalize_types(value),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_of_databases_and_languages_are_understood() {
        let cases = [
            ("varchar(255)", "string"),
            ("Int32", "integer"),
            ("int", "integer"),
            ("internal", "internal"),
            ("list[str]", "array"),
            ("list_price", "list_price"),
            ("dict[str, int]", "object"),
            ("map", "object"),
            ("float64", "number"),
            ("bool", "boolean"),
            ("string", "string"),
            ("Object", "object"),
        ];
        for (given, wanted) in cases {
            let mut schema = json!({"type": "object", "properties": {"type": {"type": given}}, "items": [{"type": given}]});
            normalize_types(&mut schema);
            assert_eq!(schema["properties"]["type"]["type"], wanted);
            assert_eq!(schema["items"][0]["type"], wanted);
        }
        let mut several = json!({"type": ["int", "integer", "null"], "enum": [{"type": "int"}]});
        normalize_types(&mut several);
        assert_eq!(several, json!({"type": ["integer", "null"], "enum": [{"type": "int"}]}));
    }
}
