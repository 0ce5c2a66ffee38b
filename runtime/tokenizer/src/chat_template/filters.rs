//! Filters that differ from minijinja's.

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::python::{self, JsonOptions};

const TOJSON_PARAMETERS: [&str; 4] = ["ensure_ascii", "indent", "separators", "sort_keys"];

/// `tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False)` of transformers: Python's
/// `json.dumps` without HTML escapes.
pub(super) fn tojson(value: &Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    if positional.len() > TOJSON_PARAMETERS.len() {
        return Err(Error::new(ErrorKind::TooManyArguments, "tojson takes at most four arguments"));
    }
    let mut arguments: [Option<Value>; 4] = [None, None, None, None];
    for ((slot, name), i) in arguments.iter_mut().zip(TOJSON_PARAMETERS).zip(0..) {
        *slot = match positional.get(i) {
            Some(given) => Some(given.clone()),
            None => kwargs.get::<Option<Value>>(name)?,
        };
    }
    kwargs.assert_all_used()?;
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

/// Python's `indent`: a number of spaces or the text itself. A boolean is a number there.
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

/// `join(separator='', attribute=None)` with Python's texts of the items.
pub(super) fn join(value: &Value, separator: Option<&str>, kwargs: Kwargs) -> Result<String, Error> {
    let attribute: Option<Value> = kwargs.get("attribute")?;
    let named: Option<String> = kwargs.get("d")?;
    kwargs.assert_all_used()?;
    let separator = separator.map_or_else(|| named.unwrap_or_default(), str::to_owned);
    let mut parts = Vec::new();
    if !value.is_undefined() {
        for item in value.try_iter()?.checked() {
            let item = item?;
            parts.push(match &attribute {
                Some(name) => python::to_str(&item.get_item(name)?),
                None => python::to_str(&item),
            });
        }
    }
    Ok(parts.join(&separator))
}

/// `trim(chars=None)`: Python's `strip` of the value's text.
pub(super) fn trim(value: &Value, chars: Option<&str>) -> String {
    let text = python::to_str(value);
    super::methods::strip(&text, chars, super::methods::Ends::Both).to_owned()
}

/// `wordcount`: runs of letters, digits and underscores.
pub(super) fn wordcount(value: &Value) -> usize {
    let text = python::to_str(value);
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty()).count()
}
