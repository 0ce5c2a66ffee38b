//! Checks whether a value is a schema (reference: `Draft202012Validator.check_schema`).

use serde_json::Value;

use crate::keywords::{Holds, holds};
use crate::names::TYPES;

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

/// Checks that `schema` is a valid schema.
///
/// # Errors
/// The place of the first mistake, as a JSON pointer, and what would be valid there.
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
        _ if holds(key) == Some(Holds::Map) => {
            let map = value.as_object().ok_or_else(|| wrong(path, value, "of type 'object'"))?;
            map.iter().try_for_each(|(name, schema)| check_at(schema, &format!("{path}/{name}")))
        }
        _ if holds(key) == Some(Holds::List) => {
            let list = value.as_array().filter(|list| !list.is_empty());
            let list = list.ok_or_else(|| wrong(path, value, "a non-empty array of schemas"))?;
            list.iter().enumerate().try_for_each(|(i, schema)| check_at(schema, &format!("{path}/{i}")))
        }
        // Older drafts write the items of a tuple as a list of schemas.
        _ if holds(key) == Some(Holds::One) => match value {
            Value::Array(list) if key == "items" => {
                list.iter().enumerate().try_for_each(|(i, schema)| check_at(schema, &format!("{path}/{i}")))
            }
            _ => check_at(value, path),
        },
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
    fn a_mistake_is_named_with_its_place() {
        for good in [
            json!({}),
            json!(true),
            json!({"type": ["string", "null"], "enum": [], "required": ["a"], "x-own": 1}),
            json!({"properties": {"a": {"minLength": 0, "items": false, "anyOf": [{"const": 1}]}}}),
            json!({"items": [{"type": "string"}, {}]}),
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
