//! Writes a grammar that forces calls as a Python list, `[f(a=1), g(b="x")]`, from the tools' schemas. It covers the
//! part of JSON Schema that has an exact counterpart; for any other schema the calls are forced as JSON instead.
//!
//! Nothing in the grammar repeats without limit except string contents: white space is fixed and digits are counted, so
//! that an answer cannot ramble between its parts.

use std::collections::HashMap;
use std::fmt::Write;

use serde_json::{Map, Value};
use sglang_json_schema::{Schema, is_annotation};

use super::types::Tool;

/// Larger ranges of integers are not spelled out.
const MAX_RANGE: i64 = 256;
/// Maximum number of rules in a grammar.
const MAX_RULES: usize = 10_000;

/// Rules that every grammar can use. Strings contain no escapes that JSON could not express.
const BASE: &str = r#"integer ::= "-"? ("0" | [1-9] [0-9]{0,17})
number ::= "-"? ("0" | [1-9] [0-9]{0,17}) ("." [0-9]{1,17})? ([eE] [+-]? [0-9]{1,2})?
boolean ::= "True" | "False"
dq ::= [^"\\\x00-\x1f\x7f] | "\\" ["\\nrt]
sq ::= [^'\\\x00-\x1f\x7f] | "\\" ['\\nrt]
string ::= "\"" dq* "\"" | "'" sq* "'"
any ::= string | number | boolean | "None" | list | dict
list ::= "[" (any (", " any)*)? "]"
dict ::= "{" (string ": " any (", " string ": " any)*)? "}"
"#;

/// The EBNF of a list of calls, of exactly one if `single`. `None` if a name or a schema has no such form.
pub(super) fn call_list(tools: &[&Tool], single: bool) -> Option<String> {
    let mut calls = Vec::new();
    let mut grammar = Grammar::default();
    for tool in tools {
        let name = &tool.function.name;
        if !is_identifier(name) {
            return None;
        }
        let empty = Value::Object(Map::new());
        let schema = tool.function.parameters.as_ref().filter(|schema| !schema.is_null()).unwrap_or(&empty);
        grammar.references.clear();
        let arguments = Writer { grammar: &mut grammar }.arguments(&Schema::new(schema))?;
        calls.push(format!("{} {arguments} \")\"", literal(&format!("{name}("))));
    }
    let more = if single { "" } else { " (\", \" call)*" };
    let mut text = format!("root ::= \"[\" call{more} \"]\"\ncall ::= {}\n{BASE}", calls.join(" | "));
    text.push_str(&grammar.rules);
    Some(text)
}

#[derive(Default)]
struct Grammar {
    rules: String,
    count: usize,
    /// The rule of each definition of the current tool, by the definition's address.
    references: HashMap<*const Value, String>,
}

impl Grammar {
    fn name(&mut self) -> Option<String> {
        self.count += 1;
        (self.count <= MAX_RULES).then(|| format!("r{}", self.count))
    }

    fn rule(&mut self, body: &str) -> Option<String> {
        let name = self.name()?;
        self.define(&name, body);
        Some(name)
    }

    fn define(&mut self, name: &str, body: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.rules, "{name} ::= {body}");
    }
}

/// `text` as a literal of the grammar.
fn literal(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\x7f")
}

fn is_identifier(name: &str) -> bool {
    let start = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    start
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !["True", "False", "None"].contains(&name)
}

/// A JSON value as Python writes it.
fn python(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) => {
            return None;
        }
        Value::String(text) => {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{}\"", escaped.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t"))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(python).collect::<Option<Vec<_>>>()?.join(", "))
        }
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| {
                Some(format!("{}: {}", python(&Value::from(key.as_str()))?, python(value)?))
            };
            format!("{{{}}}", fields.iter().map(field).collect::<Option<Vec<_>>>()?.join(", "))
        }
    })
}

/// The schema of one tool, being written into the grammar.
struct Writer<'a> {
    grammar: &'a mut Grammar,
}

impl Writer<'_> {
    /// The rule for the keyword arguments of a call.
    fn arguments(&mut self, schema: &Schema<'_>) -> Option<String> {
        let schema = &schema.plain();
        let allowed = ["type", "properties", "required", "additionalProperties"];
        only(schema.node(), &allowed)?;
        if schema.node().get("type").is_some_and(|kind| kind != "object") {
            return None;
        }
        match self.properties(schema)? {
            Some(properties) if !properties.iter().all(|(name, ..)| is_identifier(name)) => None,
            Some(properties) => {
                let words = properties
                    .into_iter()
                    .map(|(name, value, required)| {
                        (format!("{} {value}", literal(&format!("{name}="))), required)
                    })
                    .collect();
                self.list(words)
            }
            // Any arguments at all.
            None => {
                let pair = self.grammar.rule("[a-z_] [a-zA-Z0-9_]{0,30} \"=\" any")?;
                self.grammar.rule(&format!("({pair} (\", \" {pair})*)?"))
            }
        }
    }

    /// For each property its name, its rule, and whether it is required. Inner `None`: the schema lists none and allows
    /// all.
    fn properties(&mut self, schema: &Schema<'_>) -> Option<Option<Vec<(String, String, bool)>>> {
        let (view, schema) = (schema, schema.node());
        let required: Vec<&str> = match schema.get("required") {
            None => Vec::new(),
            Some(names) => names.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?,
        };
        let Some(properties) = schema.get("properties") else {
            let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
            let open = schema.get("additionalProperties").is_none_or(|more| *more == Value::Bool(true));
            return match (closed, open && required.is_empty()) {
                (true, _) if required.is_empty() => Some(Some(Vec::new())),
                (false, true) => Some(None),
                _ => None,
            };
        };
        let properties = properties.as_object()?;
        if !required.iter().all(|name| properties.contains_key(*name)) {
            return None;
        }
        let mut out = Vec::new();
        for (name, property) in properties {
            out.push((name.clone(), self.value(&view.at(property))?, required.contains(&name.as_str())));
        }
        Some(Some(out))
    }

    /// A comma-separated list of words in order, some of which are optional.
    fn list(&mut self, words: Vec<(String, bool)>) -> Option<String> {
        // Built from the end: what may follow once a word was written, and what may follow if none was.
        let (mut behind, mut first) = (String::from("\"\""), String::from("\"\""));
        for (word, required) in words.into_iter().rev() {
            let (with_comma, alone) = (format!("\", \" {word} {behind}"), format!("{word} {behind}"));
            let (new_behind, new_first) = match required {
                true => (with_comma, alone),
                false => (format!("{with_comma} | {behind}"), format!("{alone} | {first}")),
            };
            behind = self.grammar.rule(&new_behind)?;
            first = self.grammar.rule(&new_first)?;
        }
        Some(first)
    }

    fn value(&mut self, schema: &Schema<'_>) -> Option<String> {
        let view = schema;
        let schema = match view.node() {
            Value::Bool(true) => return Some("any".to_owned()),
            schema @ Value::Object(_) => schema,
            _ => return None,
        };
        let plain = view.plain();
        if !std::ptr::eq(plain.node(), schema) {
            return self.reference(&plain);
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            only(schema, &["enum", "type"])?;
            let fits = |value: &&Value| schema.get("type").is_none_or(|kind| has_type(value, kind));
            let words = values.iter().filter(fits).map(|value| Some(literal(&python(value)?)));
            let words = words.collect::<Option<Vec<_>>>()?;
            return if words.is_empty() { None } else { self.grammar.rule(&words.join(" | ")) };
        }
        if let Some(value) = schema.get("const") {
            only(schema, &["const", "type"])?;
            return Some(literal(&python(value)?));
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(branches) = schema.get(keyword).and_then(Value::as_array) {
                only(schema, &[keyword])?;
                let words =
                    branches.iter().map(|branch| self.value(&view.at(branch))).collect::<Option<Vec<_>>>()?;
                return if words.is_empty() { None } else { self.grammar.rule(&words.join(" | ")) };
            }
        }
        match schema.get("type") {
            Some(Value::String(kind)) => self.of_type(view, kind),
            Some(Value::Array(kinds)) => {
                let words = kinds.iter().map(|kind| {
                    let mut one = schema.as_object()?.clone();
                    one.retain(|key, _| belongs(key, kind.as_str().unwrap_or_default()));
                    self.of_type(&view.at(&Value::Object(one)), kind.as_str()?)
                });
                let words = words.collect::<Option<Vec<_>>>()?;
                if words.is_empty() { None } else { self.grammar.rule(&words.join(" | ")) }
            }
            Some(_) => None,
            None if schema.get("properties").is_some() => self.of_type(view, "object"),
            None if schema.get("items").is_some() => self.of_type(view, "array"),
            None => only(schema, &[]).map(|()| "any".to_owned()),
        }
    }

    /// The rule of a schema that is referred to.
    fn reference(&mut self, target: &Schema<'_>) -> Option<String> {
        let place: *const Value = target.node();
        if let Some(rule) = self.grammar.references.get(&place) {
            return Some(rule.clone());
        }
        let name = self.grammar.name()?;
        self.grammar.references.insert(place, name.clone());
        let body = self.value(target)?;
        self.grammar.define(&name, &body);
        Some(name)
    }

    fn of_type(&mut self, schema: &Schema<'_>, kind: &str) -> Option<String> {
        let (view, schema) = (schema, schema.node());
        match kind {
            "null" => only(schema, &["type"]).map(|()| "\"None\"".to_owned()),
            "boolean" => only(schema, &["type"]).map(|()| "boolean".to_owned()),
            "number" => only(schema, &["type"]).map(|()| "number".to_owned()),
            "integer" => self.integer(schema),
            "string" => self.string(schema),
            "array" => self.array(view),
            "object" => {
                only(schema, &["type", "properties", "required", "additionalProperties"])?;
                let Some(properties) = self.properties(view)? else { return Some("dict".to_owned()) };
                let field = |(name, value, required): (String, String, bool)| {
                    Some((
                        format!("{} {value}", literal(&format!("{}: ", python(&Value::from(name))?))),
                        required,
                    ))
                };
                let words = properties.into_iter().map(field).collect::<Option<Vec<_>>>()?;
                let list = self.list(words)?;
                self.grammar.rule(&format!("\"{{\" {list} \"}}\""))
            }
            _ => None,
        }
    }

    fn integer(&mut self, schema: &Value) -> Option<String> {
        only(schema, &["type", "minimum", "maximum"])?;
        let (low, high) = (schema.get("minimum"), schema.get("maximum"));
        if low.is_none() && high.is_none() {
            return Some("integer".to_owned());
        }
        if high.is_none() && matches!(low.and_then(Value::as_i64), Some(0 | 1)) {
            let zero = if low.and_then(Value::as_i64) == Some(0) { "\"0\" | " } else { "" };
            return self.grammar.rule(&format!("{zero}[1-9] [0-9]{{0,17}}"));
        }
        let (low, high) = (low?.as_i64()?, high?.as_i64()?);
        if low > high || high.checked_sub(low)? >= MAX_RANGE {
            return None;
        }
        let words: Vec<String> = (low..=high).map(|n| literal(&n.to_string())).collect();
        self.grammar.rule(&words.join(" | "))
    }

    fn string(&mut self, schema: &Value) -> Option<String> {
        only(schema, &["type", "minLength", "maxLength"])?;
        if schema.get("minLength").is_none() && schema.get("maxLength").is_none() {
            return Some("string".to_owned());
        }
        let times = repetition(schema, "minLength", "maxLength")?;
        self.grammar.rule(&format!("\"\\\"\" dq{times} \"\\\"\" | \"'\" sq{times} \"'\""))
    }

    fn array(&mut self, schema: &Schema<'_>) -> Option<String> {
        let (view, schema) = (schema, schema.node());
        only(schema, &["type", "items", "minItems", "maxItems"])?;
        let item = match schema.get("items") {
            None => "any".to_owned(),
            Some(items) => self.value(&view.at(items))?,
        };
        let (low, high) = bounds(schema, "minItems", "maxItems")?;
        if high == Some(0) {
            return Some("\"[]\"".to_owned());
        }
        let upper = high.map_or(String::new(), |high| (high - 1).to_string());
        let optional = if low == 0 { "?" } else { "" };
        let lower = low.saturating_sub(1);
        self.grammar.rule(&format!("\"[\" ({item} (\", \" {item}){{{lower},{upper}}}){optional} \"]\""))
    }
}

/// Whether `schema` has no keywords except these and purely descriptive ones.
fn only(schema: &Value, keywords: &[&str]) -> Option<()> {
    let known = |key: &String| keywords.contains(&key.as_str()) || is_annotation(key);
    schema.as_object()?.keys().all(known).then_some(())
}

/// Whether `keyword` restricts values of the type `kind`.
fn belongs(keyword: &str, kind: &str) -> bool {
    match keyword {
        "minLength" | "maxLength" | "pattern" | "format" => kind == "string",
        "minimum" | "maximum" | "multipleOf" | "exclusiveMinimum" | "exclusiveMaximum" => {
            matches!(kind, "integer" | "number")
        }
        "items" | "minItems" | "maxItems" | "uniqueItems" | "prefixItems" | "contains" => kind == "array",
        "properties" | "required" | "additionalProperties" | "patternProperties" => kind == "object",
        _ => true,
    }
}

fn has_type(value: &Value, kinds: &Value) -> bool {
    let one = |kind: &str| match value {
        Value::Null => kind == "null",
        Value::Bool(_) => kind == "boolean",
        Value::Number(number) => kind == "number" || (kind == "integer" && !number.is_f64()),
        Value::String(_) => kind == "string",
        Value::Array(_) => kind == "array",
        Value::Object(_) => kind == "object",
    };
    match kinds {
        Value::String(kind) => one(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).any(one),
        _ => false,
    }
}

fn bounds(schema: &Value, low: &str, high: &str) -> Option<(u64, Option<u64>)> {
    let bound = |key: &str| match schema.get(key) {
        None => Some(None),
        Some(value) => value.as_u64().filter(|n| *n <= 4096).map(Some),
    };
    let (low, high) = (bound(low)?.unwrap_or(0), bound(high)?);
    high.is_none_or(|high| low <= high).then_some((low, high))
}

fn repetition(schema: &Value, low: &str, high: &str) -> Option<String> {
    let (low, high) = bounds(schema, low, high)?;
    Some(format!("{{{low},{}}}", high.map_or(String::new(), |high| high.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::Function;
    use serde_json::json;

    fn of(schema: Value) -> Option<String> {
        let function = Function { name: "f".into(), parameters: Some(schema), ..Default::default() };
        call_list(&[&Tool { r#type: "function".into(), function }], true)
    }

    #[test]
    fn what_has_an_exact_form_is_written_and_nothing_else() {
        let property = |schema: Value| {
            of(json!({"type": "object", "properties": {"a": schema}, "$defs": {"N": {"type": "integer"}}}))
        };
        for schema in [
            json!({"type": "integer", "minimum": 1, "maximum": 3}),
            json!({"type": ["string", "null"], "maxLength": 5}),
            json!({"enum": ["a\n", 1, null, {"x": [true]}]}),
            json!({"anyOf": [{"type": "number"}, {"const": "x"}]}),
            json!({"type": "array", "items": {"type": "object", "properties": {"b": {}}, "required": ["b"]}, "maxItems": 3}),
            json!({}),
            json!({"allOf": [{}], "description": "any"}),
            json!({"allOf": [{"$ref": "#/$defs/N"}], "default": 1}),
        ] {
            assert!(property(schema.clone()).is_some(), "{schema}");
        }
        for schema in [
            json!({"type": "string", "pattern": "a"}),
            json!({"type": "string", "format": "date"}),
            json!({"type": "integer", "minimum": 5}),
            json!({"type": "number", "maximum": 5}),
            json!({"not": {}}),
            json!({"allOf": [{}, {"minimum": 1}]}),
            json!({"$ref": "#/$defs/missing"}),
            json!({"type": "object", "required": ["b"]}),
            json!({"enum": []}),
            json!(false),
        ] {
            assert_eq!(property(schema.clone()), None, "{schema}");
        }
        assert_eq!(of(json!({"type": "object", "properties": {"a-b": {}}})), None);
        assert_eq!(of(json!({"type": "object", "properties": {}, "patternProperties": {}})), None);
    }

    #[test]
    fn a_root_that_refers_is_what_it_refers_to_and_a_loop_is_nothing() {
        let plain = of(json!({"type": "object", "properties": {"a": {}}})).unwrap();
        let root = json!({"$ref": "#/$defs/R", "$defs": {"R": {"allOf": [{"$ref": "#/$defs/S"}]}, "S":
            {"type": "object", "properties": {"a": {}}}}});
        assert_eq!(of(root), Some(plain));
        assert_eq!(of(json!({"$ref": "#/$defs/L", "$defs": {"L": {"$ref": "#/$defs/L"}}})), None);
        let inner = json!({"properties": {"a": {"$ref": "#/$defs/L"}}, "$defs": {"L": {"allOf": [{"$ref": "#/$defs/L"}]}}});
        assert_eq!(of(inner), None);
    }

    #[test]
    fn definitions_may_refer_to_themselves() {
        let tree = json!({"type": "object", "properties": {"t": {"$ref": "#/$defs/T"}}, "$defs":
            {"T": {"type": "object", "properties": {"left": {"$ref": "#/$defs/T"}, "n": {"type": "integer"}}}}});
        let grammar = of(tree).unwrap();
        assert!(grammar.starts_with("root ::= \"[\" call \"]\"\ncall ::= \"f(\" "), "{grammar}");
    }
}
