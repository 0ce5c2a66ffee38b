//! Conditions, as alternatives: `not`, `if`, and what the presence of a property asks for.

use serde_json::{Map, Value, json};

use super::common::alternatives;
use super::{Also, Rewriter};

/// Most properties of one object whose presence asks for others: every one doubles the alternatives.
const MAX_DEPENDENT: usize = 5;

impl Rewriter<'_> {
    /// The conditions of a schema.
    pub(super) fn conditions(&mut self, map: &Map<String, Value>, place: &str, also: &mut Also) {
        if let Some(not) = map.get("not") {
            match self.negation(not) {
                Some(negation) => {
                    if !negation.exact {
                        self.ignore(place, "not", "a part of it cannot be turned round");
                    }
                    also.push(alternatives(map, vec![negation.schema]));
                }
                None => self.ignore(place, "not", "it cannot be turned round"),
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
            self.ignore(place, "if", "its opposite cannot be said, so the other alternative is always open");
        }
        let met = json!({"allOf": [condition, then]});
        let unmet = match negation {
            Some(negation) => json!({"allOf": [negation.schema, otherwise]}),
            None if otherwise == Value::Bool(true) => return,
            None => otherwise,
        };
        also.push(alternatives(map, vec![met, unmet]));
    }

    /// `dependentRequired`, `dependentSchemas` and the older `dependencies`.
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
                self.ignore(place, keyword, &format!("there are more than {MAX_DEPENDENT} of the kind"));
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

    /// Whether an object of this schema cannot have the property.
    fn is_forbidden(&self, map: &Map<String, Value>, name: &str) -> bool {
        let listed = map.get("properties").and_then(|properties| properties.get(name));
        let closed = map.get("additionalProperties") == Some(&Value::Bool(false))
            && !map.contains_key("patternProperties");
        listed == Some(&Value::Bool(false)) || (listed.is_none() && closed)
    }
}
