//! The property names that `propertyNames` allows, and what patterns imply about names.

use llguidance::derivre::{RegexAst, RegexBuilder};
use llguidance::regex_to_lark;
use serde_json::Value;
use sglang_json_schema::{JsonType, Schema, is_annotation};

use super::{pattern, words};

/// Work for comparing two patterns; the library itself allows as much.
const FUEL: u64 = 10_000;

/// The property names that a schema allows.
pub(super) struct Names {
    /// A pattern for them; `None` if every name is allowed.
    pub(super) pattern: Option<String>,
    /// Whether the pattern expresses everything that the schema says.
    pub(super) complete: bool,
    list: Option<Vec<String>>,
}

impl Names {
    pub(super) fn of(schema: &Schema<'_>) -> Self {
        let none = || Self { pattern: None, complete: true, list: Some(Vec::new()) };
        if !schema.types().has(JsonType::String) {
            return none();
        }
        if let Some(values) = schema.values() {
            let list: Vec<String> =
                values.into_iter().filter_map(|value| Some(value.as_str()?.to_owned())).collect();
            let all: Vec<String> = list.iter().map(|name| words::quoted(name)).collect();
            if all.is_empty() {
                return none();
            }
            let pattern = format!("^(?:{})$", all.join("|"));
            return Self { pattern: Some(pattern), complete: true, list: Some(list) };
        }
        let mut found: Vec<String> = Vec::new();
        let mut complete = true;
        for part in schema.parts() {
            let Some(map) = part.node().as_object() else { continue };
            let length = |keyword: &str| map.get(keyword).and_then(Value::as_u64);
            let most = length("maxLength").map_or_else(String::new, |most| most.to_string());
            match (length("minLength").unwrap_or(0), most.as_str()) {
                (0, "") => {}
                (least, most) => found.push(format!("^(?s:.{{{least},{most}}})$")),
            }
            if let Some(text) = map.get("pattern").and_then(Value::as_str) {
                let read = pattern::read(text);
                complete &= read.dropped.is_empty();
                found.extend(read.patterns);
            }
            let known = |keyword: &String| {
                let said = ["minLength", "maxLength", "pattern", "type", "$ref", "allOf"];
                said.contains(&keyword.as_str()) || is_annotation(keyword)
            };
            complete &= map.keys().all(known);
        }
        complete &= found.len() <= 1;
        // The last pattern is usually the narrowest: the schema's own.
        Self { pattern: found.pop(), complete, list: None }
    }

    /// Whether no name is allowed.
    pub(super) fn none(&self) -> bool {
        self.list.as_ref().is_some_and(Vec::is_empty)
    }

    /// Whether the name is allowed, as far as can be determined.
    pub(super) fn allow(&self, name: &str) -> bool {
        match (&self.list, &self.pattern) {
            (Some(list), _) => list.iter().any(|other| other == name),
            (None, Some(pattern)) => is_match(pattern, name).unwrap_or(true),
            (None, None) => true,
        }
    }
}

fn is_match(pattern: &str, name: &str) -> Option<bool> {
    let mut builder = RegexBuilder::new();
    let expression = builder.mk_regex_for_serach(&regex_to_lark(pattern, "dw")).ok()?;
    Some(builder.to_regex_limited(expression, FUEL).ok()?.is_match(name))
}

/// Whether every text matches one of the patterns, as far as can be determined.
pub(super) fn everything<'a>(patterns: impl Iterator<Item = &'a String>) -> bool {
    let none = || {
        let mut builder = RegexBuilder::new();
        let others: Vec<RegexAst> = patterns
            .map(|pattern| {
                let found = builder.mk_regex_for_serach(&regex_to_lark(pattern, "dw")).ok()?;
                Some(RegexAst::Not(Box::new(RegexAst::ExprRef(found))))
            })
            .collect::<Option<_>>()?;
        let all = RegexAst::Regex("(?s:.*)".into());
        let expression = builder.mk(&RegexAst::And([vec![all], others].concat())).ok()?;
        Some(builder.to_regex_limited(expression, FUEL).ok()?.always_empty())
    };
    none().unwrap_or(false)
}

/// Whether no text matches both patterns, as far as can be determined.
pub(super) fn disjoint(one: &str, other: &str) -> bool {
    let both = || {
        let mut builder = RegexBuilder::new();
        let mut add = |pattern: &str| {
            builder.mk_regex_for_serach(&regex_to_lark(pattern, "dw")).map(RegexAst::ExprRef).ok()
        };
        let both = RegexAst::And(vec![add(one)?, add(other)?]);
        let expression = builder.mk(&both).ok()?;
        Some(builder.to_regex_limited(expression, FUEL).ok()?.always_empty())
    };
    both().unwrap_or(false)
}
