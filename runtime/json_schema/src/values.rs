//! The values to which a schema is limited.

use serde_json::Value;

use crate::keywords::{UNIONS, list};
use crate::schema::{Schema, Step, Walk};

static NULL: Value = Value::Null;

impl<'v> Schema<'v> {
    /// The values that `enum`, `const` and `null` allow, in the schema's order; `None` if others are allowed too.
    pub fn values(&self) -> Option<Vec<&'v Value>> {
        let types = self.types();
        let mut values = self.values_in(&mut Walk::new())?;
        values.retain(|value| types.fits(value));
        Some(values)
    }

    fn values_in(&self, walk: &mut Walk) -> Option<Vec<&'v Value>> {
        match walk.enter(self) {
            Step::Cycle => return Some(Vec::new()),
            Step::TooMuch => return None,
            Step::Into => {}
        }
        let mut lists: Vec<Vec<&'v Value>> = Vec::new();
        for part in walk.parts(self) {
            part.own_values(walk, &mut lists);
        }
        walk.leave();
        let mut lists = lists.into_iter();
        let mut values = lists.next()?;
        for other in lists {
            if !walk.spend(values.len().saturating_mul(other.len())) {
                return None;
            }
            values.retain(|value| other.contains(value));
        }
        Some(values)
    }

    fn own_values(&self, walk: &mut Walk, lists: &mut Vec<Vec<&'v Value>>) {
        let Some(map) = self.keywords() else { return };
        lists.extend(map.get("const").map(|value| vec![value]));
        if let Some(Value::Array(values)) = map.get("enum")
            && walk.spend(values.len())
        {
            lists.push(values.iter().collect());
        }
        if map.get("type").is_some_and(|kind| kind == "null") {
            lists.push(vec![&NULL]);
        }
        for branches in UNIONS.iter().map(|keyword| list(map, keyword)).filter(|list| !list.is_empty()) {
            let known: Option<Vec<Vec<&'v Value>>> =
                branches.iter().map(|branch| self.at(branch).values_in(walk)).collect();
            let mut values: Vec<&'v Value> = Vec::new();
            for value in known.into_iter().flatten().flatten() {
                if !walk.spend(1 + values.len()) {
                    return;
                }
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            if !values.is_empty() {
                lists.push(values);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_are_found_behind_references_and_in_alternatives() {
        let values = |schema: Value| Schema::new(&schema).values().map(|list| json!(list));
        let defs = json!({"E": {"enum": ["a", "b", 1]}, "C": {"const": "c"}, "L": {"anyOf": [{"$ref": "#/$defs/L"}, {"const": 1}]}});
        let with = |mut schema: Value| {
            schema["$defs"] = defs.clone();
            values(schema)
        };
        assert_eq!(with(json!({"$ref": "#/$defs/E"})), Some(json!(["a", "b", 1])));
        assert_eq!(
            with(json!({"allOf": [{"$ref": "#/$defs/E"}], "type": "string"})),
            Some(json!(["a", "b"]))
        );
        assert_eq!(
            with(json!({"oneOf": [{"$ref": "#/$defs/C"}, {"const": "d"}, {"type": "null"}]})),
            Some(json!(["c", "d", null]))
        );
        assert_eq!(with(json!({"allOf": [{"enum": ["b", "z"]}, {"$ref": "#/$defs/E"}]})), Some(json!(["b"])));
        assert_eq!(with(json!({"$ref": "#/$defs/L"})), Some(json!([1])));
        assert_eq!(with(json!({"anyOf": [{"$ref": "#/$defs/C"}, {"type": "string"}]})), None);
        assert_eq!(with(json!({"type": "boolean"})), None);
    }
}
