//! How each model family turns the text of a tagged argument into JSON.

use sglang_json_schema::JsonType;

use super::values::{glm_value, python_float, python_int, qwen3_coder_value};
use crate::json::{normalise, quote};
use crate::python_literal::literal_to_json;
use crate::schema::{Parameter, Parameters};

type KeyAndValue = Option<(String, String)>;

/// The number, written without a fraction if it is whole, as by `int(x) if x == int(x) else x`.
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

/// Reads `NAME" string="true` and a value: a string is taken as it is, anything else as JSON.
fn dsml(header: &str, raw: &str) -> KeyAndValue {
    let (key, string) = header.split_once("\" string=\"")?;
    let value = match string {
        "true" => quote(raw),
        _ => normalise(raw).unwrap_or_else(|| quote(raw)),
    };
    Some((key.to_owned(), value))
}

/// DeepSeek V3.2 and later.
pub(super) fn dsml_argument(header: &str, raw: &str, _: &mut Parameters) -> KeyAndValue {
    dsml(header, raw.trim())
}

/// GigaChat 3.5.
pub(super) fn gcml_argument(header: &str, raw: &str, _: &mut Parameters) -> KeyAndValue {
    dsml(header, raw)
}

/// GLM 4.7.
pub(super) fn glm_argument(key: &str, raw: &str, parameters: &mut Parameters) -> KeyAndValue {
    let key = key.trim();
    Some((key.to_owned(), glm_value(raw, parameters.get(key).as_deref())))
}

/// MiMo: Qwen3-Coder's rules after unescaping HTML; whole numbers lose their fraction.
pub(super) fn mimo_argument(key: &str, raw: &str, parameters: &mut Parameters) -> KeyAndValue {
    let (key, raw) = (key.trim(), unescape_html(raw));
    let parameter = parameters.get(key);
    let parameter = parameter.as_deref();
    let number = parameter.and_then(Parameter::main) == Some(JsonType::Number);
    let settled = parameter.and_then(|parameter| parameter.settled(&raw));
    let value = match settled {
        Some(value) => value,
        None if number && !raw.eq_ignore_ascii_case("null") => {
            whole_number(&raw).unwrap_or_else(|| quote(&raw))
        }
        None => qwen3_coder_value(&raw, parameter),
    };
    Some((key.to_owned(), value))
}

/// Unescapes the HTML that models write: the escapes of markup, and code points.
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

/// Step 3: JSON or a Python literal unless the schema says string.
pub(super) fn step3_argument(key: &str, raw: &str, parameters: &mut Parameters) -> KeyAndValue {
    let raw = raw.trim();
    let parameter = parameters.get(key);
    let settled = parameter.as_deref().and_then(|parameter| parameter.settled(raw));
    let json = || match parameter.as_deref().and_then(Parameter::main) {
        None | Some(JsonType::String) => None,
        Some(_) => json_or_literal(raw),
    };
    let value = settled.or_else(json).unwrap_or_else(|| quote(raw));
    Some((key.to_owned(), value))
}

/// MiniCPM 5: as Step 3, in XML. An argument that the schema does not list invalidates the call.
pub(super) fn minicpm_argument(key: &str, raw: &str, parameters: &mut Parameters) -> KeyAndValue {
    if parameters.lists_any() && parameters.get(key).is_none() {
        return None;
    }
    let raw = raw.trim();
    let raw = match raw.strip_prefix("<![CDATA[").and_then(|rest| rest.strip_suffix("]]>")) {
        Some(data) => data.trim().to_owned(),
        None => unescape_html(raw),
    };
    let parameter = parameters.get(key);
    let settled = parameter.as_deref().and_then(|parameter| parameter.settled(&raw));
    let json = || match parameter.as_deref().and_then(Parameter::main) {
        Some(JsonType::String) => None,
        _ => json_or_literal(&raw),
    };
    let value = settled.or_else(json).unwrap_or_else(|| quote(&raw));
    Some((key.to_owned(), value))
}

/// poolside: as Step 3, but an argument that the schema does not list may be JSON.
pub(super) fn poolside_argument(key: &str, raw: &str, parameters: &mut Parameters) -> KeyAndValue {
    let key = key.trim();
    let raw = raw.strip_prefix('\n').unwrap_or(raw);
    let raw = raw.strip_suffix('\n').unwrap_or(raw);
    let parameter = parameters.get(key);
    let settled = parameter.as_deref().and_then(|parameter| parameter.settled(raw));
    let json = || match parameter.as_deref().and_then(Parameter::main) {
        Some(JsonType::String) => None,
        None => normalise(raw),
        Some(_) => json_or_literal(raw),
    };
    Some((key.to_owned(), settled.or_else(json).unwrap_or_else(|| quote(raw))))
}

/// MiniMax M2: the first of the schema's types that the text fits.
pub(super) fn minimax_argument(key: &str, raw: &str, parameters: &mut Parameters) -> KeyAndValue {
    let (key, raw) = (key.trim(), raw.trim_matches('\n'));
    let parameter = parameters.get(key);
    let parameter = parameter.as_deref();
    if let Some(settled) = parameter.and_then(|parameter| parameter.settled(raw)) {
        return Some((key.to_owned(), settled));
    }
    let lower = raw.to_lowercase();
    // The reference reads every value of a nullable argument as null; here only a text that says null is.
    let empty = lower.is_empty() && parameter.is_some_and(Parameter::nullable);
    if empty || ["null", "none", "nil"].contains(&lower.as_str()) {
        return Some((key.to_owned(), "null".to_owned()));
    }
    let names = |kind: JsonType| parameter.is_some_and(|parameter| parameter.names(kind));
    let number = || names(JsonType::Number).then(|| whole_number(raw)).flatten();
    let boolean = || {
        let known = |word: &str| match word {
            "true" | "1" | "yes" | "on" => Some("true"),
            "false" | "0" | "no" | "off" => Some("false"),
            _ => None,
        };
        names(JsonType::Boolean).then(|| known(lower.trim())).flatten().map(str::to_owned)
    };
    let structured = names(JsonType::Object) || names(JsonType::Array);
    let text = names(JsonType::String) || parameter.is_none_or(|parameter| parameter.named().is_empty());
    let value = names(JsonType::Integer)
        .then(|| python_int(raw))
        .flatten()
        .or_else(number)
        .or_else(boolean)
        .or_else(|| structured.then(|| normalise(raw)).flatten())
        .or_else(|| text.then(|| quote(raw)));
    Some((key.to_owned(), value.or_else(|| normalise(raw)).unwrap_or_else(|| quote(raw))))
}

/// dots: the first type that the schema names.
pub(super) fn dots_argument(key: &str, raw: &str, parameters: &mut Parameters) -> KeyAndValue {
    let raw = raw.trim();
    let parameter = parameters.get(key);
    if let Some(settled) = parameter.as_deref().and_then(|parameter| parameter.settled(raw)) {
        return Some((key.to_owned(), settled));
    }
    let lower = raw.to_lowercase();
    let kind = parameter.as_deref().and_then(|parameter| parameter.named().first().copied());
    let value = match kind {
        _ if lower == "null" => Some("null".to_owned()),
        None | Some(JsonType::String) => None,
        Some(JsonType::Integer) => python_int(raw),
        Some(JsonType::Number) => whole_number(raw),
        Some(JsonType::Boolean) => Some(matches!(lower.as_str(), "true" | "1").to_string()),
        Some(JsonType::Object | JsonType::Array | JsonType::Null) => normalise(raw),
    };
    Some((key.to_owned(), value.unwrap_or_else(|| quote(raw))))
}

/// Spark 2.5.
pub(super) fn spark_argument(key: &str, raw: &str, parameters: &mut Parameters) -> KeyAndValue {
    let parameter = parameters.get(key);
    if let Some(settled) = parameter.as_deref().and_then(|parameter| parameter.settled(raw)) {
        return Some((key.to_owned(), settled));
    }
    let lower = raw.to_lowercase();
    let value = match parameter.as_deref().and_then(Parameter::main) {
        _ if lower == "null" => Some("null".to_owned()),
        None | Some(JsonType::String) => Some(quote(raw)),
        Some(JsonType::Integer) => python_int(raw),
        Some(JsonType::Number) => whole_number(raw),
        Some(JsonType::Boolean) => match lower.trim() {
            "true" | "1" => Some("true".to_owned()),
            "false" | "0" => Some("false".to_owned()),
            _ => None,
        },
        Some(JsonType::Object | JsonType::Array | JsonType::Null) => None,
    };
    Some((key.to_owned(), value.or_else(|| normalise(raw)).unwrap_or_else(|| quote(raw))))
}

/// Hunyuan: the types of the property or of its branches, narrower ones first.
pub(super) fn hunyuan_argument(key: &str, raw: &str, parameters: &mut Parameters) -> KeyAndValue {
    let key = key.trim();
    let parameter = parameters.get(key);
    let parameter = parameter.as_deref();
    if let Some(settled) = parameter.and_then(|parameter| parameter.settled(raw)) {
        return Some((key.to_owned(), settled));
    }
    let names = |kind: JsonType| parameter.is_some_and(|parameter| parameter.names(kind));
    let boolean = match raw.to_lowercase().as_str() {
        word @ ("true" | "false") if names(JsonType::Boolean) => Some(word.to_owned()),
        _ => None,
    };
    let number = || match raw.contains(['.', 'e', 'E']) {
        true => python_float(raw),
        false => python_int(raw),
    };
    let structured = names(JsonType::Object) || names(JsonType::Array);
    let text = names(JsonType::String) || parameter.is_none_or(|parameter| parameter.named().is_empty());
    let value = boolean
        .or_else(|| names(JsonType::Integer).then(|| python_int(raw)).flatten())
        .or_else(|| names(JsonType::Number).then(number).flatten())
        .or_else(|| structured.then(|| normalise(raw)).flatten())
        .or_else(|| text.then(|| quote(raw)));
    Some((key.to_owned(), value.or_else(|| normalise(raw)).unwrap_or_else(|| quote(raw))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn value(argument: super::super::tagged_args::Argument, raw: &str, schema: Value) -> String {
        let tool = json!({"properties": {"k": schema}, "$defs": {"N": {"type": "integer"}}});
        argument("k", raw, &mut Parameters::new(Some(&tool))).unwrap().1
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
        let of = |header: &str, raw: &str| dsml_argument(header, raw, &mut Parameters::default());
        assert_eq!(of("k\" string=\"true", " 5 "), Some(("k".into(), "\"5\"".into())));
        assert_eq!(of("k\" string=\"false", " 5 "), Some(("k".into(), "5".into())));
        assert_eq!(of("k\" string=\"false", "x"), Some(("k".into(), "\"x\"".into())));
        assert_eq!(of("k", "x"), None);
    }
}
