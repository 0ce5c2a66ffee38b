//! Rewrites the keywords about properties.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sglang_json_schema::Schema;

use super::common::{alternatives, escaped, says_nothing};
use super::names::{Names, disjoint, everything};
use super::{Also, Rewriter, pattern};

/// Most alternatives that `minProperties` and `maxProperties` may create.
const MAX_CHOICES: usize = 64;

impl Rewriter<'_> {
    /// Rewrites `patternProperties` so that the library can read every pattern and no name matches two of them.
    pub(super) fn pattern_properties(&mut self, value: &Value, here: &str) -> Value {
        let Value::Object(map) = value else { return value.clone() };
        let mut read: Vec<(String, Value)> = Vec::new();
        for (text, schema) in map {
            let place = format!("{here}/{}", escaped(text));
            let one = pattern::read(text);
            for dropped in one.dropped {
                self.ignore(&place, "pattern", &dropped);
            }
            if one.patterns.len() > 1 {
                self.ignore(&place, "pattern", "look-aheads in patterns of names are not supported");
            }
            let schema = self.schema(schema, &place);
            let text = one.patterns.into_iter().next_back().unwrap_or_default();
            match read.iter().position(|(other, _)| !disjoint(other, &text)) {
                None => read.push((text, schema)),
                Some(index) => {
                    let (other, known) = &mut read[index];
                    *other = format!("(?:{other})|(?:{text})");
                    if *known != schema {
                        self.ignore(&place, "patternProperties", "a name can match another pattern too");
                        *known = json!({"anyOf": [known.clone(), schema]});
                    }
                }
            }
        }
        // A pattern that was joined from several has anchors inside.
        let united = |(text, schema): (String, Value)| {
            let text = pattern::read(&text).patterns.into_iter().next().unwrap_or(text);
            (text, schema)
        };
        read.into_iter().map(united).collect::<Map<_, _>>().into()
    }

    /// Rewrites the keywords about the properties as a whole.
    pub(super) fn objects(
        &mut self,
        map: &Map<String, Value>,
        place: &str,
        out: &mut Map<String, Value>,
        also: &mut Also,
    ) {
        if let Some(rest) = map.get("unevaluatedProperties").filter(|rest| !says_nothing(rest)) {
            self.unevaluated_properties(rest, map, place, out, also);
        }
        if let Some(names) = map.get("propertyNames").filter(|names| !says_nothing(names)) {
            self.property_names(names, map, place, out);
        }
        let patterns = out.get("patternProperties").and_then(Value::as_object);
        if patterns.is_some_and(|patterns| everything(patterns.keys())) {
            // No name is additional, but the library would find some by writing names with escapes.
            out.insert("additionalProperties".into(), Value::Bool(false));
        }
        if out.contains_key("minProperties") || out.contains_key("maxProperties") {
            self.property_counts(map, place, out, also);
        }
    }

    fn property_names(
        &mut self,
        wanted: &Value,
        map: &Map<String, Value>,
        place: &str,
        out: &mut Map<String, Value>,
    ) {
        let schema = self.document.at(wanted);
        let names = Names::of(&schema);
        if !names.complete {
            self.ignore(
                place,
                "propertyNames",
                "only a list of names, one pattern or length limits are enforced",
            );
        }
        let mut listed: Vec<String> = Vec::new();
        if let Some(Value::Object(properties)) = out.get_mut("properties") {
            for (name, schema) in properties.iter_mut() {
                if names.allow(name) {
                    listed.push(name.clone());
                } else {
                    *schema = Value::Bool(false);
                }
            }
        }
        if names.none() {
            out.shift_remove("patternProperties");
            out.insert("additionalProperties".into(), Value::Bool(false));
            return;
        }
        let rest = out.get("additionalProperties").cloned().unwrap_or(Value::Bool(true));
        if rest == Value::Bool(false) && !map.contains_key("patternProperties") {
            return;
        }
        let Some(text) = names.pattern else { return };
        if map.contains_key("patternProperties") {
            return self.ignore(place, "propertyNames", "the schema also has patternProperties");
        }
        if !says_nothing(&rest) && !listed.is_empty() {
            return self.ignore(place, "propertyNames", "additional properties have a schema of their own");
        }
        out.insert("patternProperties".into(), json!({ text: rest }));
        out.insert("additionalProperties".into(), Value::Bool(false));
    }

    fn unevaluated_properties(
        &mut self,
        rest: &Value,
        map: &Map<String, Value>,
        place: &str,
        out: &mut Map<String, Value>,
        also: &mut Also,
    ) {
        let whole = Value::Object(map.clone());
        let mut seen = Evaluated::default();
        let schema = self.document.at(&whole);
        seen.all_of(&schema, true, 0);
        if seen.everything {
            if seen.conditional {
                self.ignore(place, "unevaluatedProperties", "an alternative covers all properties");
            }
            return;
        }
        let combined = ["$ref", "allOf", "anyOf", "oneOf", "if", "then", "else", "dependentSchemas"];
        if !combined.iter().any(|keyword| map.contains_key(*keyword)) {
            let rest = self.schema(rest, &format!("{place}/unevaluatedProperties"));
            out.insert("additionalProperties".into(), rest);
            return;
        }
        if seen.conditional {
            self.ignore(
                place,
                "unevaluatedProperties",
                "properties of different alternatives can be combined",
            );
        }
        let any = |names: BTreeSet<String>| -> Map<String, Value> {
            names.into_iter().map(|name| (name, Value::Bool(true))).collect()
        };
        let mut closed = json!({"properties": any(seen.names), "additionalProperties": rest});
        if !seen.patterns.is_empty() {
            closed["patternProperties"] = any(seen.patterns).into();
        }
        also.push(closed);
    }

    /// The library counts only unlisted properties. For listed ones, each choice becomes an alternative.
    fn property_counts(
        &mut self,
        map: &Map<String, Value>,
        place: &str,
        out: &mut Map<String, Value>,
        also: &mut Also,
    ) {
        let texts = |list: Option<&Value>| -> Vec<String> {
            let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            list.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect()
        };
        let required = texts(map.get("required"));
        let listed: Vec<String> = match out.get("properties") {
            Some(Value::Object(properties)) => properties
                .iter()
                .filter(|(name, schema)| **schema != Value::Bool(false) && !required.contains(name))
                .map(|(name, _)| name.clone())
                .collect(),
            _ => Vec::new(),
        };
        if listed.is_empty() {
            return;
        }
        let count = |keyword: &str| out.get(keyword).and_then(Value::as_u64).map(|count| count as usize);
        let least = count("minProperties").unwrap_or(0).saturating_sub(required.len());
        let most = count("maxProperties").map(|most| most.saturating_sub(required.len()));
        let closed = out.get("additionalProperties") == Some(&Value::Bool(false))
            && !out.contains_key("patternProperties");
        let bounds: Map<String, Value> = ["minProperties", "maxProperties"]
            .into_iter()
            .filter_map(|keyword| Some((keyword.to_owned(), out.shift_remove(keyword)?)))
            .collect();
        if least == 0 && closed && most.is_some_and(|most| most >= listed.len()) {
            return;
        }
        if least == 0 && most.is_none() {
            return;
        }
        let Some(choices) = choices(&listed, least, most, closed, &bounds) else {
            let keyword = bounds.keys().next().map_or("minProperties", String::as_str);
            return self.ignore(place, keyword, "there are too many combinations of properties");
        };
        also.push(alternatives(map, choices));
    }
}

/// The choices of listed properties; `None` if there are too many.
fn choices(
    listed: &[String],
    least: usize,
    most: Option<usize>,
    closed: bool,
    bounds: &Map<String, Value>,
) -> Option<Vec<Value>> {
    // With enough listed properties nothing needs counting; with fewer, unlisted ones must make up the number.
    let exactly_up_to = most.unwrap_or_else(|| least.saturating_sub(1));
    let mut out = Vec::new();
    for size in 0..=exactly_up_to.min(listed.len()) {
        if closed && size < least {
            continue;
        }
        for chosen in subsets(listed, size)? {
            let forbidden: Map<String, Value> = listed
                .iter()
                .filter(|name| !chosen.contains(name))
                .map(|name| (name.clone(), Value::Bool(false)))
                .collect();
            let mut choice = json!({"type": "object", "properties": forbidden, "required": chosen});
            if !closed && let Some(choice) = choice.as_object_mut() {
                choice.extend(bounds.clone());
            }
            out.push(choice);
        }
    }
    if most.is_none() && least <= listed.len() {
        for chosen in subsets(listed, least)? {
            out.push(json!({"type": "object", "required": chosen}));
        }
    }
    (out.len() <= MAX_CHOICES).then_some(out)
}

fn subsets(listed: &[String], size: usize) -> Option<Vec<Vec<&String>>> {
    let mut out: Vec<Vec<&String>> = vec![Vec::new()];
    let mut from: Vec<usize> = vec![0];
    for _ in 0..size {
        let (mut next, mut starts) = (Vec::new(), Vec::new());
        for (chosen, start) in out.iter().zip(&from) {
            for (index, name) in listed.iter().enumerate().skip(*start) {
                let mut more = chosen.clone();
                more.push(name);
                next.push(more);
                starts.push(index + 1);
            }
            if next.len() > MAX_CHOICES * 8 {
                return None;
            }
        }
        (out, from) = (next, starts);
    }
    (out.len() <= MAX_CHOICES).then_some(out)
}

/// The properties that a schema, and the schemas that apply together with it, describe.
#[derive(Default)]
struct Evaluated {
    names: BTreeSet<String>,
    patterns: BTreeSet<String>,
    everything: bool,
    /// Some of them are described in alternatives.
    conditional: bool,
}

impl Evaluated {
    fn all_of(&mut self, schema: &Schema<'_>, own: bool, depth: usize) {
        if depth > 8 {
            self.everything = true;
            return;
        }
        let parts = schema.parts();
        for (index, part) in parts.iter().enumerate() {
            let Some(map) = part.node().as_object() else { continue };
            for (keyword, into) in
                [("properties", &mut self.names), ("patternProperties", &mut self.patterns)]
            {
                if let Some(Value::Object(found)) = map.get(keyword) {
                    into.extend(found.keys().cloned());
                }
            }
            let this = own && index == 0;
            self.everything |= map.contains_key("additionalProperties")
                || (!this && map.contains_key("unevaluatedProperties"));
        }
        let known = (self.names.len(), self.patterns.len(), self.everything);
        for part in &parts {
            let Some(map) = part.node().as_object() else { continue };
            let mut branches: Vec<&Value> = Vec::new();
            for keyword in ["anyOf", "oneOf"] {
                if let Some(Value::Array(list)) = map.get(keyword) {
                    branches.extend(list.iter());
                }
            }
            branches.extend(["if", "then", "else"].iter().filter_map(|keyword| map.get(*keyword)));
            if let Some(Value::Object(dependent)) = map.get("dependentSchemas") {
                branches.extend(dependent.values());
            }
            for branch in branches {
                self.all_of(&part.at(branch), false, depth + 1);
            }
        }
        self.conditional |= (self.names.len(), self.patterns.len(), self.everything) != known;
    }
}
