//! Finds out which bodies a route accepts, from the code that reads them. While a recording runs, every field that a
//! reader asks for is noted, with the JSON types that the reader accepts; likewise every key of nested objects. The
//! OpenAPI document is generated from this, so it always agrees with the parser.

use std::cell::{Cell, RefCell};

use serde_json::{Map, Value, json};

use super::field_schema::{add_null, is_anything, join, take_null};
use super::mismatch::Mismatch;

/// A field as recorded from its reader.
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
    /// The current depth of nested objects.
    static NESTING: Cell<usize> = const { Cell::new(0) };
}

/// How many levels of nested lists are examined.
const DEPTH: usize = 3;
/// How many levels of nested objects are examined.
const MAX_NESTING: usize = 4;
/// A string that no reader knows.
const NONSENSE: &str = "\u{1}nothing";

type Try<'a> = &'a dyn Fn(&Value) -> Result<(), Mismatch>;

/// Whether a reader requires a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A body without it is refused.
    Required,
    /// It may be left out or null.
    Optional,
}

/// The fields that `read` asks for, in its order.
pub fn fields_of(read: impl FnOnce()) -> Vec<FieldShape> {
    let outer = FIELDS.replace(Some(Vec::new()));
    read();
    FIELDS.replace(outer).unwrap_or_default()
}

/// Reads the value of a field. Fields that its reader asks for belong to the value, not to the body.
pub(super) fn apart<T>(read: impl FnOnce() -> T) -> T {
    let outer = FIELDS.take();
    let value = read();
    FIELDS.set(outer);
    value
}

/// The JSON schema of a body with these fields. Other fields are ignored, as everywhere in this API.
pub fn object_schema(fields: &[FieldShape]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.name.to_owned(), field.schema.clone())).collect();
    let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// Notes a field while a recording runs. `sample` is the field's value in the body.
pub(super) fn note(name: &'static str, asked: Asked, sample: Option<&Value>, read: Try<'_>) {
    // Removed for now, so that fields that the reader itself asks for are not noted as fields of the body.
    let Some(mut fields) = FIELDS.take() else { return };
    let required = asked == Asked::Required;
    let known = fields.iter().position(|field| field.name == name);
    match known.and_then(|at| fields.get_mut(at)) {
        None => {
            let mut schema = schema_of(read, sample, DEPTH);
            if !required {
                add_null(&mut schema);
            }
            fields.push(FieldShape { name, required, schema });
        }
        // The field is asked for again: the first reader only checked whether it is present.
        Some(field) if is_anything(&field.schema) => {
            field.required |= required;
            field.schema = schema_of(read, sample, DEPTH);
            if !field.required {
                add_null(&mut field.schema);
            }
        }
        Some(field) => {
            // The field has one reader for its value and one for its absence.
            if required && !field.required {
                field.required = true;
                take_null(&mut field.schema);
            }
            // Another sample may show further forms.
            if sample.is_some() {
                let mut more = schema_of(read, sample, DEPTH);
                if !field.required {
                    add_null(&mut more);
                }
                field.schema = join(std::mem::take(&mut field.schema), more);
            }
        }
    }
    FIELDS.set(Some(fields));
}

/// Adds a description to a noted field.
pub(super) fn describe(name: &str, help: &str) {
    FIELDS.with_borrow_mut(|fields| {
        if let Some(field) = fields.iter_mut().flatten().find(|field| field.name == name) {
            field.schema["description"] = help.into();
        }
    });
}

/// The schema of the values that `read` accepts. `sample` shows forms that cannot be guessed.
fn schema_of(read: Try<'_>, sample: Option<&Value>, depth: usize) -> Value {
    if takes_anything(read) {
        return json!({});
    }
    let takes = |value: Value| read(&value).is_ok();
    let mut types: Vec<&str> = Vec::new();
    let mut schema = Map::new();
    let words = read(&json!(NONSENSE)).err().map(Mismatch::into_words).unwrap_or_default();
    let words: Vec<String> = words.into_iter().filter(|word| takes(json!(word))).collect();
    // A list of words would exclude the other forms.
    let has_other_forms = takes(json!({})) || takes(json!([])) || takes(json!(0)) || is_nested(sample);
    if takes(json!(NONSENSE)) {
        types.push("string");
    } else if !words.is_empty() {
        if !has_other_forms {
            schema.insert("enum".into(), json!(words));
        }
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
    let list = sample.filter(|value| value.is_array());
    if depth > 0
        && (takes(json!([])) || list.is_some() || SAMPLES.iter().any(|sample| takes(json!([sample()]))))
    {
        types.push("array");
        let item = |value: &Value| read(&json!([value]));
        schema.insert("items".into(), item_schema(&item, list, depth - 1));
    }
    let object = sample.and_then(Value::as_object);
    if takes(json!({})) || object.is_some() {
        types.push("object");
        add_keys(&mut schema, read, object);
    }
    // Accepts some strings, but not every string.
    if sample.is_some_and(|value| value.is_string() && read(value).is_ok()) && !types.contains(&"string") {
        types.push("string");
    }
    match types.as_slice() {
        [] => {}
        [one] => drop(schema.insert("type".into(), (*one).into())),
        several => drop(schema.insert("type".into(), json!(several))),
    }
    Value::Object(schema)
}

/// The schema of the items of a list. It accepts whatever the schemas of all samples accept.
fn item_schema(item: Try<'_>, samples: Option<&Value>, depth: usize) -> Value {
    let samples = samples.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let first = schema_of(item, samples.first(), depth);
    samples.iter().skip(1).fold(first, |schema, sample| join(schema, schema_of(item, Some(sample), depth)))
}

/// Adds the keys of an object: those that its reader asks for, and those of the sample, which are tried one by one.
fn add_keys(schema: &mut Map<String, Value>, read: Try<'_>, sample: Option<&Map<String, Value>>) {
    if NESTING.get() >= MAX_NESTING {
        return;
    }
    NESTING.set(NESTING.get() + 1);
    let sample = sample.cloned().unwrap_or_default();
    let noted = fields_of(|| {
        for object in [sample.clone(), Map::new()] {
            drop(read(&Value::Object(object)));
        }
    });
    let mut keys: Map<String, Value> =
        noted.into_iter().map(|key| (key.name.to_owned(), key.schema)).collect();
    let mut required = Vec::new();
    // An object that is passed on unchanged has the client's own keys, which do not belong in the schema.
    let mut has_meaning = !keys.is_empty();
    if read(&Value::Object(sample.clone())).is_ok() {
        for (key, value) in &sample {
            let with = |value: &Value| {
                let mut object = sample.clone();
                object.insert(key.clone(), value.clone());
                read(&Value::Object(object))
            };
            let mut without = sample.clone();
            without.shift_remove(key);
            let is_needed = read(&Value::Object(without)).is_err();
            has_meaning |= is_needed || !takes_anything(&with);
            if is_needed {
                required.push(Value::from(key.as_str()));
            }
            if !keys.contains_key(key) {
                let mut schema = schema_of(&with, Some(value), DEPTH);
                if with(&Value::Null).is_ok() {
                    add_null(&mut schema);
                }
                keys.insert(key.clone(), schema);
            }
        }
    }
    NESTING.set(NESTING.get() - 1);
    if has_meaning {
        schema.insert("properties".into(), keys.into());
    }
    if !required.is_empty() {
        schema.insert("required".into(), required.into());
    }
}

/// Whether `read` accepts values of every kind.
fn takes_anything(read: Try<'_>) -> bool {
    let every_kind = [json!(null), json!(NONSENSE), json!(2.5), json!(true), json!([]), json!({})];
    every_kind.iter().all(|value| read(value).is_ok())
}

/// Whether a value is a list or an object.
fn is_nested(sample: Option<&Value>) -> bool {
    sample.is_some_and(|value| value.is_array() || value.is_object())
}

/// One value for each kind of item that a list can have.
const SAMPLES: [fn() -> Value; 6] =
    [|| json!(NONSENSE), || json!(2), || json!(0.5), || json!(true), || json!({}), || json!([2])];

/// Whether `read` accepts booleans, and numbers only as other forms of them.
fn only_truth(read: Try<'_>) -> bool {
    read(&json!(true)).is_ok() && read(&json!(2)).is_err()
}

#[cfg(test)]
mod tests {
    use super::super::validation::{
        Fields, Mismatch, Read, boolean, float, int, list, object, optional_key, string,
    };
    use super::*;

    fn mode(value: &Value) -> Read<String> {
        match value.as_str() {
            Some(mode @ ("abort" | "retract")) => Ok(mode.to_owned()),
            _ => Err(Mismatch::literal(&["abort", "retract"], value)),
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
                // Asks for keys of the object, not for fields of the body.
                let inner = object(v)?;
                optional_key(&inner, "inner", string)?;
                optional_key(&inner, "deep", |v| optional_key(&object(v)?, "deepest", boolean))?;
                Ok(())
            });
            f.optional("count", string);
            f.has("anything");
            // Checked before it is read.
            f.has("late");
            f.optional("late", int);
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
                (
                    "more",
                    false,
                    json!({"type": ["object", "null"], "properties": {
                        "inner": {"type": ["string", "null"]},
                        "deep": {"type": ["object", "null"],
                            "properties": {"deepest": {"type": ["boolean", "null"]}}},
                    }})
                ),
                ("anything", false, json!({})),
                ("late", false, json!({"type": ["integer", "null"]})),
            ]
        );
    }

    #[test]
    fn a_field_has_a_description_where_its_reader_gives_one() {
        let fields = fields_of(|| {
            let map = Map::new();
            Fields::of_body(&map).optional("n", int);
            describe("n", "How many.");
            describe("unknown", "Nothing.");
        });
        assert_eq!(fields.len(), 1);
        assert_eq!(fields[0].schema, json!({"type": ["integer", "null"], "description": "How many."}));
    }

    #[test]
    fn without_a_recording_nothing_is_noted() {
        note("x", Asked::Required, None, &|_| Ok(()));
        assert!(fields_of(|| {}).is_empty());
    }

    #[test]
    fn samples_show_the_forms_that_the_empty_ones_do_not() {
        fn part(value: &Value) -> Read<String> {
            let map = object(value)?;
            let text = map.get("text").ok_or_else(|| Mismatch::missing("text", value))?;
            optional_key(&map, "detail", string)?;
            string(text)
        }
        let body = json!({"parts": [{"text": "a"}, {"text": "b"}], "choice": {"text": "x"}});
        let body = body.as_object().unwrap();
        let fields = fields_of(|| {
            for body in [body, &Map::new()] {
                let mut f = Fields::of_body(body);
                if f.required("parts", list(part)).is_some() {
                    f.optional("choice", |v| part(v).or_else(|_| mode(v)));
                }
                // Read if it is present, and required if it is not.
                match f.map().get("input") {
                    None => drop(f.required("input", string)),
                    Some(_) => drop(f.optional("input", string)),
                }
            }
        });
        let schema = object_schema(&fields);
        assert_eq!(schema["required"], json!(["parts", "input"]));
        let properties = &schema["properties"];
        let parts = json!({"detail": {"type": ["string", "null"]}, "text": {"type": "string"}});
        assert_eq!(properties["parts"]["items"]["properties"], parts);
        assert_eq!(properties["parts"]["items"]["required"], json!(["text"]));
        assert_eq!(properties["choice"]["type"], json!(["string", "object", "null"]));
        assert_eq!(properties["choice"].get("enum"), None, "words would forbid the object");
    }
}
