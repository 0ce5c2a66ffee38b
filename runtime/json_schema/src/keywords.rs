//! Which keywords contain other schemas.

use serde_json::{Map, Value};

/// The form in which a keyword contains schemas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// The value is a schema (or, in old drafts, a list of schemas).
    One,
    /// The value is a list of schemas.
    List,
    /// The value is an object of schemas by name.
    Map,
}

/// The form in which `keyword` contains schemas, if it does.
pub fn holds(keyword: &str) -> Option<Holds> {
    Some(match keyword {
        "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => Holds::Map,
        "anyOf" | "oneOf" | "allOf" | "prefixItems" => Holds::List,
        "items"
        | "additionalItems"
        | "additionalProperties"
        | "not"
        | "if"
        | "then"
        | "else"
        | "contains"
        | "propertyNames"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "contentSchema" => Holds::One,
        _ => return None,
    })
}

/// Whether `keyword` is purely descriptive: it does not restrict the values that a schema allows.
pub fn is_annotation(keyword: &str) -> bool {
    const ANNOTATIONS: [&str; 16] = [
        "title",
        "description",
        "default",
        "example",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "discriminator",
        "$comment",
        "$schema",
        "$id",
        "$anchor",
        "$dynamicAnchor",
        "$defs",
        "definitions",
    ];
    ANNOTATIONS.contains(&keyword) || keyword.starts_with("x-")
}

/// The keywords whose value refers to another schema. Within one document a dynamic reference resolves like a plain
/// one.
pub(crate) const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// The keywords that combine alternatives.
pub(crate) const UNIONS: [&str; 2] = ["anyOf", "oneOf"];

/// The schemas in the list under `keyword`.
pub(crate) fn list<'v>(schema: &'v Map<String, Value>, keyword: &str) -> &'v [Value] {
    schema.get(keyword).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
