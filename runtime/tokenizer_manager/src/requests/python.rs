//! Prints values like Python: the reference's error messages quote the client's input that way.

use serde_json::Value;

use sglang_proto::sampling_params::python_float;

/// Longest quotation of a client's input in an error message, in characters.
const MAX_QUOTED: usize = 2000;

/// `repr(value)` of parsed JSON, cut after [`MAX_QUOTED`] characters.
pub fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(value, &mut out);
    match out.char_indices().nth(MAX_QUOTED) {
        Some((at, _)) => {
            out.truncate(at);
            out.push('…');
            out
        }
        None => out,
    }
}

fn write_repr(value: &Value, out: &mut String) {
    if out.len() > MAX_QUOTED * 4 {
        return;
    }
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(n) => match n.as_f64() {
            Some(f) if n.is_f64() => out.push_str(&python_float(f)),
            _ => out.push_str(&n.to_string()),
        },
        Value::String(s) => out.push_str(&str_repr(s)),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_repr(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                out.push_str(&str_repr(key));
                out.push_str(": ");
                write_repr(item, out);
            }
            out.push('}');
        }
    }
}

/// `repr(text)`: in single quotes unless the text contains some and no double ones.
pub fn str_repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// Python's name for the value's type.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_prints_as_python_would() {
        assert_eq!(
            repr(&json!({"a": [1, 1.0, true, null], "b": "it's", "c": "x"})),
            r#"{'a': [1, 1.0, True, None], 'b': "it's", 'c': 'x'}"#
        );
        assert_eq!(str_repr("a'\"\n"), "'a\\'\"\\n'");
    }

    #[test]
    fn a_long_input_is_cut() {
        let text = repr(&Value::from("x".repeat(10_000)));
        assert_eq!(text.chars().count(), MAX_QUOTED + 1);
        assert!(text.ends_with('…'));
    }
}
