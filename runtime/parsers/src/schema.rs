//! What a tool's schema says about the tool's arguments.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use sglang_json_schema::{JsonType, Schema, Types};

use crate::json::{normalise, quote};
use crate::python_literal::literal_to_json;

/// Longer lists of allowed values are ignored when a value is read.
const MAX_VALUES: usize = 4096;

/// What a schema says about one argument.
#[derive(Debug, Default)]
pub(crate) struct Parameter {
    main: Option<JsonType>,
    named: Vec<JsonType>,
    nullable: bool,
    values: Option<Vec<Value>>,
}

impl Parameter {
    pub(crate) fn new(schema: &Schema<'_>) -> Self {
        let types = schema.types();
        let values = schema.values().filter(|values| values.len() <= MAX_VALUES);
        Self {
            main: schema.main_type(),
            named: schema.named_types(),
            nullable: types != Types::ANY && types.has(JsonType::Null),
            values: values.map(|values| values.into_iter().cloned().collect()),
        }
    }

    /// The most likely type of a bare text.
    pub(crate) fn main(&self) -> Option<JsonType> {
        self.main
    }

    /// Whether the schema names the type `kind`.
    pub(crate) fn names(&self, kind: JsonType) -> bool {
        self.named.contains(&kind)
    }

    /// The types that the schema names, except null, in its order.
    pub(crate) fn named(&self) -> &[JsonType] {
        &self.named
    }

    /// Whether null is one of the values that the schema allows.
    pub(crate) fn nullable(&self) -> bool {
        self.nullable
    }

    /// The argument as JSON if the schema allows only one reading of `raw`: one of its listed values, or null.
    pub(crate) fn settled(&self, raw: &str) -> Option<String> {
        let word = raw.trim();
        let values = self.values.as_deref().unwrap_or_default();
        if let Some(text) = [raw, word].into_iter().find(|text| values.iter().any(|value| value == text)) {
            return Some(quote(text));
        }
        if self.nullable && word == "null" {
            return Some("null".to_owned());
        }
        if values.is_empty() {
            return None;
        }
        let json = normalise(raw).or_else(|| literal_to_json(raw))?;
        let value: Value = serde_json::from_str(&json).ok()?;
        values.contains(&value).then_some(json)
    }
}

/// The arguments that a tool's schema describes. References and combinations are followed, at the root too.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    document: Value,
    properties: HashMap<String, Value>,
    closed: bool,
    known: HashMap<String, Option<Arc<Parameter>>>,
}

impl Parameters {
    pub(crate) fn new(schema: Option<&Value>) -> Self {
        let Some(document) = schema else { return Self::default() };
        let listed = Schema::new(document).properties();
        let properties = listed.properties.iter();
        Self {
            document: document.clone(),
            properties: properties.map(|p| (p.name.to_owned(), p.schema().into_owned())).collect(),
            closed: listed.closed,
            known: HashMap::new(),
        }
    }

    /// As [`new`](Self::new), but a schema without `properties` is read as the map of properties.
    pub(crate) fn or_bare(schema: Option<&Value>) -> Self {
        let mut parameters = Self::new(schema);
        if let (true, Value::Object(map)) = (parameters.properties.is_empty(), &parameters.document)
            && !map.contains_key("properties")
        {
            let members = map.iter().filter(|(_, member)| member.is_object());
            parameters.properties = members.map(|(name, member)| (name.clone(), member.clone())).collect();
        }
        parameters
    }

    /// Whether the schema lists any arguments.
    pub(crate) fn lists_any(&self) -> bool {
        !self.properties.is_empty()
    }

    /// Whether the schema lists the argument `name`.
    pub(crate) fn lists(&self, name: &str) -> bool {
        self.properties.contains_key(name)
    }

    /// Whether an argument may be called `name`.
    pub(crate) fn allows(&self, name: &str) -> bool {
        !self.closed || self.lists(name)
    }

    /// What the schema says about the argument `name`; `None` if it does not list the name.
    pub(crate) fn get(&mut self, name: &str) -> Option<Arc<Parameter>> {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        let schema = Schema::new(&self.document);
        let parameter = match self.properties.get(name) {
            Some(property) => Some(Parameter::new(&schema.at(property))),
            None => schema.additional().map(|more| Parameter::new(&more)),
        };
        let parameter = parameter.map(Arc::new);
        self.known.insert(name.to_owned(), parameter.clone());
        parameter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn listed_values_and_null_are_read_as_what_they_are() {
        let settled =
            |schema: Value, raw: &str| Parameter::new(&Schema::new(&schema)).settled(raw).unwrap_or_default();
        let mixed = json!({"enum": ["a", "1", 2, true, null]});
        for (raw, want) in [
            ("a", "\"a\""),
            (" a\n", "\"a\""),
            ("\"a\"", "\"a\""),
            ("1", "\"1\""),
            ("2", "2"),
            ("True", "true"),
            ("null", "null"),
            ("b", ""),
        ] {
            assert_eq!(settled(mixed.clone(), raw), want, "{raw}");
        }
        assert_eq!(settled(json!({"type": ["string", "null"]}), "null"), "null");
        assert_eq!(settled(json!({"type": "string", "nullable": true}), "null"), "null");
        assert_eq!(settled(json!({"type": "string"}), "null"), "");
        assert_eq!(settled(json!({}), "null"), "");
        assert_eq!(settled(json!({"const": "null"}), "null"), "\"null\"");
    }

    #[test]
    fn arguments_are_found_behind_references_and_a_name_that_is_not_listed_may_have_a_schema() {
        let tool = json!({"$ref": "#/$defs/Args", "$defs": {"Args": {"allOf": [{"$ref": "#/$defs/Base"}],
            "properties": {"n": {"$ref": "#/$defs/N"}}, "additionalProperties": {"type": "boolean"}},
            "Base": {"properties": {"o": {"properties": {}}}}, "N": {"type": "integer"}}});
        let mut parameters = Parameters::new(Some(&tool));
        let mut main = |name: &str| parameters.get(name).and_then(|parameter| parameter.main());
        assert_eq!(main("n"), Some(JsonType::Integer));
        assert_eq!(main("o"), Some(JsonType::Object));
        assert_eq!(main("x"), Some(JsonType::Boolean));
        assert!(parameters.lists("o") && !parameters.lists("x") && parameters.allows("x"));
        let closed = json!({"properties": {"a": {}}, "additionalProperties": false});
        assert!(!Parameters::new(Some(&closed)).allows("x"));
    }

    #[test]
    fn a_schema_without_properties_may_be_taken_for_them() {
        let bare = json!({"n": {"type": "integer"}});
        assert_eq!(Parameters::or_bare(Some(&bare)).get("n").unwrap().main(), Some(JsonType::Integer));
        assert!(Parameters::new(Some(&bare)).get("n").is_none());
        assert!(Parameters::or_bare(None).get("n").is_none());
        let root = json!({"$ref": "#/$defs/R", "$defs": {"R": {"properties": {"n": {"type": "null"}}}}});
        assert_eq!(Parameters::or_bare(Some(&root)).get("n").unwrap().main(), Some(JsonType::Null));
    }
}
