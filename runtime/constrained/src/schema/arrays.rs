//! Rewrites the keywords about arrays.

use serde_json::{Map, Value, json};
use sglang_json_schema::Schema;

use super::common::only_type;
use super::{Also, Rewriter};

/// For arrays up to this length, `contains` becomes one alternative per position.
const MAX_PLACES: u64 = 8;

impl Rewriter<'_> {
    /// Rewrites `items`, `prefixItems` and `additionalItems` in the form of the newest draft.
    pub(super) fn items(
        &mut self,
        keyword: &str,
        value: &Value,
        map: &Map<String, Value>,
        place: &str,
        out: &mut Map<String, Value>,
    ) {
        let here = format!("{place}/{keyword}");
        // Older drafts write the first items as a list of schemas; `additionalItems` then describes the rest.
        let old = map.get("items").is_some_and(Value::is_array);
        match keyword {
            "items" if old => {
                if let Value::Array(list) = value {
                    let first = list
                        .iter()
                        .enumerate()
                        .map(|(i, schema)| self.schema(schema, &format!("{here}/{i}")));
                    let first: Vec<Value> = first.collect();
                    out.insert("prefixItems".into(), first.into());
                }
            }
            "additionalItems" if old => {
                let rest = self.schema(value, &here);
                out.insert("items".into(), rest);
            }
            "prefixItems" if old => {}
            "prefixItems" => {
                let first = self.inner(keyword, value, &here);
                out.insert(keyword.into(), first);
            }
            "items" => {
                let each = self.schema(value, &here);
                out.insert(keyword.into(), each);
            }
            _ => {}
        }
    }

    /// Rewrites the keywords about the array as a whole.
    pub(super) fn arrays(
        &mut self,
        map: &Map<String, Value>,
        place: &str,
        out: &mut Map<String, Value>,
        also: &mut Also,
    ) {
        if map.get("uniqueItems") == Some(&Value::Bool(true)) {
            self.unique(map, place, out);
        }
        if let Some(wanted) = map.get("contains") {
            self.contains(wanted, map, place, out, also);
        }
        if let Some(rest) = map.get("unevaluatedItems").filter(|rest| **rest != Value::Bool(true)) {
            self.unevaluated_items(rest, map, place, also);
        }
    }

    fn unique(&mut self, map: &Map<String, Value>, place: &str, out: &mut Map<String, Value>) {
        let most = out.get("maxItems").and_then(Value::as_u64);
        if most.is_some_and(|most| most <= 1) {
            return;
        }
        self.ignore(place, "uniqueItems", "items are not compared");
        // At least, an array cannot have more items than there are values.
        let items = map.get("items").filter(|_| !map.contains_key("prefixItems"));
        let known =
            items.and_then(|items| self.document.at(items).values().map(|values| values.len() as u64));
        if let Some(known) = known {
            let least = out.get("minItems").and_then(Value::as_u64).unwrap_or(0);
            let most = most.map_or(known, |most| most.min(known)).max(least);
            out.insert("maxItems".into(), most.into());
        }
    }

    fn contains(
        &mut self,
        wanted: &Value,
        map: &Map<String, Value>,
        place: &str,
        out: &mut Map<String, Value>,
        also: &mut Also,
    ) {
        let count = |keyword: &str| map.get(keyword).and_then(Value::as_f64).map(|count| count as u64);
        let (least, most) = (count("minContains").unwrap_or(1), count("maxContains"));
        if most.is_some() {
            self.ignore(place, "maxContains", "matching items are not counted");
        }
        if least == 0 {
            return;
        }
        let length = out.get("maxItems").and_then(Value::as_u64);
        match length.filter(|length| least == 1 && *length <= MAX_PLACES) {
            Some(length) => {
                let at = |place: u64| {
                    let mut items = vec![Value::Bool(true); place as usize];
                    items.push(wanted.clone());
                    json!({"type": "array", "prefixItems": items, "minItems": place + 1})
                };
                let mut branches: Vec<Value> = (0..length).map(at).collect();
                let others: Vec<&str> = ["null", "boolean", "number", "string", "object"].into();
                if only_type(map).is_none() {
                    branches.push(json!({"type": others}));
                }
                also.push(json!({"anyOf": branches}));
            }
            None => {
                self.ignore(
                    place,
                    "contains",
                    &format!(
                        "only arrays with maxItems of at most {MAX_PLACES} are forced to contain a matching item"
                    ),
                );
                let own = out.get("minItems").and_then(Value::as_u64).unwrap_or(0);
                let least = length.map_or(least, |length| least.min(length));
                out.insert("minItems".into(), own.max(least).into());
            }
        }
    }

    fn unevaluated_items(&mut self, rest: &Value, map: &Map<String, Value>, place: &str, also: &mut Also) {
        let whole = Value::Object(map.clone());
        let schema = self.document.at(&whole);
        let parts = schema.parts();
        let has = |part: &Schema<'_>, keyword: &str| part.node().get(keyword).is_some();
        let old = |part: &Schema<'_>| part.node().get("items").is_some_and(Value::is_array);
        let all =
            |part: &Schema<'_>| if old(part) { has(part, "additionalItems") } else { has(part, "items") };
        if parts.iter().any(all) {
            return;
        }
        let conditional = ["anyOf", "oneOf", "if", "contains"];
        if parts.iter().any(|part| conditional.iter().any(|keyword| has(part, keyword))) {
            return self.ignore(
                place,
                "unevaluatedItems",
                "which items are unevaluated depends on their values",
            );
        }
        let first = |part: &Schema<'_>| {
            ["prefixItems", "items"]
                .iter()
                .filter_map(|keyword| part.node().get(*keyword)?.as_array())
                .map(Vec::len)
                .max()
        };
        let count = parts.iter().filter_map(first).max().unwrap_or(0);
        also.push(json!({"prefixItems": vec![Value::Bool(true); count], "items": rest}));
    }
}
