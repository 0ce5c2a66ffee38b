//! Copies schemas out of their documents.

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::{Map, Value};

use crate::keywords::{Holds, REFERENCES, holds};
use crate::schema::Schema;

/// Most schemas that a bundle may copy.
const MAX_SCHEMAS: usize = 1 << 17;

/// Names of a schema and the definitions beside it are not copied: a bundle makes its own.
const DROPPED: [&str; 6] = ["$id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$defs", "definitions"];

/// The bundle would have to copy too many schemas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the schema is too large: its references lead to more than {MAX_SCHEMAS} schemas")]
pub struct TooLarge;

/// Copies of schemas in which every reference that can be resolved is `#/$defs/NAME`, with the definitions that they
/// need. Names consist of letters, digits, `_`, `-` and `.`. Schemas from several documents may share a bundle. A
/// reference that points nowhere stays as it is.
#[derive(Debug, Default)]
pub struct Bundle<'v> {
    definitions: Map<String, Value>,
    /// The name of each schema that is referred to.
    names: HashMap<*const Value, String>,
    taken: HashSet<String>,
    waiting: VecDeque<(String, Schema<'v>)>,
    copied: usize,
}

impl<'v> Bundle<'v> {
    /// Copies `schema`, and everything that it refers to into the definitions.
    ///
    /// # Errors
    /// If too many schemas would have to be copied.
    pub fn add(&mut self, schema: &Schema<'v>) -> Result<Value, TooLarge> {
        let copy = self.copy(schema)?;
        while let Some((name, target)) = self.waiting.pop_front() {
            let target = self.copy(&target)?;
            self.definitions.insert(name, target);
        }
        Ok(copy)
    }

    /// The definitions that the copies refer to, for the `$defs` of the document that will contain them.
    pub fn definitions(self) -> Map<String, Value> {
        self.definitions
    }

    fn copy(&mut self, schema: &Schema<'v>) -> Result<Value, TooLarge> {
        self.copied += 1;
        if self.copied > MAX_SCHEMAS {
            return Err(TooLarge);
        }
        let Some(map) = schema.keywords() else { return Ok(schema.node().clone()) };
        let mut out = Map::with_capacity(map.len());
        for (keyword, value) in map {
            let copy = match (holds(keyword), value) {
                _ if DROPPED.contains(&keyword.as_str()) => continue,
                (_, Value::String(place)) if REFERENCES.contains(&keyword.as_str()) => {
                    if let Some(target) = schema.resolve(place) {
                        let name = self.name(target, place);
                        out.insert("$ref".into(), format!("#/$defs/{name}").into());
                        continue;
                    }
                    value.clone()
                }
                (Some(Holds::Map), Value::Object(schemas)) => {
                    let copies = schemas
                        .iter()
                        .map(|(name, inner)| Ok((name.clone(), self.copy(&schema.at(inner))?)))
                        .collect::<Result<Map<_, _>, _>>()?;
                    Value::Object(copies)
                }
                (Some(Holds::List | Holds::One), Value::Array(schemas)) => {
                    let copies = schemas.iter().map(|inner| self.copy(&schema.at(inner)));
                    Value::Array(copies.collect::<Result<_, _>>()?)
                }
                (Some(Holds::One), inner) => self.copy(&schema.at(inner))?,
                _ => value.clone(),
            };
            out.insert(keyword.clone(), copy);
        }
        Ok(Value::Object(out))
    }

    /// The name of a definition; a new one is queued for copying.
    fn name(&mut self, target: Schema<'v>, place: &str) -> String {
        let key: *const Value = target.node();
        if let Some(name) = self.names.get(&key) {
            return name.clone();
        }
        let last = place.rsplit(['/', '#']).next().unwrap_or_default();
        let last: String = last
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' })
            .collect();
        let stem = if last.is_empty() { "root".to_owned() } else { last };
        let mut name = stem.clone();
        let mut number = 1;
        while !self.taken.insert(name.clone()) {
            number += 1;
            name = format!("{stem}.{number}");
        }
        self.names.insert(key, name.clone());
        self.waiting.push_back((name.clone(), target));
        name
    }
}

impl Schema<'_> {
    /// This schema as a self-contained document: see [`Bundle`].
    ///
    /// # Errors
    /// If its references lead to too many schemas.
    pub fn bundled(&self) -> Result<Value, TooLarge> {
        let mut bundle = Bundle::default();
        let mut copy = bundle.add(self)?;
        let definitions = bundle.definitions();
        if let (Value::Object(map), false) = (&mut copy, definitions.is_empty()) {
            map.insert("$defs".into(), definitions.into());
        }
        Ok(copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_part_is_copied_with_all_that_it_needs_and_nothing_else() {
        let document = json!({"properties": {"x": {"$ref": "#/$defs/List<é>"}, "y": {"$ref": "#/properties/x"}},
            "$defs": {"List<é>": {"items": {"$ref": "#/$defs/List<é>"}, "$anchor": "list"}, "unused": {"type": "null"}}});
        let schema = Schema::new(&document);
        let bundled = schema.at(&document["properties"]["y"]).bundled().unwrap();
        assert_eq!(
            bundled,
            json!({"$ref": "#/$defs/x", "$defs": {"x": {"$ref": "#/$defs/List___"},
                "List___": {"items": {"$ref": "#/$defs/List___"}}}})
        );
        let whole = json!({"properties": {"self": {"$ref": "#"}, "$ref": {"const": {"$ref": "#"}}}});
        assert_eq!(
            Schema::new(&whole).bundled().unwrap(),
            json!({"properties": {"self": {"$ref": "#/$defs/root"}, "$ref": {"const": {"$ref": "#"}}},
                "$defs": {"root": {"properties": {"self": {"$ref": "#/$defs/root"}, "$ref": {"const": {"$ref": "#"}}}}}})
        );
        let plain = json!({"type": "object", "properties": {"a": {"enum": [{"$id": "kept"}]}}});
        assert_eq!(Schema::new(&plain).bundled().unwrap(), plain);
        let dangling = json!({"$ref": "#/$defs/none"});
        assert_eq!(Schema::new(&dangling).bundled().unwrap(), dangling);
    }

    #[test]
    fn documents_that_use_a_name_for_other_schemas_share_a_bundle() {
        let one = json!({"$ref": "#/$defs/D", "$defs": {"D": {"type": "string"}}});
        let two = json!({"$ref": "#/$defs/D", "$defs": {"D": {"type": "integer"}}});
        let mut bundle = Bundle::default();
        assert_eq!(bundle.add(&Schema::new(&one)).unwrap(), json!({"$ref": "#/$defs/D"}));
        assert_eq!(bundle.add(&Schema::new(&two)).unwrap(), json!({"$ref": "#/$defs/D.2"}));
        let definitions = Value::Object(bundle.definitions());
        assert_eq!(definitions, json!({"D": {"type": "string"}, "D.2": {"type": "integer"}}));
    }

    #[test]
    fn schemas_inside_a_resource_refer_to_it() {
        let document = json!({"$ref": "inner.json", "$defs": {"x": {"type": "null"}, "i": {"$id": "inner.json",
            "items": {"$ref": "#/$defs/x"}, "$defs": {"x": {"type": "integer"}}}}});
        assert_eq!(Schema::new(&document).bundled().unwrap()["$defs"]["x"], json!({"type": "integer"}));
    }
}
