//! What a tool's parameter schema says about the type of one argument.

use serde_json::{Map, Value};

/// Schemas nested deeper than this are not looked into.
const MAX_DEPTH: usize = 64;

/// The properties of an object schema, taken from its `anyOf`/`oneOf`/`allOf` branches (first mention wins) where the
/// schema itself declares none.
pub(crate) fn schema_properties(schema: &Value) -> Map<String, Value> {
    properties_at(schema, 0)
}

fn properties_at(schema: &Value, depth: usize) -> Map<String, Value> {
    if let Some(Value::Object(properties)) = schema.get("properties") {
        return properties.clone();
    }
    let mut merged = Map::new();
    if depth < MAX_DEPTH {
        for branch in ["anyOf", "oneOf", "allOf"].iter().filter_map(|k| schema.get(*k)?.as_array()).flatten()
        {
            for (name, value) in properties_at(branch, depth + 1) {
                merged.entry(name).or_insert(value);
            }
        }
    }
    merged
}

/// The main type that a schema allows, or `None` when it does not say. The order of evidence is: `type`, the branches
/// of `anyOf`/`oneOf`, the values of `enum`, `allOf`, `properties`, `items`; `string` wins over a mixture.
pub(crate) fn infer_type(schema: &Value) -> Option<String> {
    infer_at(schema, 0)
}

fn infer_at(schema: &Value, depth: usize) -> Option<String> {
    let schema = schema.as_object()?;
    if depth > MAX_DEPTH {
        return None;
    }
    match schema.get("type") {
        Some(Value::String(name)) => return Some(name.clone()),
        Some(Value::Array(names)) if !names.is_empty() => {
            let named = names.iter().filter_map(Value::as_str).find(|name| *name != "null");
            return Some(named.unwrap_or("string").to_owned());
        }
        _ => {}
    }
    let branches =
        ["anyOf", "oneOf"].iter().find_map(|k| schema.get(*k)?.as_array().filter(|a| !a.is_empty()));
    if let Some(branches) = branches {
        let types: Vec<String> = branches.iter().filter_map(|b| infer_at(b, depth + 1)).collect();
        if let Some(first) = types.first() {
            return Some(one_of(&types, first));
        }
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        let types: Vec<String> = values.iter().map(|v| type_name(v).to_owned()).collect();
        return Some(match types.first() {
            Some(first) if types.iter().all(|t| t == first) => first.clone(),
            _ => "string".to_owned(),
        });
    }
    if let Some(Value::Array(branches)) = schema.get("allOf") {
        let named = branches.iter().filter_map(|b| infer_at(b, depth + 1)).find(|t| t != "string");
        return Some(named.unwrap_or_else(|| "string".to_owned()));
    }
    if schema.contains_key("properties") {
        return Some("object".to_owned());
    }
    schema.contains_key("items").then(|| "array".to_owned())
}

fn one_of(types: &[String], first: &str) -> String {
    let mut distinct: Vec<&String> = Vec::new();
    for name in types {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    if let [a, b] = distinct.as_slice() {
        // An optional type is the type itself.
        if *a == "null" {
            return (*b).clone();
        }
        if *b == "null" {
            return (*a).clone();
        }
    }
    if distinct.len() > 1 && types.iter().any(|t| t == "string") {
        "string".to_owned()
    } else {
        first.to_owned()
    }
}

/// Every type that a schema allows by `type`, `enum` and its branches; `string` where it says nothing.
pub(crate) fn schema_types(schema: &Value) -> Vec<String> {
    let mut types = Vec::new();
    collect_types(schema, 0, &mut types);
    if types.is_empty() {
        types.push("string".to_owned());
    }
    types
}

fn collect_types(schema: &Value, depth: usize, types: &mut Vec<String>) {
    let mut add = |name: &str| {
        if !types.iter().any(|known| known == name) {
            types.push(name.to_owned());
        }
    };
    match schema.get("type") {
        Some(Value::String(name)) => add(name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).for_each(&mut add),
        _ => {}
    }
    schema
        .get("enum")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .for_each(|value| add(type_name(value)));
    if depth < MAX_DEPTH {
        let branches = ["anyOf", "oneOf", "allOf"].iter().filter_map(|k| schema.get(*k)?.as_array());
        branches.flatten().for_each(|branch| collect_types(branch, depth + 1, types));
    }
}

/// The first type that a schema or a branch of it states, `null` aside.
pub(crate) fn resolve_type(schema: &Value) -> Option<String> {
    resolve_at(schema, 0)
}

fn resolve_at(schema: &Value, depth: usize) -> Option<String> {
    match schema.get("type") {
        Some(Value::String(name)) => return Some(name.clone()),
        Some(Value::Array(names)) => {
            let named = names.iter().filter_map(Value::as_str).find(|name| *name != "null");
            return Some(named.unwrap_or("string").to_owned());
        }
        _ => {}
    }
    if depth > MAX_DEPTH {
        return None;
    }
    let branches = ["anyOf", "oneOf", "allOf"].iter().filter_map(|k| schema.get(*k)?.as_array()).flatten();
    branches
        .filter(|branch| branch.get("type").is_none_or(|kind| kind != "null"))
        .find_map(|branch| resolve_at(branch, depth + 1))
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_type_is_found_wherever_the_schema_states_it() {
        let cases = [
            (json!({"type": "integer"}), Some("integer")),
            (json!({"type": ["null", "number"]}), Some("number")),
            (json!({"anyOf": [{"type": "null"}, {"type": "object"}]}), Some("object")),
            (json!({"oneOf": [{"type": "integer"}, {"type": "string"}]}), Some("string")),
            (json!({"enum": [1, 2]}), Some("integer")),
            (json!({"enum": [1, "a"]}), Some("string")),
            (json!({"allOf": [{"type": "string"}, {"type": "array"}]}), Some("array")),
            (json!({"properties": {}}), Some("object")),
            (json!({"items": {}}), Some("array")),
            (json!({}), None),
            (json!(true), None),
        ];
        for (schema, want) in cases {
            assert_eq!(infer_type(&schema).as_deref(), want, "{schema}");
        }
    }

    #[test]
    fn properties_of_branches_are_merged_only_when_the_top_has_none() {
        let branches =
            json!({"anyOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"a": {}, "b": {}}}]});
        let merged = schema_properties(&branches);
        assert_eq!(merged.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(merged["a"], json!({"type": "string"}));
        assert!(schema_properties(&json!({"type": "object"})).is_empty());
    }
}
