//! What a body may look like, found out from the code that reads it: while a recording runs, every field that is asked
//! for is noted with the JSON types that its reader takes. The OpenAPI document is made of this, so that it cannot say
//! anything else than what is parsed.

use std::cell::RefCell;

use serde_json::{Map, Value, json};

use super::validation::Mismatch;

/// A field as its reader shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldShape {
    /// Its key.
    pub name: &'static str,
    /// Whether a body without it is refused.
    pub required: bool,
    /// Its JSON schema.
    pub schema: Value,
}

thread_local! {
    static FIELDS: RefCell<Option<Vec<FieldShape>>> = const { RefCell::new(None) };
}

/// Depth of lists within lists that is looked into.
const DEPTH: usize = 3;
/// A text that means nothing to any reader.
const NONSENSE: &str = "\u{1}nothing";

type Try<'a> = &'a dyn Fn(&Value) -> Result<(), Mismatch>;

/// The fields that `read` asks for, in its order.
pub fn fields_of(read: impl FnOnce()) -> Vec<FieldShape> {
    FIELDS.set(Some(Vec::new()));
    read();
    FIELDS.take().unwrap_or_default()
}

/// Notes a field while a recording runs.
pub(super) fn note(name: &'static str, required: bool, nullable: bool, read: Try<'_>) {
    // Taken out, so that what the reader itself asks for is not taken for a field of the body.
    let Some(mut fields) = FIELDS.take() else { return };
    let mut schema = schema_of(read, DEPTH);
    if nullable {
        add_null(&mut schema);
    }
    match fields.iter_mut().find(|field| field.name == name) {
        None => fields.push(FieldShape { name, required, schema }),
        // A field that is asked for again: its first reader only wanted it to be there.
        Some(field) if field.required && is_anything(&field.schema) => field.schema = schema,
        Some(_) => {}
    }
    FIELDS.set(Some(fields));
}

fn add_null(schema: &mut Value) {
    match schema.get_mut("type") {
        Some(Value::Array(types)) => types.push("null".into()),
        Some(Value::String(one)) => schema["type"] = json!([one.clone(), "null"]),
        _ => {}
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
}

/// The schema of what `read` takes.
fn schema_of(read: Try<'_>, depth: usize) -> Value {
    let takes = |value: Value| read(&value).is_ok();
    let mut types: Vec<&str> = Vec::new();
    let mut schema = Map::new();
    let words: Vec<String> = read(&json!(NONSENSE)).err().and_then(|m| m.literals()).unwrap_or_default();
    let words: Vec<String> = words.into_iter().filter(|word| takes(json!(word))).collect();
    if takes(json!(NONSENSE)) {
        types.push("string");
    } else if !words.is_empty() {
        schema.insert("enum".into(), json!(words));
        types.push("string");
    }
    let whole = [2, 1, 0, 100].into_iter().any(|n| takes(json!(n)));
    if takes(json!(0.5)) || takes(json!(2.5)) {
        types.push("number");
    } else if whole && !only_truth(read) {
        types.push("integer");
    }
    if types.iter().any(|t| matches!(*t, "number" | "integer")) && !takes(json!(-1)) {
        let minimum = if takes(json!(0)) { 0 } else { 1 };
        if takes(json!(minimum)) {
            schema.insert("minimum".into(), minimum.into());
        }
    }
    if only_truth(read) || (takes(json!(true)) && types.is_empty()) {
        types.push("boolean");
    }
    if depth > 0 && (takes(json!([])) || SAMPLES.iter().any(|sample| takes(json!([sample()])))) {
        types.push("array");
        let item = |value: &Value| read(&json!([value]));
        schema.insert("items".into(), schema_of(&item, depth - 1));
    }
    if takes(json!({})) {
        types.push("object");
    }
    match types.as_slice() {
        [] => {}
        [one] => drop(schema.insert("type".into(), (*one).into())),
        several => drop(schema.insert("type".into(), json!(several))),
    }
    Value::Object(schema)
}

/// Whether a schema leaves nothing out.
fn is_anything(schema: &Value) -> bool {
    schema["type"].as_array().is_some_and(|types| {
        ["string", "number", "array", "object"].iter().all(|t| types.iter().any(|x| x == t))
    })
}

/// One value of each kind that an item of a list can be.
const SAMPLES: [fn() -> Value; 6] =
    [|| json!(NONSENSE), || json!(2), || json!(0.5), || json!(true), || json!({}), || json!([2])];

/// Whether `read` takes truth values, and numbers only as other forms of them.
fn only_truth(read: Try<'_>) -> bool {
    read(&json!(true)).is_ok() && read(&json!(2)).is_err()
}

#[cfg(test)]
mod tests {
    use super::super::validation::{Fields, Mismatch, Read, boolean, float, int, list, object, string};
    use super::*;

    fn mode(value: &Value) -> Read<String> {
        match value.as_str() {
            Some(mode @ ("abort" | "retract")) => Ok(mode.to_owned()),
            _ => Err(Mismatch::literal("'abort' or 'retract'", value)),
        }
    }

    #[test]
    fn readers_show_the_types_that_they_take() {
        let fields = fields_of(|| {
            let map = Map::new();
            let mut f = Fields::of_body(&map);
            f.required("text", string);
            f.optional("count", int);
            f.or("share", 0.5, float);
            f.or("on", true, boolean);
            f.optional("ids", list(list(int)));
            f.union("names", &[("str", &|v| string(v).map(|s| vec![s])), ("list[str]", &list(string))]);
            f.or("mode", String::new(), mode);
            f.optional("more", |v| {
                // Not a field of the body.
                let inner = object(v)?;
                Fields::of_body(&inner).optional("inner", string);
                Ok(())
            });
            f.optional("count", string);
        });
        let shown: Vec<(&str, bool, Value)> =
            fields.into_iter().map(|f| (f.name, f.required, f.schema)).collect();
        assert_eq!(
            shown,
            [
                ("text", true, json!({"type": "string"})),
                ("count", false, json!({"type": ["integer", "null"]})),
                ("share", false, json!({"type": ["number", "null"]})),
                ("on", false, json!({"type": ["boolean", "null"]})),
                (
                    "ids",
                    false,
                    json!({"items": {"items": {"type": "integer"}, "type": "array"}, "type": ["array", "null"]})
                ),
                ("names", false, json!({"items": {"type": "string"}, "type": ["string", "array", "null"]})),
                ("mode", false, json!({"enum": ["abort", "retract", null], "type": ["string", "null"]})),
                ("more", false, json!({"type": ["object", "null"]})),
            ]
        );
    }

    #[test]
    fn without_a_recording_nothing_is_noted() {
        note("x", true, false, &|_| Ok(()));
        assert!(fields_of(|| {}).is_empty());
    }
}
