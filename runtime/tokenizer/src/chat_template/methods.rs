//! Python's methods on values, as far as chat templates call them.

use minijinja::value::{Tuple, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};

use super::python;

/// Which ends of a text are stripped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    Both,
    Left,
    Right,
}

/// What Python's `str.isspace` accepts: Unicode white space and the ASCII separators.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1C}'..='\u{1F}').contains(&c)
}

/// Python's `strip`, `lstrip`, `rstrip`.
pub(super) fn strip<'a>(text: &'a str, chars: Option<&str>, ends: Ends) -> &'a str {
    let drop = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    let text = if ends == Ends::Right { text } else { text.trim_start_matches(drop) };
    if ends == Ends::Left { text } else { text.trim_end_matches(drop) }
}

/// Methods that minijinja does not have itself. What is not found here is looked up in its collection of Python's.
pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    if value.kind() == ValueKind::String
        && let Some(text) = value.as_str()
        && let Some(result) = string_method(text, method, args)?
    {
        return Ok(result);
    }
    if value.kind() == ValueKind::Seq && method == "index" {
        return index(value, args);
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
}

fn index(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let (wanted,): (&Value,) = from_args(args)?;
    for (i, item) in value.try_iter()?.checked().enumerate() {
        if item? == *wanted {
            return Ok(i.into());
        }
    }
    let what = format!("{} is not in list", python::repr(wanted));
    Err(Error::new(ErrorKind::InvalidOperation, what))
}

fn string_method(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let ends = match method {
        "strip" => Some(Ends::Both),
        "lstrip" => Some(Ends::Left),
        "rstrip" => Some(Ends::Right),
        _ => None,
    };
    if let Some(ends) = ends {
        let (chars,): (Option<&str>,) = from_args(args)?;
        return Ok(Some(strip(text, chars, ends).into()));
    }
    Ok(Some(match method {
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            text.strip_prefix(prefix).unwrap_or(text).into()
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            text.strip_suffix(suffix).unwrap_or(text).into()
        }
        "split" => split(text, args)?,
        "rsplit" => rsplit(text, args)?,
        "partition" => {
            let (separator,): (&str,) = from_args(args)?;
            let (head, tail) = text.split_once(separator).map_or((text, None), |(h, t)| (h, Some(t)));
            tuple([head, if tail.is_some() { separator } else { "" }, tail.unwrap_or_default()])
        }
        "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            let (head, tail) = text.rsplit_once(separator).map_or((None, text), |(h, t)| (Some(h), t));
            tuple([head.unwrap_or_default(), if head.is_some() { separator } else { "" }, tail])
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let (sign, digits) = match text.strip_prefix(['-', '+']) {
                Some(digits) => text.split_at(text.len() - digits.len()),
                None => ("", text),
            };
            let missing = width.min(4096).saturating_sub(text.chars().count());
            format!("{sign}{}{digits}", "0".repeat(missing)).into()
        }
        "ljust" | "rjust" => {
            let (width, fill): (usize, Option<&str>) = from_args(args)?;
            let missing = width.min(4096).saturating_sub(text.chars().count());
            let padding = fill.unwrap_or(" ").repeat(missing);
            if method == "ljust" { format!("{text}{padding}") } else { format!("{padding}{text}") }.into()
        }
        _ => return Ok(None),
    }))
}

fn tuple(parts: [&str; 3]) -> Value {
    Value::from(Tuple::from(parts.map(Value::from)))
}

/// A count of splits; negative means no limit.
fn limit(count: Option<i64>) -> usize {
    count.and_then(|n| usize::try_from(n).ok()).map_or(usize::MAX, |n| n.saturating_add(1))
}

fn split(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, count): (Option<&str>, Option<i64>) = from_args(args)?;
    let limit = limit(count);
    match separator {
        Some("") => Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        Some(separator) => Ok(text.splitn(limit, separator).collect()),
        None => {
            let mut parts = Vec::new();
            let mut rest = strip(text, None, Ends::Left);
            while !rest.is_empty() {
                if parts.len() + 1 == limit {
                    parts.push(strip(rest, None, Ends::Right));
                    break;
                }
                let at = rest.find(is_space).unwrap_or(rest.len());
                let (part, tail) = rest.split_at(at);
                parts.push(part);
                rest = strip(tail, None, Ends::Left);
            }
            Ok(parts.into_iter().collect())
        }
    }
}

fn rsplit(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, count): (Option<&str>, Option<i64>) = from_args(args)?;
    let Some(separator) = separator.filter(|s| !s.is_empty()) else {
        return Err(Error::new(ErrorKind::InvalidOperation, "rsplit: expected a separator"));
    };
    let mut parts: Vec<_> = text.rsplitn(limit(count), separator).collect();
    parts.reverse();
    Ok(parts.into_iter().collect())
}
