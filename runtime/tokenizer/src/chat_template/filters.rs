//! Filters that differ from minijinja's.

use minijinja::value::{Kwargs, Rest, Tuple, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::arguments::{self, bind};
use super::python::{self, JsonOptions};
use super::strings::{self, Ends};
use super::{html, printf};

const TOJSON_PARAMETERS: [&str; 4] = ["ensure_ascii", "indent", "separators", "sort_keys"];

/// `tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False)` of transformers: Python's
/// `json.dumps` without HTML escapes.
pub(super) fn tojson(value: &Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let arguments = bind(&positional, &kwargs, TOJSON_PARAMETERS)?;
    let [ensure_ascii, indent, separators, sort_keys] = arguments.map(|a| a.filter(|v| !v.is_none()));
    let indent = indent.map(|v| indent_text(&v)).transpose()?;
    let (mut item, mut key) = (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned());
    if let Some(pair) = separators {
        let pair = pair.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
        let [i, k] = pair.as_slice() else {
            return Err(Error::new(ErrorKind::InvalidOperation, "separators: expected a pair of texts"));
        };
        (item, key) = (python::to_str(i), python::to_str(k));
    }
    let options = JsonOptions {
        ensure_ascii: ensure_ascii.is_some_and(|v| v.is_true()),
        indent,
        item_separator: item,
        key_separator: key,
        sort_keys: sort_keys.is_some_and(|v| v.is_true()),
    };
    options.dumps(value).map(Value::from)
}

/// Python's `indent`: a number of spaces, or the text itself. A boolean counts as a number.
fn indent_text(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Bool => Ok(" ".repeat(usize::from(value.is_true()))),
        _ => {
            let spaces = i64::try_from(value.clone())?.clamp(0, 64);
            Ok(" ".repeat(spaces as usize))
        }
    }
}

/// `join(separator='', attribute=None)`, with the items as Python's `str` writes them. With automatic escaping, one
/// safe item makes the result safe, and the other items are escaped.
pub(super) fn join(
    state: &State<'_, '_>,
    value: &Value,
    positional: Rest<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let [separator, attribute] = bind(&positional, &kwargs, ["d", "attribute"])?;
    let attribute = attribute.filter(|a| !a.is_none());
    let mut items = Vec::new();
    if !value.is_undefined() {
        for item in value.try_iter()?.checked() {
            let item = item?;
            items.push(match &attribute {
                Some(name) => item.get_item(name)?,
                None => item,
            });
        }
    }
    let separator = separator.unwrap_or_else(|| Value::from(""));
    if html::is_on(state) && items.iter().chain([&separator]).any(Value::is_safe) {
        let parts: Vec<String> = items.iter().map(html::markup).collect();
        return Ok(Value::from_safe_string(parts.join(&html::markup(&separator))));
    }
    let parts: Vec<String> = items.iter().map(python::to_str).collect();
    Ok(parts.join(&python::to_str(&separator)).into())
}

/// `trim(chars=None)`: Python's `strip` of the value's text.
pub(super) fn trim(value: &Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let [chars] = bind(&positional, &kwargs, ["chars"])?;
    let chars = chars.filter(|c| !c.is_none());
    let text = python::to_str(value);
    let rest = strings::strip(&text, chars.as_ref().map(arguments::text).transpose()?, Ends::Both).to_owned();
    Ok(if value.is_safe() { Value::from_safe_string(rest) } else { rest.into() })
}

/// `wordcount`: counts runs of letters, digits and underscores.
pub(super) fn wordcount(value: &Value) -> usize {
    let text = python::to_str(value);
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty()).count()
}

/// `default(default_value='', boolean=False)`.
pub(super) fn default(value: &Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let [other, boolean] = bind(&positional, &kwargs, ["default_value", "boolean"])?;
    let is_missing = value.is_undefined() || (boolean.is_some_and(|b| b.is_true()) && !value.is_true());
    Ok(if is_missing { other.unwrap_or_else(|| Value::from("")) } else { value.clone() })
}

/// `format(*args, **kwargs)`: Python's `%` on a string.
pub(super) fn format(value: &Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let mut named = Vec::new();
    for name in kwargs.args() {
        named.push((name.to_owned(), kwargs.get::<Value>(name)?));
    }
    if !named.is_empty() && !positional.is_empty() {
        return Err(arguments::invalid("format: expected positional or named arguments, found both"));
    }
    let args = match named.is_empty() {
        true => Value::from(Tuple::new(positional.0)),
        false => Value::from_pairs(named),
    };
    printf::format_value(value, &python::to_str(value), &args)
}

/// `pprint` for values that fit on a line; keys are sorted.
pub(super) fn pprint(value: &Value) -> String {
    python::sorted_repr(value)
}

/// `random`: one of the items.
pub(super) fn random(state: &mut State<'_, '_>, value: &Value) -> Result<Value, Error> {
    if value.len() == Some(0) {
        return Ok(Value::UNDEFINED);
    }
    minijinja_contrib::filters::random(state, value)
}

/// `striptags`: removes tags and comments, and resolves entities.
pub(super) fn striptags(value: &Value) -> String {
    minijinja_contrib::filters::striptags(python::to_str(value))
}

/// Calls a filter of minijinja that accepts only named arguments the way Jinja2 calls it.
pub(super) fn renamed<const N: usize>(
    names: [&'static str; N],
    filter: fn(&State<'_, '_>, Value, Kwargs) -> Result<Value, Error>,
) -> impl Fn(&State<'_, '_>, Value, Rest<Value>, Kwargs) -> Result<Value, Error> {
    move |state, value, positional, kwargs| {
        filter(state, value, arguments::named(&positional, &kwargs, names)?)
    }
}
