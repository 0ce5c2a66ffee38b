//! Rewrites JSON schemas so that the library can read them.
//!
//! The library reads only the keywords that describe what to generate: types, values, properties, items, bounds. The
//! other keywords are expressed by means of these as far as possible: a condition becomes alternatives, a forbidden
//! value becomes a pattern of all other values. A keyword that cannot be expressed is dropped and reported in the log.

mod arrays;
mod common;
mod conditions;
mod cycles;
mod names;
mod negation;
mod numbers;
mod objects;
mod pattern;
mod scan;
mod text;
mod words;

use serde_json::{Map, Value, json};
use sglang_json_schema::{Holds, Schema, holds};

use common::{escaped, says_nothing};

/// Most schemas that one rewriting may create.
const BUDGET: usize = 50_000;

/// A schema in the form that the library reads.
#[derive(Debug)]
pub(crate) struct Rewritten {
    /// The schema.
    pub(crate) schema: Value,
    /// The keywords that are not enforced, each as JSON pointer, keyword and reason.
    pub(crate) ignored: Vec<String>,
}

/// Rewrites `schema` for the library.
///
/// # Errors
/// If it is too large, or a reference points nowhere.
pub(crate) fn rewrite(schema: &Value) -> Result<Rewritten, String> {
    let mut bundled = Schema::new(schema).bundled().map_err(|e| e.to_string())?;
    let mut ignored = Vec::new();
    cycles::cut(&mut bundled, &mut ignored);
    let mut rewriter = Rewriter { document: Schema::new(&bundled), ignored, budget: BUDGET, error: None };
    let schema = rewriter.schema(&bundled, "#");
    match rewriter.error {
        Some(error) => Err(error),
        None => Ok(Rewritten { schema, ignored: rewriter.ignored }),
    }
}

/// The state of one rewriting.
struct Rewriter<'v> {
    /// The schema in which references are resolved; all of them are `#/$defs/NAME`.
    document: Schema<'v>,
    ignored: Vec<String>,
    budget: usize,
    error: Option<String>,
}

/// Further schemas that must hold as well.
type Also = Vec<Value>;

impl Rewriter<'_> {
    fn ignore(&mut self, place: &str, keyword: &str, why: &str) {
        let line = format!("{place}: {keyword} is not enforced: {why}");
        if !self.ignored.contains(&line) {
            self.ignored.push(line);
        }
    }

    fn fail(&mut self, error: String) {
        self.error.get_or_insert(error);
    }

    fn schema(&mut self, schema: &Value, place: &str) -> Value {
        let Value::Object(map) = schema else { return schema.clone() };
        match self.budget.checked_sub(1) {
            Some(left) => self.budget = left,
            None => {
                self.fail("the schema is too large: its conditions make too many alternatives".into());
                return Value::Bool(true);
            }
        }
        let (mut out, mut also) = (Map::new(), Also::new());
        for (keyword, value) in map {
            self.keyword(keyword, value, map, place, &mut out, &mut also);
        }
        self.numbers(map, &mut out);
        self.arrays(map, place, &mut out, &mut also);
        self.objects(map, place, &mut out, &mut also);
        self.conditions(map, place, &mut also);
        let also: Vec<Value> = also.iter().map(|schema| self.schema(schema, place)).collect();
        let also: Vec<Value> = also.into_iter().filter(|schema| !says_nothing(schema)).collect();
        if !also.is_empty() {
            match out.get_mut("allOf") {
                Some(Value::Array(all)) => all.extend(also),
                _ => {
                    out.insert("allOf".into(), also.into());
                }
            }
        }
        Value::Object(out)
    }

    /// Rewrites a keyword that can be handled on its own; the others are handled together later.
    fn keyword(
        &mut self,
        keyword: &str,
        value: &Value,
        map: &Map<String, Value>,
        place: &str,
        out: &mut Map<String, Value>,
        also: &mut Also,
    ) {
        let here = format!("{place}/{}", escaped(keyword));
        let kept = match keyword {
            "items" | "additionalItems" | "prefixItems" => {
                return self.items(keyword, value, map, place, out);
            }
            "patternProperties" => self.pattern_properties(value, &here),
            "properties" | "$defs" | "anyOf" | "oneOf" | "allOf" | "additionalProperties" => {
                self.inner(keyword, value, &here)
            }
            "type" | "enum" | "const" | "required" | "multipleOf" => value.clone(),
            "$ref" => return self.reference(value, place, out),
            "pattern" | "format" => return self.text(keyword, value, place, out, also),
            _ => return,
        };
        out.insert(keyword.into(), kept);
    }

    /// Rewrites the schemas inside a keyword.
    fn inner(&mut self, keyword: &str, value: &Value, here: &str) -> Value {
        match (holds(keyword), value) {
            (Some(Holds::Map), Value::Object(map)) => map
                .iter()
                .map(|(name, schema)| {
                    (name.clone(), self.schema(schema, &format!("{here}/{}", escaped(name))))
                })
                .collect::<Map<_, _>>()
                .into(),
            (Some(Holds::List), Value::Array(list)) => list
                .iter()
                .enumerate()
                .map(|(i, schema)| self.schema(schema, &format!("{here}/{i}")))
                .collect(),
            (Some(Holds::One), schema) => self.schema(schema, here),
            _ => value.clone(),
        }
    }

    fn reference(&mut self, value: &Value, place: &str, out: &mut Map<String, Value>) {
        let Some(target) = value.as_str() else {
            return self.fail(format!("JSON Schema at {place}/$ref: a reference is a string, got {value}"));
        };
        match self.document.resolve(target) {
            // The library refuses a definition that nothing can satisfy, even if it is not used.
            Some(found) if *found.node() == Value::Bool(false) => {
                out.insert("enum".into(), json!([]));
            }
            Some(_) => {
                out.insert("$ref".into(), value.clone());
            }
            None if target.starts_with('#') => {
                let pointer = target.trim_start_matches('#');
                self.fail(format!("JSON Schema at {place}/$ref: Pointer '{pointer}' does not exist"));
            }
            None => self.ignore(place, "$ref", &format!("{target:?} is another document")),
        }
    }
}

/// Whether a pattern is not a regular expression in any dialect.
pub(crate) fn is_broken_pattern(pattern: &str) -> bool {
    let broken = |pattern: &String| regex_syntax::ast::parse::Parser::new().parse(pattern).is_err();
    pattern::read(pattern).patterns.iter().any(broken)
}

#[cfg(test)]
mod tests;
