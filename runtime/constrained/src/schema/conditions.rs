//! Rewrites conditions as alternatives: `not`, `if` and the `dependent…` keywords.

use serde_json::{Map, Value, json};

use super::common::alternatives;
use super::{Also, Rewriter};

/// At most this many properties per object may be conditions for others, since each doubles the alternatives.
const MAX_DEPENDENT: usize = 5;

impl Rewriter<'_> {
    /// Rewrites the conditions of a schema.
    pub(super) fn conditions(&mut self, map: &Map<String, Value>, place: &str, also: &mut Also) {
        if let Some(not) = map.get("not") {
            match self.negation(not) {
                Some(negation) => {
                    if !negation.exact {
                        self.ignore(place, "not", "part of it cannot be negated");
                    }
                    also.push(alternatives(map, vec![negation.schema]));
                }
                None => self.ignore(place, "not", "it cannot be negated"),
            }
        }
        if let Some(condition) = map.get("if") {
            self.condition(condition, map, place, also);
        }
        self.dependencies(map, place, also);
    }

    fn condition(&mut self, condition: &Value, map: &Map<String, Value>, place: &str, also: &mut Also) {
        let part = |keyword: &str| map.get(keyword).cloned().unwrap_or(Value::Bool(true));
        let (then, otherwise) = (part("then"), part("else"));
        if then == Value::Bool(true) && otherwise == Value::Bool(true) {
            return;
        }
        let negation = self.negation(condition);
        if negation.as_ref().is_none_or(|negation| !negation.exact) {
            self.ignore(place, "if", "it cannot be negated, so the other alternative is always allowed");
        }
        let met = json!({"allOf": [condition, then]});
        let unmet = match negation {
            Some(negation) => json!({"allOf": [negation.schema, otherwise]}),
            None if otherwise == Value::Bool(true) => return,
            None => otherwise,
        };
        also.push(alternatives(map, vec![met, unmet]));
    }

    /// Rewrites `dependentRequired`, `dependentSchemas` and the older `dependencies`.
    fn dependencies(&mut self, map: &Map<String, Value>, place: &str, also: &mut Also) {
        let mut rules: Vec<(&String, Value, &str)> = Vec::new();
        for keyword in ["dependentRequired", "dependentSchemas", "dependencies"] {
            let Some(Value::Object(entries)) = map.get(keyword) else { continue };
            for (name, value) in entries {
                let asked = match value {
                    Value::Array(names) => json!({"required": names}),
                    schema => schema.clone(),
                };
                rules.push((name, asked, keyword));
            }
        }
        let required = map.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut doubled = 0;
        for (name, asked, keyword) in rules {
            let nothing = asked == Value::Bool(true) || asked == json!({"required": []});
            if nothing || self.is_forbidden(map, name) {
                continue;
            }
            if required.iter().any(|other| other == name) {
                also.push(asked);
                continue;
            }
            doubled += 1;
            if doubled > MAX_DEPENDENT {
                self.ignore(place, keyword, &format!("more than {MAX_DEPENDENT} properties have dependents"));
                return;
            }
            let without = json!({"properties": {name: false}});
            let with = match asked {
                Value::Object(mut asked) if asked.keys().eq(["required"]) => {
                    if let Some(Value::Array(names)) = asked.get_mut("required") {
                        names.push(json!(name));
                    }
                    Value::Object(asked)
                }
                asked => json!({"required": [name], "allOf": [asked]}),
            };
            also.push(alternatives(map, vec![without, with]));
        }
    }

    /// Whether objects of this schema cannot have the property.
    fn is_forbidden(&self, map: &Map<String, Value>, name: &str) -> bool {
        let listed = map.get("properties").and_then(|properties| properties.get(name));
        let closed = map.get("additionalProperties") == Some(&Value::Bool(false))
            && !map.contains_key("patternProperties");
        listed == Some(&Value::Bool(false)) || (listed.is_none() && closed)
    }
}
