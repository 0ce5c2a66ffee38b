//! Negates schemas.

use serde_json::{Map, Value, json};
use sglang_json_schema::{JsonType, is_annotation};

use super::words::{Forbid, all_but};
use super::{Rewriter, pattern};

/// Schemas nested deeper than this are not negated.
const MAX_DEPTH: usize = 12;
/// The types, which are mutually exclusive.
const TYPES: [&str; 6] = ["null", "boolean", "number", "string", "array", "object"];

/// A schema for what another one does not allow.
pub(super) struct Negation {
    pub(super) schema: Value,
    /// Whether it allows nothing else.
    pub(super) exact: bool,
}

fn exactly(schema: Value) -> Option<Negation> {
    Some(Negation { schema, exact: true })
}

impl Rewriter<'_> {
    /// The negation of `schema`, or something wider; `None` if it cannot be expressed.
    pub(super) fn negation(&mut self, schema: &Value) -> Option<Negation> {
        self.negation_at(schema, 0)
    }

    fn negation_at(&mut self, schema: &Value, depth: usize) -> Option<Negation> {
        self.budget = self.budget.checked_sub(1)?;
        if depth > MAX_DEPTH {
            return None;
        }
        let map = match schema {
            Value::Bool(all) => return exactly(Value::Bool(!all)),
            Value::Object(map) => map,
            _ => return None,
        };
        // The negation of "all of" is "not this, or not that".
        let mut branches = Vec::new();
        let mut exact = true;
        for (keyword, value) in map.iter().filter(|(keyword, _)| !is_annotation(keyword)) {
            let negation = self.keyword_negation(keyword, value, map, depth)?;
            exact &= negation.exact;
            branches.push(negation.schema);
        }
        match branches.len() {
            0 => exactly(Value::Bool(false)),
            1 => Some(Negation { schema: branches.remove(0), exact }),
            _ => Some(Negation { schema: json!({"anyOf": branches}), exact }),
        }
    }

    fn keyword_negation(
        &mut self,
        keyword: &str,
        value: &Value,
        map: &Map<String, Value>,
        depth: usize,
    ) -> Option<Negation> {
        match keyword {
            "type" => types(value),
            "const" => Some(values(std::slice::from_ref(value))),
            "enum" => Some(values(value.as_array()?)),
            "minimum" if !flag(map, "exclusiveMinimum") => {
                exactly(json!({"type": "number", "exclusiveMaximum": value}))
            }
            "maximum" if !flag(map, "exclusiveMaximum") => {
                exactly(json!({"type": "number", "exclusiveMinimum": value}))
            }
            "exclusiveMinimum" if value.is_number() => exactly(json!({"type": "number", "maximum": value})),
            "exclusiveMaximum" if value.is_number() => exactly(json!({"type": "number", "minimum": value})),
            "minLength" => below("string", "maxLength", value),
            "maxLength" => above("string", "minLength", value),
            "minItems" => below("array", "maxItems", value),
            "maxItems" => above("array", "minItems", value),
            "minProperties" => below("object", "maxProperties", value),
            "maxProperties" => above("object", "minProperties", value),
            "pattern" => exactly(json!({"type": "string", "pattern": pattern::complement(value.as_str()?)?})),
            "required" => {
                let names: Vec<&str> = value.as_array()?.iter().filter_map(Value::as_str).collect();
                let without = |name: &&str| json!({"type": "object", "properties": {*name: false}});
                exactly(any_of(names.iter().map(without).collect()))
            }
            "properties" => {
                let mut exact = true;
                let mut branches = Vec::new();
                for (name, schema) in value.as_object()? {
                    let negation = self.negation_at(schema, depth + 1);
                    exact &= negation.as_ref().is_some_and(|negation| negation.exact);
                    let schema = negation.map_or(Value::Bool(true), |negation| negation.schema);
                    if schema != Value::Bool(false) {
                        branches.push(
                            json!({"type": "object", "properties": {name: schema}, "required": [name]}),
                        );
                    }
                }
                Some(Negation { schema: any_of(branches), exact })
            }
            "$ref" => {
                let target = self.document.resolve(value.as_str()?)?;
                self.negation_at(target.node(), depth + 1)
            }
            "allOf" => {
                let branches: Option<Vec<Negation>> =
                    value.as_array()?.iter().map(|schema| self.negation_at(schema, depth + 1)).collect();
                let branches = branches?;
                let exact = branches.iter().all(|branch| branch.exact);
                Some(Negation {
                    schema: any_of(branches.into_iter().map(|branch| branch.schema).collect()),
                    exact,
                })
            }
            "anyOf" | "oneOf" => {
                let list = value.as_array()?;
                let parts: Vec<Negation> =
                    list.iter().filter_map(|schema| self.negation_at(schema, depth + 1)).collect();
                let exact = parts.len() == list.len() && parts.iter().all(|part| part.exact);
                let parts: Vec<Value> = parts.into_iter().map(|part| part.schema).collect();
                (!parts.is_empty()).then(|| Negation { schema: json!({"allOf": parts}), exact })
            }
            "not" => exactly(value.clone()),
            _ => None,
        }
    }
}

fn flag(map: &Map<String, Value>, keyword: &str) -> bool {
    map.get(keyword) == Some(&Value::Bool(true))
}

fn any_of(mut branches: Vec<Value>) -> Value {
    match branches.len() {
        0 => Value::Bool(false),
        1 => branches.remove(0),
        _ => json!({"anyOf": branches}),
    }
}

/// Arrays, strings or objects with fewer than `count` parts.
fn below(kind: &str, keyword: &str, count: &Value) -> Option<Negation> {
    match count.as_u64()? {
        0 => exactly(Value::Bool(false)),
        count => exactly(json!({"type": kind, keyword: count - 1})),
    }
}

/// Arrays, strings or objects with more than `count` parts.
fn above(kind: &str, keyword: &str, count: &Value) -> Option<Negation> {
    exactly(json!({"type": kind, keyword: count.as_u64()?.checked_add(1)?}))
}

fn types(value: &Value) -> Option<Negation> {
    let names = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    let names: Vec<&str> = names.iter().map(Value::as_str).collect::<Option<_>>()?;
    let others: Vec<&str> = TYPES.into_iter().filter(|kind| !names.contains(kind)).collect();
    // "Numbers with a fraction" cannot be expressed, so excluding the integers excludes all numbers.
    let integers = names.contains(&"integer");
    let others: Vec<&str> = others.into_iter().filter(|kind| !integers || *kind != "number").collect();
    exactly(if others.is_empty() { Value::Bool(false) } else { json!({"type": others}) })
}

/// Everything except these values.
fn values(listed: &[Value]) -> Negation {
    let mut exact = true;
    let mut branches = Vec::new();
    let is = |kind: JsonType| listed.iter().filter(move |value| JsonType::of(value) == kind);
    if is(JsonType::Null).next().is_none() {
        branches.push(json!({"type": "null"}));
    }
    let booleans: Vec<bool> =
        [true, false].into_iter().filter(|value| !listed.contains(&Value::Bool(*value))).collect();
    if !booleans.is_empty() {
        branches.push(json!({"enum": booleans}));
    }
    branches.extend(numbers(listed));
    let words = is(JsonType::String).filter_map(Value::as_str);
    match all_but(words, Forbid::Whole) {
        Some(pattern) if is(JsonType::String).next().is_some() => {
            branches.push(json!({"type": "string", "pattern": pattern}));
        }
        said => {
            exact &= said.is_some();
            branches.push(json!({"type": "string"}));
        }
    }
    for (kind, name) in [(JsonType::Array, "array"), (JsonType::Object, "object")] {
        exact &= is(kind).next().is_none();
        branches.push(json!({"type": name}));
    }
    Negation { schema: json!({"anyOf": branches}), exact }
}

/// The ranges between the numbers.
fn numbers(listed: &[Value]) -> Vec<Value> {
    let mut numbers: Vec<&Value> = listed.iter().filter(|value| value.is_number()).collect();
    let double = |value: &Value| value.as_f64().unwrap_or_default();
    numbers.sort_by(|a, b| double(a).total_cmp(&double(b)));
    let ends = numbers.iter().map(Some).chain([None]);
    let starts = [None].into_iter().chain(numbers.iter().map(Some));
    let range = |(start, end): (Option<&&Value>, Option<&&Value>)| {
        let mut range = Map::from_iter([("type".to_owned(), json!("number"))]);
        range.extend(start.map(|start| ("exclusiveMinimum".to_owned(), (*start).clone())));
        range.extend(end.map(|end| ("exclusiveMaximum".to_owned(), (*end).clone())));
        Value::Object(range)
    };
    starts.zip(ends).map(range).collect()
}
