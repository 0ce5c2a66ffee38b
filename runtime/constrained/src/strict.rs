//! The strict mode of the reference's default backend: properties and items that a schema does not list are not
//! generated.
//!
//! JSON Schema allows any further property unless told otherwise, and models then invent some. So an object that lists
//! `properties` and says nothing about others gets `additionalProperties: false`, and an array that lists its first
//! items gets no others. Schemas that are combined (`allOf` and the like, `$ref` beside other keywords) stay open,
//! because closing one part would forbid what another part lists.

use serde_json::{Map, Value};

/// Keywords that do not restrict the instance.
const ANNOTATIONS: [&str; 14] = [
    "title",
    "description",
    "default",
    "examples",
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "$defs",
    "definitions",
    "deprecated",
    "readOnly",
    "writeOnly",
    "discriminator",
];
/// Keywords whose schemas apply to the same instance as the schema that holds them.
const IN_PLACE: [&str; 10] =
    ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "$ref", "$dynamicRef"];
/// The keywords among them that usually list further properties. Beside the others (the conditions), only the
/// properties that the schema and its conditions list are generated.
const OPENING: [&str; 5] = ["allOf", "anyOf", "oneOf", "$ref", "$dynamicRef"];
/// Keywords that contain one schema for a part of the instance.
const PART: [&str; 9] = [
    "items",
    "additionalItems",
    "additionalProperties",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contains",
    "propertyNames",
    "contentSchema",
    "extends",
];
/// Keywords that contain schemas for parts by name.
const PARTS: [&str; 2] = ["properties", "patternProperties"];

/// Closes the objects and arrays of `schema`.
pub(crate) fn close(schema: &mut Value) {
    let combined = refs_are_combined(schema, false);
    walk(schema, false, combined);
}

fn alone(object: &Map<String, Value>, keyword: &str) -> bool {
    object.keys().all(|key| key == keyword || ANNOTATIONS.contains(&key.as_str()))
}

/// Whether the schemas under `keyword` apply to the same instance as other keywords.
fn shares(object: &Map<String, Value>, keyword: &str, shared: bool) -> bool {
    match keyword {
        "anyOf" | "oneOf" => shared || !alone(object, keyword),
        "allOf" => {
            let single = object.get("allOf").and_then(Value::as_array).is_some_and(|all| all.len() == 1);
            shared || !single || !alone(object, keyword)
        }
        _ => true,
    }
}

/// Whether any `$ref` makes its target apply to an instance together with other keywords; definitions then stay open.
fn refs_are_combined(schema: &Value, shared: bool) -> bool {
    let Value::Object(object) = schema else { return false };
    if (object.contains_key("$ref") && (shared || !alone(object, "$ref")))
        || object.contains_key("$dynamicRef")
    {
        return true;
    }
    object.iter().any(|(key, value)| match (key.as_str(), value) {
        (key, Value::Array(items)) => {
            let shared = IN_PLACE.contains(&key) && shares(object, key, shared);
            items.iter().any(|item| refs_are_combined(item, shared))
        }
        (
            "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
            Value::Object(map),
        ) => map.values().any(|value| refs_are_combined(value, key == "dependentSchemas")),
        (key, value) => refs_are_combined(value, IN_PLACE.contains(&key)),
    })
}

fn walk(schema: &mut Value, shared: bool, combined: bool) {
    let Value::Object(object) = schema else { return };
    if !shared && !IN_PLACE.iter().any(|key| object.contains_key(*key)) {
        close_here(object);
    } else if !shared && !OPENING.iter().any(|key| object.contains_key(*key)) && is_open(object) {
        object.insert("unevaluatedProperties".into(), Value::Bool(false));
        list_required(object);
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let shared = shares(object, keyword, shared);
        if let Some(Value::Array(items)) = object.get_mut(keyword) {
            items.iter_mut().for_each(|item| walk(item, shared, combined));
        }
    }
    for keyword in ["then", "else"] {
        if let Some(part) = object.get_mut(keyword) {
            walk(part, true, combined);
        }
    }
    for keyword in PART {
        match object.get_mut(keyword) {
            Some(Value::Array(items)) => items.iter_mut().for_each(|item| walk(item, false, combined)),
            Some(part) => walk(part, false, combined),
            None => {}
        }
    }
    if let Some(Value::Array(items)) = object.get_mut("prefixItems") {
        items.iter_mut().for_each(|item| walk(item, false, combined));
    }
    for (keywords, shared) in [(PARTS, false), (["$defs", "definitions"], combined)] {
        for keyword in keywords {
            if let Some(Value::Object(parts)) = object.get_mut(keyword) {
                parts.values_mut().for_each(|part| walk(part, shared, combined));
            }
        }
    }
}

/// Whether the schema lists properties and says nothing about others.
fn is_open(object: &Map<String, Value>) -> bool {
    let has = |keyword: &str| object.contains_key(keyword);
    has("properties")
        && !has("additionalProperties")
        && !has("unevaluatedProperties")
        && !has("patternProperties")
}

fn close_here(object: &mut Map<String, Value>) {
    let has = |keyword: &str| object.contains_key(keyword);
    let open_object = is_open(object);
    let open_array = has("prefixItems") && !has("items") && !has("unevaluatedItems");
    let open_tuple = object.get("items").is_some_and(Value::is_array) && !has("additionalItems");
    for (open, keyword) in
        [(open_object, "additionalProperties"), (open_array, "items"), (open_tuple, "additionalItems")]
    {
        if open {
            object.insert(keyword.into(), Value::Bool(false));
        }
    }
    if open_object {
        list_required(object);
    }
}

/// Lists required properties that are not listed, with any value, so that closing the object does not forbid them.
fn list_required(object: &mut Map<String, Value>) {
    let Some(Value::Array(required)) = object.get("required") else { return };
    let names: Vec<String> = required.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect();
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        for name in names {
            properties.entry(name).or_insert(Value::Bool(true));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn closed(mut schema: Value) -> Value {
        close(&mut schema);
        schema
    }

    #[test]
    fn listed_properties_and_items_are_the_only_ones() {
        let schema =
            closed(json!({"properties": {"a": {"properties": {"b": {}}}, "c": {"prefixItems": [{}]}}}));
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["a"]["additionalProperties"], false);
        assert_eq!(schema["properties"]["c"]["items"], false);
        assert_eq!(closed(json!({"items": [{}]}))["additionalItems"], false);
    }

    #[test]
    fn a_required_name_is_possible_even_if_it_is_not_listed() {
        let schema = closed(json!({"properties": {"a": {}}, "required": ["b", "a"]}));
        assert_eq!(schema["properties"], json!({"a": {}, "b": true}));
        assert_eq!(schema["additionalProperties"], false);
    }

    #[test]
    fn what_a_schema_says_itself_stands() {
        for schema in [
            json!({"type": "object"}),
            json!({"properties": {}, "additionalProperties": true}),
            json!({"properties": {}, "patternProperties": {"^x": {}}}),
            json!({"prefixItems": [{}], "items": {"type": "string"}}),
        ] {
            assert_eq!(closed(schema.clone()), schema);
        }
    }

    #[test]
    fn combined_schemas_stay_open_and_plain_unions_are_closed() {
        let all = json!({"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]});
        assert_eq!(closed(all.clone()), all);
        let condition = closed(json!({"properties": {"a": {}}, "if": {"required": ["a"]}, "then": {}}));
        assert_eq!(condition["unevaluatedProperties"], false);
        let any = closed(json!({"anyOf": [{"properties": {"a": {}}}, {"type": "null"}]}));
        assert_eq!(any["anyOf"][0]["additionalProperties"], false);
        let beside = json!({"properties": {"a": {}}, "anyOf": [{"properties": {"b": {}}}]});
        assert_eq!(closed(beside.clone()), beside);
    }

    #[test]
    fn definitions_are_closed_unless_a_reference_extends_them() {
        let defs = json!({"$defs": {"d": {"properties": {"a": {}}}}, "items": {"$ref": "#/$defs/d"}});
        assert_eq!(closed(defs)["$defs"]["d"]["additionalProperties"], false);
        let extended = json!({
            "$defs": {"d": {"properties": {"a": {}}}},
            "items": {"$ref": "#/$defs/d", "properties": {"b": {}}},
        });
        assert_eq!(closed(extended.clone()), extended);
    }
}
