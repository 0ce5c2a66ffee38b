//! Parameter schemas of tools: names of types that databases and Python use become those of JSON Schema, and what is no
//! schema is refused (reference: `normalize_json_schema_types`, `Draft202012Validator.check_schema`).

use serde_json::Value;

const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "string", "integer"];

/// Keywords that hold schemas by name.
const MAPS: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
/// Keywords that hold a list of schemas.
const LISTS: [&str; 4] = ["anyOf", "oneOf", "allOf", "prefixItems"];
/// Keywords that hold one schema.
const SINGLE: [&str; 10] = [
    "items",
    "additionalProperties",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
];
const COUNTS: [&str; 8] = [
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minContains",
    "maxContains",
];
const NUMBERS: [&str; 5] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
const TEXTS: [&str; 9] =
    ["pattern", "format", "title", "description", "$ref", "$id", "$schema", "$comment", "$anchor"];
const FLAGS: [&str; 4] = ["uniqueItems", "deprecated", "readOnly", "writeOnly"];

/// Names that are matched whole.
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
/// Names that may go on with a size or with parameters (`int32`, `list[str]`).
const PREFIXES: [(&str, &[&str]); 4] = [
    ("integer", &["int", "uint", "long", "short", "unsigned"]),
    ("number", &["num", "float"]),
    ("array", &["list"]),
    ("object", &["dict"]),
];

fn standard_type(raw: &str) -> Option<&'static str> {
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

/// Rewrites the types of a schema, wherever it has some. Names that nobody knows stay for [`check`].
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
            for (key, value) in map.iter_mut() {
                match value {
                    Value::Object(inner) if MAPS.contains(&key.as_str()) => {
                        inner.values_mut().for_each(normalize_types);
                    }
                    _ if LISTS.contains(&key.as_str()) || SINGLE.contains(&key.as_str()) => {
                        normalize_types(value)
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// Whether `schema` is one.
///
/// # Errors
/// The place of the first mistake, as a JSON pointer, and what would be right there.
pub fn check(schema: &Value) -> Result<(), String> {
    check_at(schema, "")
}

fn wrong(path: &str, value: &Value, wanted: &str) -> String {
    let place = if path.is_empty() { "/" } else { path };
    format!("at {place}: {value} is not {wanted}")
}

fn check_at(schema: &Value, path: &str) -> Result<(), String> {
    let map = match schema {
        Value::Bool(_) => return Ok(()),
        Value::Object(map) => map,
        other => return Err(wrong(path, other, "of type 'object' or 'boolean'")),
    };
    map.iter().try_for_each(|(key, value)| keyword(key, value, &format!("{path}/{key}")))
}

fn keyword(key: &str, value: &Value, path: &str) -> Result<(), String> {
    let expect = |right: bool, wanted: &str| if right { Ok(()) } else { Err(wrong(path, value, wanted)) };
    match key {
        _ if MAPS.contains(&key) => {
            let map = value.as_object().ok_or_else(|| wrong(path, value, "of type 'object'"))?;
            map.iter().try_for_each(|(name, schema)| check_at(schema, &format!("{path}/{name}")))
        }
        _ if LISTS.contains(&key) => {
            let list = value.as_array().filter(|list| !list.is_empty());
            let list = list.ok_or_else(|| wrong(path, value, "a non-empty array of schemas"))?;
            list.iter().enumerate().try_for_each(|(i, schema)| check_at(schema, &format!("{path}/{i}")))
        }
        _ if SINGLE.contains(&key) => check_at(value, path),
        "type" => types(value, path),
        "enum" | "examples" => expect(value.is_array(), "of type 'array'"),
        "required" => expect(unique_texts(value), "an array of unique strings"),
        "dependentRequired" => {
            let right = value.as_object().is_some_and(|map| map.values().all(unique_texts));
            expect(right, "an object of arrays of unique strings")
        }
        _ if COUNTS.contains(&key) => {
            let whole = value.as_f64().is_some_and(|n| n >= 0.0 && n.fract() == 0.0);
            expect(whole, "a non-negative integer")
        }
        "multipleOf" => expect(value.as_f64().is_some_and(|n| n > 0.0), "a number above 0"),
        _ if NUMBERS.contains(&key) => expect(value.is_number(), "of type 'number'"),
        _ if TEXTS.contains(&key) => expect(value.is_string(), "of type 'string'"),
        _ if FLAGS.contains(&key) => expect(value.is_boolean(), "of type 'boolean'"),
        _ => Ok(()),
    }
}

fn types(value: &Value, path: &str) -> Result<(), String> {
    let known = |name: &Value| name.as_str().is_some_and(|name| TYPES.contains(&name));
    let right = match value {
        Value::Array(names) => !names.is_empty() && names.iter().all(known) && unique_texts(value),
        name => known(name),
    };
    if right {
        Ok(())
    } else {
        Err(wrong(path, value, &format!("one of, or an array of some of, {TYPES:?}")))
    }
}

fn unique_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|list| {
        list.iter().all(Value::is_string)
            && list.iter().enumerate().all(|(i, text)| !list.iter().take(i).any(|t| t == text))
    })
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

    #[test]
    fn a_mistake_is_named_with_its_place() {
        for good in [
            json!({}),
            json!(true),
            json!({"type": ["string", "null"], "enum": [], "required": ["a"], "x-own": 1}),
            json!({"properties": {"a": {"minLength": 0, "items": false, "anyOf": [{"const": 1}]}}}),
        ] {
            check(&good).unwrap();
        }
        let place = |schema: Value| check(&schema).unwrap_err();
        assert!(place(json!("x")).starts_with("at /: \"x\" is not"));
        assert!(
            place(json!({"properties": {"a": {"type": "strin"}}})).starts_with("at /properties/a/type: ")
        );
        assert!(
            place(json!({"properties": {"a": 1}})).starts_with("at /properties/a: 1 is not of type 'object'")
        );
        assert!(place(json!({"properties": []})).starts_with("at /properties: "));
        assert!(place(json!({"anyOf": []})).starts_with("at /anyOf: "));
        assert!(
            place(json!({"allOf": [{}, {"required": ["a", "a"]}]})).starts_with("at /allOf/1/required: ")
        );
        assert!(place(json!({"required": "a"})).contains("unique strings"));
        assert!(place(json!({"minLength": -1})).contains("non-negative"));
        assert!(place(json!({"multipleOf": 0})).contains("above 0"));
        assert!(place(json!({"minimum": "1"})).contains("'number'"));
        assert!(place(json!({"pattern": 1})).contains("'string'"));
        assert!(place(json!({"uniqueItems": "yes"})).contains("'boolean'"));
        assert!(place(json!({"type": []})).contains("array of some of"));
        assert!(place(json!({"dependentRequired": {"a": [1]}})).contains("object of arrays"));
    }
}
