//! What an object may contain.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::keywords::{UNIONS, list};
use crate::schema::{Schema, Step, Walk};
use crate::types::{JsonType, Types};

/// At most this many variants are kept apart; beyond that, alternatives are merged.
const MAX_VARIANTS: usize = 64;

/// One property of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Property<'v> {
    /// Its name.
    pub name: &'v str,
    /// Schemas that the value must all satisfy.
    all: Vec<&'v Value>,
    /// If not empty: schemas of which the value must satisfy one.
    any: Vec<&'v Value>,
}

/// One of the forms that an object may have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variant<'v> {
    /// The properties that the schema lists, in its order.
    pub properties: Vec<Property<'v>>,
    /// The required properties, listed or not.
    pub required: Vec<&'v str>,
    /// Whether further properties are forbidden.
    pub closed: bool,
}

fn add<'v>(list: &mut Vec<&'v Value>, schema: &'v Value) {
    if !list.iter().any(|known| std::ptr::eq(*known, schema)) {
        list.push(schema);
    }
}

impl<'v> Property<'v> {
    /// The schema of the property's value, possibly combined from several; references are relative to the document.
    pub fn schema(&self) -> Cow<'v, Value> {
        match (self.all.as_slice(), self.any.as_slice()) {
            ([one], []) | ([], [one]) => Cow::Borrowed(*one),
            (all, []) => Cow::Owned(json!({"allOf": all})),
            ([], any) => Cow::Owned(json!({"anyOf": any})),
            (all, any) => {
                let union = json!({"anyOf": any});
                let parts: Vec<&Value> = all.iter().copied().chain([&union]).collect();
                Cow::Owned(json!({"allOf": parts}))
            }
        }
    }
}

impl<'v> Variant<'v> {
    /// The property called `name`.
    pub fn property(&self, name: &str) -> Option<&Property<'v>> {
        self.properties.iter().find(|property| property.name == name)
    }

    fn entry(&mut self, name: &'v str) -> &mut Property<'v> {
        let place = self.properties.iter().position(|property| property.name == name);
        let place = place.unwrap_or_else(|| {
            self.properties.push(Property { name, all: Vec::new(), any: Vec::new() });
            self.properties.len() - 1
        });
        &mut self.properties[place]
    }

    fn require(&mut self, name: &'v str) {
        if !self.required.contains(&name) {
            self.required.push(name);
        }
    }

    /// The variant for objects that satisfy both `self` and `other`.
    fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for property in &other.properties {
            let own = both.entry(property.name);
            property.all.iter().for_each(|schema| add(&mut own.all, schema));
            property.any.iter().for_each(|schema| add(&mut own.any, schema));
        }
        other.required.iter().for_each(|name| both.require(name));
        both.closed |= other.closed;
        both
    }
}

/// Merges the properties of all variants into one.
fn merged<'v>(variants: &[Variant<'v>]) -> Variant<'v> {
    let (Some(first), true) = (variants.first(), variants.len() > 1) else {
        return variants.first().cloned().unwrap_or_default();
    };
    let mut one = Variant { closed: variants.iter().all(|variant| variant.closed), ..Variant::default() };
    let common = |name: &&&'v str| variants.iter().all(|variant| variant.required.contains(name));
    one.required = first.required.iter().filter(common).copied().collect();
    for property in variants.iter().flat_map(|variant| &variant.properties) {
        let known = one.entry(property.name);
        property.all.iter().chain(&property.any).for_each(|schema| add(&mut known.any, schema));
    }
    // What all variants have in common needs no alternatives.
    for property in &mut one.properties {
        let same = first.property(property.name).filter(|own| {
            variants.iter().all(|variant| variant.property(property.name).is_some_and(|other| other == *own))
        });
        if let Some(same) = same {
            *property = same.clone();
        }
    }
    one
}

impl<'v> Schema<'v> {
    /// The forms of the objects that the schema allows: one, or one per alternative of `anyOf` and `oneOf`. Conditional
    /// properties (`then`, `else`, `dependentSchemas`) are optional in each.
    pub fn variants(&self) -> Vec<Variant<'v>> {
        self.variants_in(&mut Walk::new())
    }

    /// All properties that an object may have, in the schema's order.
    pub fn properties(&self) -> Variant<'v> {
        merged(&self.variants())
    }

    /// The schema of unlisted properties, if any.
    pub fn additional(&self) -> Option<Self> {
        self.parts().iter().find_map(|part| {
            let more = part.keywords()?.get("additionalProperties").filter(|more| more.is_object())?;
            Some(part.at(more))
        })
    }

    fn variants_in(&self, walk: &mut Walk) -> Vec<Variant<'v>> {
        if !matches!(walk.enter(self), Step::Into) {
            return Vec::new();
        }
        let mut variants = vec![Variant::default()];
        for part in walk.parts(self) {
            let Some(map) = part.keywords() else { continue };
            let own = part.own_variant(walk);
            variants.iter_mut().for_each(|variant| *variant = variant.and(&own));
            for keyword in UNIONS {
                let mut options: Vec<Variant<'v>> = Vec::new();
                for branch in list(map, keyword).iter().map(|branch| part.at(branch)) {
                    if branch.types_in(walk).unwrap_or(Types::ANY).has(JsonType::Object) {
                        options.extend(branch.variants_in(walk));
                    }
                    options.dedup();
                    if options.len() > MAX_VARIANTS {
                        options = vec![merged(&options)];
                    }
                }
                if options.is_empty() {
                    continue;
                }
                if options.len() * variants.len() > MAX_VARIANTS {
                    options = vec![merged(&options)];
                }
                variants =
                    variants.iter().flat_map(|own| options.iter().map(|option| own.and(option))).collect();
            }
        }
        walk.leave();
        variants
    }

    fn own_variant(&self, walk: &mut Walk) -> Variant<'v> {
        let mut own = Variant::default();
        let Some(map) = self.keywords() else { return own };
        let properties = map.get("properties").and_then(Value::as_object);
        if walk.spend(properties.map_or(0, serde_json::Map::len)) {
            for (name, schema) in properties.into_iter().flatten() {
                own.properties.push(Property { name, all: vec![schema], any: Vec::new() });
            }
        }
        list(map, "required").iter().filter_map(Value::as_str).for_each(|name| own.require(name));
        let refuses = |keyword: &str| map.get(keyword) == Some(&Value::Bool(false));
        own.closed = !map.contains_key("patternProperties")
            && (refuses("additionalProperties") || refuses("unevaluatedProperties"));
        let dependent = map.get("dependentSchemas").and_then(Value::as_object);
        let conditional = ["then", "else"].iter().filter_map(|keyword| map.get(*keyword));
        for schema in conditional.chain(dependent.into_iter().flat_map(|map| map.values())) {
            for property in merged(&self.at(schema).variants_in(walk)).properties {
                if own.property(property.name).is_none() {
                    own.properties.push(property);
                }
            }
        }
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(document: &Value) -> Value {
        let properties = Schema::new(document).properties().properties;
        properties.iter().map(|property| (property.name.to_owned(), property.schema().into_owned())).collect()
    }

    #[test]
    fn properties_come_from_every_part() {
        let base = json!({"$defs": {"Base": {"properties": {"id": {"type": "integer"}}, "required": ["id"]}},
            "allOf": [{"$ref": "#/$defs/Base"}], "properties": {"name": {"type": "string"}}, "required": ["name"]});
        assert_eq!(listed(&base), json!({"name": {"type": "string"}, "id": {"type": "integer"}}));
        assert_eq!(Schema::new(&base).properties().required, ["name", "id"]);
        let root = json!({"$ref": "#/definitions/R", "definitions": {"R": {"properties": {"a": {}}}}});
        assert_eq!(listed(&root), json!({"a": {}}));
        let narrowed = json!({"properties": {"a": {"type": "number"}}, "allOf": [{"properties": {"a": {"minimum": 1}}}]});
        assert_eq!(listed(&narrowed), json!({"a": {"allOf": [{"type": "number"}, {"minimum": 1}]}}));
        let conditional = json!({"properties": {"a": {}}, "if": {"required": ["a"]}, "then": {"properties": {"b": {}}},
            "dependentSchemas": {"a": {"properties": {"c": {}}}}});
        assert_eq!(listed(&conditional), json!({"a": {}, "b": {}, "c": {}}));
    }

    #[test]
    fn alternatives_are_variants_and_their_properties_alternatives() {
        let document = json!({"$defs": {"B": {"properties": {"kind": {"const": "b"}, "v": {"type": "string"}}}}, "oneOf": [
            {"properties": {"kind": {"const": "a"}, "v": {"type": "integer"}}, "required": ["kind", "v"]},
            {"$ref": "#/$defs/B"}, {"type": "null"}]});
        let schema = Schema::new(&document);
        let variants = schema.variants();
        assert_eq!(variants.len(), 2);
        assert_eq!((variants[0].required.len(), variants[1].required.len()), (2, 0));
        let merged = schema.properties();
        let value = merged.property("v").unwrap().schema();
        assert_eq!(*value, json!({"anyOf": [{"type": "integer"}, {"type": "string"}]}));
        assert!(merged.required.is_empty());
        let tree = json!({"$ref": "#/$defs/T", "$defs": {"T": {"properties": {"l": {"$ref": "#/$defs/T"}},
            "anyOf": [{"$ref": "#/$defs/T"}, {"properties": {"n": {}}}]}}});
        assert_eq!(Schema::new(&tree).properties().properties.len(), 2);
    }

    #[test]
    fn an_object_is_closed_only_where_nothing_else_may_be_there() {
        let closed = |document: Value| Schema::new(&document).properties().closed;
        assert!(closed(json!({"properties": {}, "additionalProperties": false})));
        assert!(!closed(json!({"properties": {}})));
        assert!(!closed(json!({"additionalProperties": false, "patternProperties": {"^x": {}}})));
        assert!(!closed(json!({"anyOf": [{"additionalProperties": false}, {"properties": {}}]})));
    }

    #[test]
    fn what_is_not_listed_may_have_a_schema() {
        let document = json!({"$ref": "#/$defs/M", "$defs": {"M": {"additionalProperties": {"$ref": "#/$defs/N"}}, "N":
            {"type": "integer"}}});
        let more = Schema::new(&document).additional().unwrap();
        assert_eq!(more.main_type(), Some(JsonType::Integer));
        assert!(Schema::new(&json!({"additionalProperties": true})).additional().is_none());
    }

    #[test]
    fn too_many_variants_become_one() {
        let union = json!([{"properties": {"a": {}}}, {"properties": {"b": {}}}, {"properties": {"c": {}}}]);
        let all: Vec<Value> = (0..8).map(|_| json!({"anyOf": union})).collect();
        let document = json!({"allOf": all});
        let schema = Schema::new(&document);
        assert!(schema.variants().len() <= MAX_VARIANTS);
        assert_eq!(schema.properties().properties.len(), 3);
    }
}
