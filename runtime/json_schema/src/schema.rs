//! One schema inside its document.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::document::{Document, Target, enter};
use crate::keywords::{REFERENCES, UNIONS, is_annotation, list};
use crate::types::{JsonType, Types};

/// Most schemas that references and `allOf` may combine into one.
const MAX_PARTS: usize = 256;
/// Deeper nesting of alternatives is not followed.
const MAX_DEPTH: usize = 64;
/// Most steps for one question.
const BUDGET: usize = 1 << 14;

/// A schema inside the document in which its references are resolved. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Schema<'v> {
    document: Document<'v>,
    /// The enclosing schema with an `$id`, or the document.
    base: &'v Value,
    node: &'v Value,
}

/// The limits of one question, and the alternatives that are currently being visited.
pub(crate) struct Walk {
    path: Vec<*const Value>,
    budget: usize,
}

/// Whether a walk may enter an alternative.
pub(crate) enum Step {
    Into,
    /// It is already being visited, so it adds nothing.
    Cycle,
    /// Too deep, or the budget is used up.
    TooMuch,
}

impl Walk {
    pub(crate) fn new() -> Self {
        Self { path: Vec::new(), budget: BUDGET }
    }

    pub(crate) fn enter(&mut self, schema: &Schema<'_>) -> Step {
        let place: *const Value = schema.node;
        if self.path.contains(&place) {
            return Step::Cycle;
        }
        if self.path.len() >= MAX_DEPTH || !self.spend(1) {
            return Step::TooMuch;
        }
        self.path.push(place);
        Step::Into
    }

    pub(crate) fn leave(&mut self) {
        self.path.pop();
    }

    /// The parts of a schema; each costs a step.
    pub(crate) fn parts<'v>(&mut self, schema: &Schema<'v>) -> Vec<Schema<'v>> {
        let parts = schema.parts();
        self.spend(parts.len());
        parts
    }

    /// Takes steps from the budget; `false` if it is used up.
    pub(crate) fn spend(&mut self, steps: usize) -> bool {
        let left = self.budget.checked_sub(steps);
        self.budget = left.unwrap_or(0);
        left.is_some()
    }
}

fn add(named: &mut Vec<JsonType>, kind: JsonType) {
    if !named.contains(&kind) {
        named.push(kind);
    }
}

impl<'v> Schema<'v> {
    /// The schema that is the whole document.
    pub fn new(document: &'v Value) -> Self {
        Self { document: Document::new(document), base: document, node: document }
    }

    /// The schema as it is written.
    pub fn node(&self) -> &'v Value {
        self.node
    }

    /// Another schema whose references are resolved in this document: a part of it, or one built from its parts.
    pub fn at<'n>(&self, node: &'n Value) -> Schema<'n>
    where
        'v: 'n,
    {
        Schema { document: self.document.clone(), base: enter(node, self.base), node }
    }

    /// Resolves a reference inside this schema.
    pub fn resolve(&self, reference: &str) -> Option<Self> {
        let Target { base, node } = self.document.resolve(self.base, reference)?;
        Some(Self { document: self.document.clone(), base, node })
    }

    pub(crate) fn keywords(&self) -> Option<&'v Map<String, Value>> {
        self.node.as_object()
    }

    /// The targets of the schema's references, without those that point nowhere.
    fn targets(&self) -> impl Iterator<Item = Self> {
        let reference = |keyword: &&str| self.keywords()?.get(*keyword)?.as_str();
        REFERENCES.iter().filter_map(reference).filter_map(|place| self.resolve(place))
    }

    /// The schemas that must all hold: this one, its reference targets, its `allOf`, and theirs in turn.
    pub fn parts(&self) -> Vec<Self> {
        let (mut parts, mut seen) = (Vec::new(), HashSet::new());
        self.collect_parts(&mut parts, &mut seen);
        parts
    }

    fn collect_parts(&self, parts: &mut Vec<Self>, seen: &mut HashSet<*const Value>) {
        if parts.len() >= MAX_PARTS || !seen.insert(self.node) {
            return;
        }
        parts.push(self.clone());
        let Some(map) = self.keywords() else { return };
        self.targets().for_each(|target| target.collect_parts(parts, seen));
        list(map, "allOf").iter().for_each(|all| self.at(all).collect_parts(parts, seen));
    }

    /// The schema behind references and combinations of a single schema, as long as nothing else is said on the way.
    pub fn plain(&self) -> Self {
        let mut schema = self.clone();
        for _ in 0..MAX_DEPTH {
            let Some(map) = schema.keywords() else { break };
            let mut says = map.iter().filter(|(keyword, _)| !is_annotation(keyword));
            let (Some((keyword, value)), None) = (says.next(), says.next()) else { break };
            let next = match value {
                Value::String(place) if REFERENCES.contains(&keyword.as_str()) => schema.resolve(place),
                Value::Array(one) if keyword == "allOf" || UNIONS.contains(&keyword.as_str()) => {
                    one.first().filter(|_| one.len() == 1).map(|one| schema.at(one))
                }
                _ => None,
            };
            match next {
                Some(next) => schema = next,
                None => break,
            }
        }
        schema
    }

    /// The allowed types, by `type`, `nullable`, `enum`, `const`, references and combinations.
    pub fn types(&self) -> Types {
        self.types_in(&mut Walk::new()).unwrap_or(Types::ANY)
    }

    /// `None` for a cycle, which adds nothing.
    pub(crate) fn types_in(&self, walk: &mut Walk) -> Option<Types> {
        match walk.enter(self) {
            Step::Cycle => return None,
            Step::TooMuch => return Some(Types::ANY),
            Step::Into => {}
        }
        let types = walk.parts(self).iter().fold(Types::ANY, |all, part| all.and(part.own_types(walk)));
        walk.leave();
        Some(types)
    }

    fn own_types(&self, walk: &mut Walk) -> Types {
        let Some(map) = self.keywords() else {
            return if *self.node == Value::Bool(false) { Types::NONE } else { Types::ANY };
        };
        let mut types = match map.get("type") {
            Some(Value::String(name)) => JsonType::named(name).map_or(Types::ANY, Types::only),
            Some(Value::Array(names)) if !names.is_empty() => {
                let known: Option<Types> = names.iter().map(|name| JsonType::named(name.as_str()?)).collect();
                known.unwrap_or(Types::ANY)
            }
            _ => Types::ANY,
        };
        if map.get("nullable") == Some(&Value::Bool(true)) {
            types = types.or(Types::only(JsonType::Null));
        }
        if let Some(value) = map.get("const") {
            types = types.and(Types::only(JsonType::of(value)));
        }
        if let Some(Value::Array(values)) = map.get("enum")
            && walk.spend(values.len())
        {
            types = types.and(values.iter().map(JsonType::of).collect());
        }
        for branches in UNIONS.iter().map(|keyword| list(map, keyword)).filter(|list| !list.is_empty()) {
            let known: Vec<Types> =
                branches.iter().filter_map(|branch| self.at(branch).types_in(walk)).collect();
            if !known.is_empty() {
                types = types.and(known.into_iter().fold(Types::NONE, Types::or));
            }
        }
        types
    }

    /// The types that the schema names and allows, except null, in its order. If it names none, the type that its other
    /// keywords apply to.
    pub fn named_types(&self) -> Vec<JsonType> {
        let types = self.types();
        let mut named = self.mentioned();
        named.retain(|kind| *kind != JsonType::Null && types.has(*kind));
        named
    }

    fn mentioned(&self) -> Vec<JsonType> {
        let mut named = Vec::new();
        self.mentions(&mut Walk::new(), &mut named);
        named
    }

    /// The most likely type of a text without quotes, or `None` if the schema does not say. Null counts only if nothing
    /// else is allowed. A string wins over other alternatives, but not over an earlier name in a list of types.
    pub fn main_type(&self) -> Option<JsonType> {
        let types = self.types();
        let candidates = self.named_types();
        let is_list =
            |part: &Self| part.keywords().is_some_and(|map| map.get("type").is_some_and(Value::is_array));
        if candidates.contains(&JsonType::String) && !self.parts().iter().any(is_list) {
            return Some(JsonType::String);
        }
        let narrow = |kind: &JsonType| !matches!(kind, JsonType::String | JsonType::Null);
        let contradicting = || self.mentioned().into_iter().find(narrow).filter(|_| types.is_empty());
        let null = || (types == Types::only(JsonType::Null)).then_some(JsonType::Null);
        candidates.first().copied().or_else(contradicting).or_else(null)
    }

    /// Adds the types that the schema names, in its order; `false` if it does not restrict its type.
    fn mentions(&self, walk: &mut Walk, named: &mut Vec<JsonType>) -> bool {
        if !matches!(walk.enter(self), Step::Into) {
            return false;
        }
        let (mut said, parts) = (false, walk.parts(self));
        for part in &parts {
            let Some(map) = part.keywords() else { continue };
            let kinds =
                map.get("type").map(|kind| kind.as_array().map_or(std::slice::from_ref(kind), Vec::as_slice));
            let kinds = kinds.unwrap_or_default().iter().filter_map(|name| JsonType::named(name.as_str()?));
            let listed = if walk.spend(list(map, "enum").len()) { list(map, "enum") } else { &[] };
            let values = map.get("const").into_iter().chain(listed).map(JsonType::of);
            for kind in kinds.chain(values) {
                add(named, kind);
                said = true;
            }
            for branch in UNIONS.iter().flat_map(|keyword| list(map, keyword)) {
                said |= part.at(branch).mentions(walk, named);
            }
        }
        walk.leave();
        if let (false, Some(kind)) = (said, parts.iter().find_map(Self::implied_type)) {
            add(named, kind);
            said = true;
        }
        said
    }

    /// The type that the schema's other keywords apply to.
    fn implied_type(&self) -> Option<JsonType> {
        let has = |keywords: &[&str]| keywords.iter().any(|keyword| self.node.get(*keyword).is_some());
        if has(&["properties", "patternProperties", "additionalProperties"]) {
            Some(JsonType::Object)
        } else if has(&["items", "prefixItems", "minItems", "maxItems"]) {
            Some(JsonType::Array)
        } else if has(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]) {
            Some(JsonType::Number)
        } else {
            has(&["pattern", "format", "minLength", "maxLength"]).then_some(JsonType::String)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The main type of property `x`, in a document with some definitions.
    fn main(property: Value) -> Option<&'static str> {
        let document = json!({"properties": {"x": property}, "$defs": {
            "N": {"type": "integer"}, "S": {"type": "string"}, "O": {"properties": {}},
            "E": {"enum": [1, 2]}, "Again": {"$ref": "#/$defs/N"},
            "Loop": {"$ref": "#/$defs/Loop"}, "Tree": {"anyOf": [{"type": "array"}, {"$ref": "#/$defs/Tree"}]},
        }, "definitions": {"B": {"type": "bool"}}});
        Schema::new(&document).at(&document["properties"]["x"]).main_type().map(JsonType::name)
    }

    #[test]
    fn the_type_is_found_wherever_the_schema_states_it() {
        let reference = |name: &str| json!({"$ref": format!("#/$defs/{name}")});
        for (schema, want) in [
            (json!({"type": "integer"}), Some("integer")),
            (json!({"type": ["null", "number"]}), Some("number")),
            (json!({"type": ["integer", "string"]}), Some("integer")),
            (json!({"type": "varchar(9)"}), Some("string")),
            (json!({"anyOf": [{"type": "null"}, {"type": "object"}]}), Some("object")),
            (json!({"oneOf": [{"type": "integer"}, {"type": "string"}]}), Some("string")),
            (json!({"enum": [1, 2]}), Some("integer")),
            (json!({"enum": [1, "a"]}), Some("string")),
            (json!({"enum": [null, true]}), Some("boolean")),
            (json!({"const": 1.5}), Some("number")),
            (json!({"const": null}), Some("null")),
            (json!({"allOf": [{"type": "string"}, {"type": "array"}]}), Some("array")),
            (json!({"allOf": [{"type": "number"}, {"type": "integer"}]}), Some("integer")),
            (json!({"properties": {}}), Some("object")),
            (json!({"items": {}}), Some("array")),
            (json!({"minimum": 1}), Some("number")),
            (json!({"pattern": "a"}), Some("string")),
            (json!({}), None),
            (json!(true), None),
            (reference("N"), Some("integer")),
            (reference("Again"), Some("integer")),
            (reference("O"), Some("object")),
            (reference("E"), Some("integer")),
            (reference("Loop"), None),
            (reference("Tree"), Some("array")),
            (reference("missing"), None),
            (json!({"$ref": "#/definitions/B"}), Some("boolean")),
            (json!({"$ref": "#/$defs/N", "description": "how many"}), Some("integer")),
            (json!({"allOf": [reference("N")]}), Some("integer")),
            (json!({"allOf": [reference("N"), {"minimum": 1}]}), Some("integer")),
            (json!({"anyOf": [reference("N"), {"type": "null"}]}), Some("integer")),
            (json!({"oneOf": [{"type": "null"}, reference("Again")]}), Some("integer")),
            (json!({"anyOf": [reference("N"), reference("S")]}), Some("string")),
            (json!({"anyOf": [{"allOf": [reference("O")]}]}), Some("object")),
        ] {
            assert_eq!(main(schema.clone()), want, "{schema}");
        }
    }

    #[test]
    fn the_types_are_those_that_every_part_allows() {
        let types = |schema: Value| -> Vec<&str> {
            Schema::new(&schema).types().iter().map(JsonType::name).collect()
        };
        assert_eq!(types(json!({"type": "integer", "nullable": true})), ["null", "integer"]);
        assert_eq!(types(json!({"type": ["string", "null"], "enum": ["a", 1]})), ["string"]);
        assert_eq!(types(json!({"anyOf": [{"const": 1}, {"type": "string"}], "type": "string"})), ["string"]);
        assert_eq!(types(json!({"type": "whatever"})).len(), 6);
        assert!(types(json!(false)).is_empty());
        let loop_ = json!({"$ref": "#/$defs/A", "$defs": {"A": {"allOf": [{"$ref": "#/$defs/A"}, {"type": "array"}]}}});
        assert_eq!(types(loop_), ["array"]);
    }

    #[test]
    fn only_what_says_nothing_is_passed_by() {
        let document = json!({"$defs": {"N": {"type": "integer"}}, "properties": {
            "a": {"allOf": [{"$ref": "#/$defs/N"}], "description": "a", "default": 1},
            "b": {"$ref": "#/$defs/N", "minimum": 3}}});
        let schema = Schema::new(&document);
        assert_eq!(schema.at(&document["properties"]["a"]).plain().node(), &json!({"type": "integer"}));
        assert_eq!(schema.at(&document["properties"]["b"]).plain().node()["minimum"], 3);
    }

    #[test]
    fn a_schema_that_doubles_at_every_step_is_given_up() {
        let mut defs = Map::new();
        for i in 0..60 {
            let next = json!({"$ref": format!("#/$defs/d{}", i + 1)});
            defs.insert(format!("d{i}"), json!({"anyOf": [next, {"allOf": [next]}]}));
        }
        defs.insert("d60".into(), json!({"type": "integer"}));
        let document = json!({"$ref": "#/$defs/d0", "$defs": defs});
        let schema = Schema::new(&document);
        assert!(schema.types().has(JsonType::Integer));
        assert_eq!(schema.main_type(), Some(JsonType::Integer));
        schema.values();
        schema.properties();
    }
}
