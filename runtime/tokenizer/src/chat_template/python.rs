//! Writes values as Python does: `str()`, `repr()` and `json.dumps`.

use std::fmt::Write;
use std::sync::LazyLock;

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};
use regex::Regex;

use super::globals::Range;

/// `str(value)`; an undefined value is empty, as in Jinja.
pub(super) fn to_str(value: &Value) -> String {
    match value.kind() {
        ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
        ValueKind::Undefined => String::new(),
        _ => repr(value),
    }
}

/// `repr(value)`.
pub(super) fn repr(value: &Value) -> String {
    match value.kind() {
        ValueKind::Undefined => "Undefined".to_owned(),
        ValueKind::None => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::Number => number(value, ["nan", "inf", "-inf"]),
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Bytes => bytes(value.as_bytes().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Map => match value.downcast_object_ref::<Range>() {
            Some(range) => range.repr_text(),
            None => container(value, false).unwrap_or_else(|| value.to_string()),
        },
        _ => value.to_string(),
    }
}

/// [`repr`] with sorted keys.
pub(super) fn sorted_repr(value: &Value) -> String {
    match value.kind() {
        ValueKind::Seq | ValueKind::Map => container(value, true).unwrap_or_else(|| repr(value)),
        _ => repr(value),
    }
}

fn container(value: &Value, sorted: bool) -> Option<String> {
    let is_map = value.kind() == ValueKind::Map;
    let write = |value: &Value| if sorted { sorted_repr(value) } else { repr(value) };
    let mut items = value.try_iter().ok()?.checked().collect::<Result<Vec<_>, _>>().ok()?;
    if is_map && sorted {
        items.sort();
    }
    let mut parts = Vec::new();
    for item in items {
        if is_map {
            parts.push(format!("{}: {}", write(&item), write(&value.get_item(&item).ok()?)));
        } else {
            parts.push(write(&item));
        }
    }
    let body = parts.join(", ");
    Some(match (is_map, value.is_tuple(), parts.len()) {
        (true, _, _) => format!("{{{body}}}"),
        (_, true, 1) => format!("({body},)"),
        (_, true, _) => format!("({body})"),
        _ => format!("[{body}]"),
    })
}

/// A string in Python's quotes: single ones, or double ones if that avoids escapes.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if is_printable(c) => out.push(c),
            c => {
                let _ = match c as u32 {
                    code @ ..0x100 => write!(out, "\\x{code:02x}"),
                    code @ ..0x10000 => write!(out, "\\u{code:04x}"),
                    code => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(quote);
    out
}

/// Bytes as Python writes them.
fn bytes(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { b'"' } else { b'\'' };
    let mut out = String::from("b");
    out.push(char::from(quote));
    for byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte if *byte == quote => {
                out.push('\\');
                out.push(char::from(*byte));
            }
            b' '..=b'~' => out.push(char::from(*byte)),
            byte => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push(char::from(quote));
    out
}

/// Control characters, separators and unassigned code points.
static UNPRINTABLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\p{C}\p{Z}]$").ok());

/// Whether Python's `str.isprintable` accepts the character.
pub(super) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    !UNPRINTABLE.as_ref().is_some_and(|pattern| pattern.is_match(c.encode_utf8(&mut [0; 4])))
}

/// A number. `special` are the names of NaN, infinity and negative infinity.
fn number(value: &Value, special: [&str; 3]) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    let Ok(x) = f64::try_from(value.clone()) else { return value.to_string() };
    if x.is_nan() {
        return special[0].to_owned();
    }
    if x.is_infinite() {
        return special[if x > 0.0 { 1 } else { 2 }].to_owned();
    }
    float(x)
}

/// Python's shortest form of a finite float, with an exponent below 1e-4 and from 1e16 on.
fn float(x: f64) -> String {
    let scientific = format!("{x:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if x == 0.0 || (-4..16).contains(&exponent) {
        let plain = x.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// Options of `json.dumps`.
pub(super) struct JsonOptions {
    pub(super) ensure_ascii: bool,
    /// The text that indents one level, `None` for a single line.
    pub(super) indent: Option<String>,
    pub(super) item_separator: String,
    pub(super) key_separator: String,
    pub(super) sort_keys: bool,
}

impl JsonOptions {
    /// `json.dumps(value, …)`.
    pub(super) fn dumps(&self, value: &Value) -> Result<String, Error> {
        let mut out = String::new();
        self.write(value, 0, &mut out)?;
        Ok(out)
    }

    fn write(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(&number(value, ["NaN", "Infinity", "-Infinity"])),
            ValueKind::String => self.write_text(value.as_str().unwrap_or_default(), out),
            ValueKind::Map => {
                let mut pairs = Vec::new();
                for key in value.try_iter()?.checked() {
                    let key = key?;
                    pairs.push((key_text(&key)?, value.get_item(&key)?));
                }
                if self.sort_keys {
                    pairs.sort_by(|a, b| a.0.cmp(&b.0));
                }
                self.write_items(('{', '}'), pairs.len(), depth, out, |i, out| {
                    let Some((key, value)) = pairs.get(i) else { return Ok(()) };
                    self.write_text(key, out);
                    out.push_str(&self.key_separator);
                    self.write(value, depth + 1, out)
                })?;
            }
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
                self.write_items(('[', ']'), items.len(), depth, out, |i, out| match items.get(i) {
                    Some(item) => self.write(item, depth + 1, out),
                    None => Ok(()),
                })?;
            }
            other => {
                let what = format!("Object of type {other} is not JSON serializable");
                return Err(Error::new(ErrorKind::InvalidOperation, what));
            }
        }
        Ok(())
    }

    fn write_items(
        &self,
        (open, close): (char, char),
        count: usize,
        depth: usize,
        out: &mut String,
        mut item: impl FnMut(usize, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        out.push(open);
        for i in 0..count {
            if i > 0 {
                out.push_str(&self.item_separator);
            }
            self.new_line(depth + 1, out);
            item(i, out)?;
        }
        if count > 0 {
            self.new_line(depth, out);
        }
        out.push(close);
        Ok(())
    }

    fn new_line(&self, depth: usize, out: &mut String) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            out.push_str(&indent.repeat(depth));
        }
    }

    fn write_text(&self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{C}' => out.push_str("\\f"),
                c if (c as u32) < 0x20 || (self.ensure_ascii && !c.is_ascii()) => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

/// A key as text; `json.dumps` converts keys that are not strings.
fn key_text(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_owned()),
        ValueKind::None => Ok("null".to_owned()),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::Number => Ok(number(key, ["NaN", "Infinity", "-Infinity"])),
        other => {
            let what = format!("keys must be str, int, float, bool or None, not {other}");
            Err(Error::new(ErrorKind::InvalidOperation, what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-2.5e-7, "-2.5e-07"),
        ];
        for (x, text) in cases {
            assert_eq!(float(x), text);
        }
    }

    #[test]
    fn texts_are_quoted_as_python_quotes_them() {
        let cases = [
            ("a", "'a'"),
            ("it's", "\"it's\""),
            ("it's \"so\"", "'it\\'s \"so\"'"),
            ("a\n\t\\\u{1}é\u{7f}", "'a\\n\\t\\\\\\x01é\\x7f'"),
        ];
        for (text, repr) in cases {
            assert_eq!(quoted(text), repr);
        }
    }
}
