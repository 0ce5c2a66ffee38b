//! HTML escapes (as in markupsafe) and URLs.

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{AutoEscape, Error, State};

use super::arguments::{bind, invalid};
use super::python;

/// The text with `&`, `<`, `>` and both kinds of quote as entities.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    out
}

/// Whether automatic escaping is on.
pub(super) fn is_on(state: &State<'_, '_>) -> bool {
    matches!(state.auto_escape(), AutoEscape::Html)
}

/// A value as it is written into HTML.
pub(super) fn markup(value: &Value) -> String {
    let text = python::to_str(value);
    if value.is_safe() { text } else { escape(&text) }
}

/// `escape`, `e`: leaves values that are marked as safe.
pub(super) fn escape_filter(value: &Value) -> Value {
    Value::from_safe_string(markup(value))
}

/// `forceescape`.
pub(super) fn forceescape(value: &Value) -> Value {
    Value::from_safe_string(escape(&python::to_str(value)))
}

/// `xmlattr(autospace=True)`.
pub(super) fn xmlattr(
    state: &State<'_, '_>,
    value: &Value,
    positional: Rest<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let [autospace] = bind(&positional, &kwargs, ["autospace"])?;
    let mut out = String::new();
    for key in value.try_iter()?.checked() {
        let key = key?;
        let item = value.get_item(&key)?;
        if item.is_none() || item.is_undefined() {
            continue;
        }
        let name = python::to_str(&key);
        if name.contains(|c: char| c.is_whitespace() || "/>=".contains(c)) {
            return Err(invalid(format!("invalid character in attribute name: {}", python::repr(&key))));
        }
        if !out.is_empty() || autospace.as_ref().is_none_or(Value::is_true) {
            out.push(' ');
        }
        out.push_str(&format!("{}=\"{}\"", escape(&name), markup(&item)));
    }
    Ok(if is_on(state) { Value::from_safe_string(out) } else { Value::from(out) })
}

fn quote(text: &str, is_query: bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'.' | b'-' | b'~' => out.push(char::from(byte)),
            b'/' if !is_query => out.push('/'),
            b' ' if is_query => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// `urlencode`: encodes a text, or the pairs of a query.
pub(super) fn urlencode(value: &Value) -> Result<String, Error> {
    if !matches!(value.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::Iterable) {
        return Ok(quote(&python::to_str(value), false));
    }
    let mut parts = Vec::new();
    for item in value.try_iter()?.checked() {
        let item = item?;
        let (key, content) = match value.kind() {
            ValueKind::Map => (item.clone(), value.get_item(&item)?),
            _ => match item.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?.as_slice() {
                [key, content] => (key.clone(), content.clone()),
                _ => return Err(invalid("expected pairs")),
            },
        };
        parts.push(format!(
            "{}={}",
            quote(&python::to_str(&key), true),
            quote(&python::to_str(&content), true)
        ));
    }
    Ok(parts.join("&"))
}
