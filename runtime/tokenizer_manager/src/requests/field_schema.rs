//! Combines the JSON schemas of fields.

use serde_json::{Map, Value, json};

/// Makes the schema accept null.
pub(super) fn add_null(schema: &mut Value) {
    match schema.get_mut("type") {
        Some(Value::Array(types)) => types.push("null".into()),
        Some(Value::String(one)) => schema["type"] = json!([one.clone(), "null"]),
        _ => {}
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
}

/// Makes the schema reject null.
pub(super) fn take_null(schema: &mut Value) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            schema["type"] = one.clone();
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
}

/// A schema that accepts what either one accepts. If one of them is unknown, the other one is used.
pub(super) fn join(one: Value, other: Value) -> Value {
    if one == other || is_anything(&other) {
        return one;
    }
    if is_anything(&one) {
        return other;
    }
    let (Value::Object(mut one), Value::Object(other)) = (one, other) else { return json!({}) };
    let types = |schema: &Map<String, Value>| match schema.get("type") {
        Some(Value::Array(types)) => types.clone(),
        Some(single) => vec![single.clone()],
        None => Vec::new(),
    };
    let (mut all, more) = (types(&one), types(&other));
    all.extend(more.into_iter().filter(|name| !types(&one).contains(name)));
    // Null comes last, as everywhere.
    all.sort_by_key(|name| name == "null");
    one.insert("type".into(), all.into());
    // Limits apply only if both have them.
    for limit in ["minimum", "enum"] {
        if one.get(limit) != other.get(limit) {
            one.shift_remove(limit);
        }
    }
    if let Some(Value::Array(keys)) = one.get_mut("required") {
        keys.retain(|key| other.get("required").and_then(Value::as_array).is_some_and(|r| r.contains(key)));
    }
    for (name, value) in other {
        match (name.as_str(), one.shift_remove(&name)) {
            ("items", Some(items)) => drop(one.insert(name, join(items, value))),
            ("properties", Some(Value::Object(mut known))) => {
                for (key, schema) in value.as_object().cloned().unwrap_or_default() {
                    let joined = match known.shift_remove(&key) {
                        Some(old) => join(old, schema),
                        None => schema,
                    };
                    known.insert(key, joined);
                }
                one.insert(name, known.into());
            }
            ("items" | "properties", None) => drop(one.insert(name, value)),
            (_, Some(old)) => drop(one.insert(name, old)),
            (_, None) => {}
        }
    }
    Value::Object(one)
}

/// Whether a schema accepts everything.
pub(super) fn is_anything(schema: &Value) -> bool {
    schema.as_object().is_some_and(Map::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_joined_schema_takes_what_either_takes() {
        let joined = join(json!({"type": ["string", "null"]}), json!({"type": ["object", "null"]}));
        assert_eq!(joined["type"], json!(["string", "object", "null"]));
        let text = json!({"type": "object", "required": ["a", "b"],
            "properties": {"a": {"type": "string"}, "b": {"type": "integer", "minimum": 0}, "c": {"enum": ["x"], "type": "string"}}});
        let list = json!({"type": ["object", "null"], "required": ["b"],
            "properties": {"a": {"type": ["array", "null"], "items": {}}, "b": {"type": "integer"}, "c": {"enum": ["x"], "type": "string"}}});
        let joined = join(text.clone(), list);
        assert_eq!(joined["type"], json!(["object", "null"]));
        assert_eq!(joined["required"], json!(["b"]));
        assert_eq!(joined["properties"]["a"], json!({"type": ["string", "array", "null"], "items": {}}));
        assert_eq!(joined["properties"]["b"], json!({"type": ["integer"]}));
        assert_eq!(joined["properties"]["c"], text["properties"]["c"]);
        assert_eq!(join(json!({}), text.clone()), text);
        assert_eq!(join(text.clone(), json!({})), text);
    }

    #[test]
    fn null_comes_and_goes() {
        let mut schema = json!({"type": "string", "enum": ["a"]});
        add_null(&mut schema);
        assert_eq!(schema, json!({"type": ["string", "null"], "enum": ["a", null]}));
        take_null(&mut schema);
        assert_eq!(schema, json!({"type": "string", "enum": ["a"]}));
    }
}
