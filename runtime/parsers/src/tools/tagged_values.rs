//! Arguments in tags as JSON, by the rules of each model family.

use serde_json::{Map, Value};

use super::values::{glm_value, python_float, python_int, qwen3_coder_value};
use crate::json::{normalise, quote};
use crate::python_literal::literal_to_json;
use crate::schema::{infer_type, resolve_type, schema_types};

type Properties = Map<String, Value>;
type KeyAndValue = Option<(String, String)>;

/// The type of a property, also where a branch of its schema states it.
fn stated(key: &str, properties: &Properties) -> Option<String> {
    infer_type(properties.get(key)?)
}

/// A number without a fraction where it has none, as `int(x) if x == int(x) else x` leaves it.
fn whole_number(raw: &str) -> Option<String> {
    let number = python_float(raw)?;
    Some(match number.strip_suffix(".0") {
        Some(whole) if !whole.contains(['e', 'E']) => whole.to_owned(),
        _ => number,
    })
}

fn json_or_literal(raw: &str) -> Option<String> {
    normalise(raw).or_else(|| literal_to_json(raw))
}

/// `NAME" string="true` and a value: a string as it is, or JSON.
fn dsml(header: &str, raw: &str) -> KeyAndValue {
    let (key, string) = header.split_once("\" string=\"")?;
    let value = match string {
        "true" => quote(raw),
        _ => normalise(raw).unwrap_or_else(|| quote(raw)),
    };
    Some((key.to_owned(), value))
}

/// DeepSeek V3.2 and later.
pub(super) fn dsml_argument(header: &str, raw: &str, _: &Properties) -> KeyAndValue {
    dsml(header, raw.trim())
}

/// GigaChat 3.5.
pub(super) fn gcml_argument(header: &str, raw: &str, _: &Properties) -> KeyAndValue {
    dsml(header, raw)
}

/// GLM 4.7.
pub(super) fn glm_argument(key: &str, raw: &str, properties: &Properties) -> KeyAndValue {
    let key = key.trim();
    let kind = properties.get(key).and_then(infer_type);
    Some((key.to_owned(), glm_value(raw, kind.as_deref())))
}

/// MiMo: Qwen3-Coder's rules behind HTML's escapes, and whole numbers without a fraction.
pub(super) fn mimo_argument(key: &str, raw: &str, properties: &Properties) -> KeyAndValue {
    let (key, raw) = (key.trim(), unescape_html(raw));
    let value = match stated(key, properties) {
        Some(kind) if kind.starts_with("num") || kind.starts_with("float") => {
            match raw.to_lowercase().as_str() {
                "null" => "null".to_owned(),
                _ => whole_number(&raw).unwrap_or_else(|| quote(&raw)),
            }
        }
        Some(kind) => qwen3_coder_value(&raw, Some(&serde_json::json!({"type": kind}))),
        None => qwen3_coder_value(&raw, None),
    };
    Some((key.to_owned(), value))
}

/// The escapes of HTML that a model writes: those of markup, and code points.
fn unescape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.char_indices().take(10).find(|(_, c)| *c == ';').map(|(end, _)| end);
        let escaped = end.and_then(|end| Some((end, html_escape(rest.get(1..end)?)?)));
        match escaped {
            Some((end, c)) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn html_escape(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

/// Step 3: JSON or a Python literal where the schema does not say string.
pub(super) fn step3_argument(key: &str, raw: &str, properties: &Properties) -> KeyAndValue {
    let raw = raw.trim();
    let value = match stated(key, properties).as_deref() {
        None | Some("string") => quote(raw),
        Some(_) => json_or_literal(raw).unwrap_or_else(|| quote(raw)),
    };
    Some((key.to_owned(), value))
}

/// MiniCPM 5: as Step 3, in XML. An argument that the schema does not know makes a call none.
pub(super) fn minicpm_argument(key: &str, raw: &str, properties: &Properties) -> KeyAndValue {
    if !properties.is_empty() && !properties.contains_key(key) {
        return None;
    }
    let raw = raw.trim();
    let raw = match raw.strip_prefix("<![CDATA[").and_then(|rest| rest.strip_suffix("]]>")) {
        Some(data) => data.trim().to_owned(),
        None => unescape_html(raw),
    };
    let value = match stated(key, properties).as_deref() {
        Some("string") => quote(&raw),
        _ => json_or_literal(&raw).unwrap_or_else(|| quote(&raw)),
    };
    Some((key.to_owned(), value))
}

/// poolside: as Step 3, and an argument that the schema does not know may be JSON.
pub(super) fn poolside_argument(key: &str, raw: &str, properties: &Properties) -> KeyAndValue {
    let key = key.trim();
    let raw = raw.strip_prefix('\n').unwrap_or(raw);
    let raw = raw.strip_suffix('\n').unwrap_or(raw);
    let json = match stated(key, properties).map(|kind| kind.to_lowercase()).as_deref() {
        Some("string" | "str" | "text" | "enum") => None,
        None => normalise(raw),
        Some(_) => json_or_literal(raw),
    };
    Some((key.to_owned(), json.unwrap_or_else(|| quote(raw))))
}

/// MiniMax M2: the first of the schema's types that the text can be.
pub(super) fn minimax_argument(key: &str, raw: &str, properties: &Properties) -> KeyAndValue {
    let (key, raw) = (key.trim(), raw.trim_matches('\n'));
    let types = properties.get(key).map_or_else(|| vec!["string".to_owned()], schema_types);
    let has =
        |names: &[&str]| types.iter().any(|kind| names.iter().any(|name| kind.eq_ignore_ascii_case(name)));
    let lower = raw.to_lowercase();
    if has(&["null"]) || ["null", "none", "nil"].contains(&lower.as_str()) {
        return Some((key.to_owned(), null_or(raw, &lower, &types)));
    }
    let number = || has(&["number", "float"]).then(|| whole_number(raw)).flatten();
    let boolean = || {
        let known = |word: &str| match word {
            "true" | "1" | "yes" | "on" => Some("true"),
            "false" | "0" | "no" | "off" => Some("false"),
            _ => None,
        };
        has(&["boolean", "bool"]).then(|| known(lower.trim())).flatten().map(str::to_owned)
    };
    let value = has(&["integer", "int"])
        .then(|| python_int(raw))
        .flatten()
        .or_else(number)
        .or_else(boolean)
        .or_else(|| has(&["object", "array"]).then(|| normalise(raw)).flatten())
        .or_else(|| has(&["string", "str", "text"]).then(|| quote(raw)));
    Some((key.to_owned(), value.or_else(|| normalise(raw)).unwrap_or_else(|| quote(raw))))
}

/// A value that may be null. The reference takes every value of such a type for null; here only what says so is.
fn null_or(raw: &str, lower: &str, types: &[String]) -> String {
    if ["null", "none", "nil", ""].contains(&lower) {
        return "null".to_owned();
    }
    let others: Vec<Value> =
        types.iter().filter(|kind| *kind != "null").map(|kind| Value::from(kind.as_str())).collect();
    let schema = Map::from_iter([("v".to_owned(), serde_json::json!({"type": others}))]);
    minimax_argument("v", raw, &schema).map_or_else(|| quote(raw), |(_, value)| value)
}

/// dots: the type may stand behind a reference or in a branch.
pub(super) fn dots_argument(key: &str, raw: &str, properties: &Properties) -> KeyAndValue {
    let raw = raw.trim();
    let kind =
        properties.get(key).and_then(resolve_type).unwrap_or_else(|| "string".to_owned()).to_lowercase();
    let value = match (raw.to_lowercase().as_str(), kind.as_str()) {
        ("null", _) => "null".to_owned(),
        (_, "string" | "str" | "text") => quote(raw),
        (_, "integer" | "int") => python_int(raw).unwrap_or_else(|| quote(raw)),
        (_, "number" | "float") => whole_number(raw).unwrap_or_else(|| quote(raw)),
        (word, "boolean" | "bool") => matches!(word, "true" | "1").to_string(),
        _ => normalise(raw).unwrap_or_else(|| quote(raw)),
    };
    Some((key.to_owned(), value))
}

/// Spark 2.5.
pub(super) fn spark_argument(key: &str, raw: &str, properties: &Properties) -> KeyAndValue {
    let kind = stated(key, properties).map_or_else(|| "string".to_owned(), |kind| kind.to_lowercase());
    let lower = raw.to_lowercase();
    let value = match (lower.as_str(), kind.as_str()) {
        ("null", _) => Some("null".to_owned()),
        (_, "string" | "str" | "text") => Some(quote(raw)),
        (_, "integer" | "int") => python_int(raw),
        (_, "number" | "float") => whole_number(raw),
        (word, "boolean" | "bool") => match word.trim() {
            "true" | "1" => Some("true".to_owned()),
            "false" | "0" => Some("false".to_owned()),
            _ => None,
        },
        _ => None,
    };
    Some((key.to_owned(), value.or_else(|| normalise(raw)).unwrap_or_else(|| quote(raw))))
}

/// Hunyuan: the types of a property or of its branches, the narrower ones first.
pub(super) fn hunyuan_argument(key: &str, raw: &str, properties: &Properties) -> KeyAndValue {
    let key = key.trim();
    let types = hunyuan_types(properties.get(key));
    let has = |name: &str| types.iter().any(|kind| kind == name);
    let boolean = match raw.to_lowercase().as_str() {
        word @ ("true" | "false") if has("boolean") => Some(word.to_owned()),
        _ => None,
    };
    let number = || match raw.contains(['.', 'e', 'E']) {
        true => python_float(raw),
        false => python_int(raw),
    };
    let simple = |kind: &String| ["string", "boolean", "integer", "number"].contains(&kind.as_str());
    let value = boolean
        .or_else(|| has("integer").then(|| python_int(raw)).flatten())
        .or_else(|| has("number").then(number).flatten())
        .or_else(|| types.iter().any(|kind| !simple(kind)).then(|| normalise(raw)).flatten())
        .or_else(|| has("string").then(|| quote(raw)));
    Some((key.to_owned(), value.or_else(|| normalise(raw)).unwrap_or_else(|| quote(raw))))
}

fn hunyuan_types(property: Option<&Value>) -> Vec<String> {
    let string = || vec!["string".to_owned()];
    let Some(property) = property else { return string() };
    let branches = match property.get("type") {
        Some(_) => vec![property],
        None => match ["anyOf", "oneOf"].iter().find_map(|k| property.get(*k)?.as_array()) {
            Some(branches) => branches.iter().collect(),
            None => return string(),
        },
    };
    let kind = |schema: &Value| hunyuan_type(schema.get("type").and_then(Value::as_str).unwrap_or("string"));
    branches.into_iter().map(kind).filter(|kind| kind != "null").collect()
}

fn hunyuan_type(name: &str) -> String {
    let alias = match name {
        "str" | "text" | "varchar" | "char" | "enum" => "string",
        "bool" | "binary" => "boolean",
        "int" => "integer",
        "float" | "double" => "number",
        "list" => "array",
        "dict" | "map" => "object",
        _ => {
            let lower = name.to_lowercase();
            let starts = |prefixes: &[&str]| prefixes.iter().any(|p| lower.starts_with(p));
            if starts(&["int", "uint", "long", "short", "unsigned"]) {
                "integer"
            } else if starts(&["num", "float"]) {
                "number"
            } else {
                name
            }
        }
    };
    alias.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(argument: super::super::tagged_args::Argument, raw: &str, schema: Value) -> String {
        argument("k", raw, &Map::from_iter([("k".to_owned(), schema)])).unwrap().1
    }

    #[test]
    fn minimax_takes_the_narrowest_type_that_fits() {
        let either = json!({"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]});
        let cases = [
            ("5", either.clone(), "5"),
            ("five", either.clone(), "\"five\""),
            ("null", either, "null"),
            ("2.0", json!({"type": "number"}), "2"),
            ("yes", json!({"type": "boolean"}), "true"),
            ("[1,2]", json!({"type": "array"}), "[1, 2]"),
            ("\nParis\n", json!({"type": "string"}), "\"Paris\""),
        ];
        for (raw, schema, want) in cases {
            assert_eq!(value(minimax_argument, raw, schema), want, "{raw}");
        }
    }

    #[test]
    fn html_escapes_are_characters_in_mimo_only() {
        assert_eq!(
            value(mimo_argument, "a &lt;b&gt; &amp;&#38;&#x41; &x; &", json!({"type": "string"})),
            "\"a <b> &&A &x; &\""
        );
        assert_eq!(value(mimo_argument, "5.0", json!({"type": "number"})), "5");
        assert_eq!(value(step3_argument, "a &lt;", json!({"type": "string"})), "\"a &lt;\"");
    }

    #[test]
    fn dsml_says_itself_whether_a_value_is_a_string() {
        let of = |header: &str, raw: &str| dsml_argument(header, raw, &Map::new());
        assert_eq!(of("k\" string=\"true", " 5 "), Some(("k".into(), "\"5\"".into())));
        assert_eq!(of("k\" string=\"false", " 5 "), Some(("k".into(), "5".into())));
        assert_eq!(of("k\" string=\"false", "x"), Some(("k".into(), "\"x\"".into())));
        assert_eq!(of("k", "x"), None);
    }
}
