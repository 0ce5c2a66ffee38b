//! Python's `%` operator: formatting for strings, the remainder for numbers.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::arguments::{self, invalid};
use super::html;
use super::number_format::{Digits, float_digits, integer_digits, padded, whole};
use super::python;

/// `left % right`.
pub(super) fn modulo(left: &Value, right: &Value) -> Result<Value, Error> {
    if let Some(pattern) = left.as_str() {
        return format_value(left, pattern, right);
    }
    let counts = |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    if !counts(left) || !counts(right) {
        let what = format!("unsupported operand types for %: {} and {}", left.kind(), right.kind());
        return Err(invalid(what));
    }
    if let (Ok(a), Ok(b)) = (whole(left, false), whole(right, false)) {
        let rest = a.checked_rem(b).ok_or_else(|| invalid("integer modulo by zero"))?;
        let rest = if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest };
        return Ok(i64::try_from(rest).map_or_else(|_| Value::from(rest), Value::from));
    }
    let (a, b) = (super::number_format::float(left)?, super::number_format::float(right)?);
    if b == 0.0 {
        return Err(invalid("float modulo by zero"));
    }
    let rest = a % b;
    Ok(Value::from(if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }))
}

/// `pattern % arguments`; if the pattern is marked as safe, the arguments are escaped.
pub(super) fn format_value(pattern_value: &Value, pattern: &str, args: &Value) -> Result<Value, Error> {
    let is_safe = pattern_value.is_safe();
    let text = format(pattern, args, is_safe)?;
    Ok(if is_safe { Value::from_safe_string(text) } else { Value::from(text) })
}

/// The source of the arguments.
struct Arguments<'a> {
    all: &'a Value,
    positional: Vec<Value>,
    next: usize,
}

impl Arguments<'_> {
    fn next(&mut self) -> Result<Value, Error> {
        let value = self.positional.get(self.next).cloned();
        self.next += 1;
        value.ok_or_else(|| invalid("not enough arguments for format string"))
    }
}

fn format(pattern: &str, args: &Value, escape: bool) -> Result<String, Error> {
    let positional = match args.is_tuple() {
        true => args.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?,
        false => vec![args.clone()],
    };
    let mut arguments = Arguments { all: args, positional, next: 0 };
    let mut used_key = false;
    let mut out = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        rest = one(after, &mut arguments, &mut used_key, escape, &mut out)?;
    }
    out.push_str(rest);
    let is_mapping = args.kind() == ValueKind::Map;
    if !used_key && !is_mapping && arguments.next < arguments.positional.len() {
        return Err(invalid("not all arguments converted during string formatting"));
    }
    Ok(out)
}

/// Formats one directive, whose `%` has been read; returns the text after it.
fn one<'a>(
    pattern: &'a str,
    args: &mut Arguments<'_>,
    used_key: &mut bool,
    escape: bool,
    out: &mut String,
) -> Result<&'a str, Error> {
    let mut rest = pattern;
    let mut keyed = None;
    if let Some(tail) = rest.strip_prefix('(') {
        let (key, tail) = tail.split_once(')').ok_or_else(|| invalid("incomplete format key"))?;
        if args.all.kind() != ValueKind::Map {
            return Err(invalid("format requires a mapping"));
        }
        let value = args.all.get_item(&Value::from(key))?;
        if value.is_undefined() {
            return Err(Error::new(ErrorKind::InvalidOperation, format!("the mapping has no key {key:?}")));
        }
        (keyed, rest, *used_key) = (Some(value), tail, true);
    }
    let unflagged = rest.trim_start_matches(['-', '+', ' ', '#', '0']);
    let flags = rest.get(..rest.len() - unflagged.len()).unwrap_or_default();
    rest = unflagged;
    let mut is_left = flags.contains('-');
    let width = number(&mut rest, args)?.map(|n| {
        is_left |= n < 0;
        n.unsigned_abs()
    });
    let mut precision = None;
    if let Some(tail) = rest.strip_prefix('.') {
        rest = tail;
        precision = Some(number(&mut rest, args)?.unwrap_or(0).max(0) as usize);
    }
    rest = rest.trim_start_matches(['h', 'l', 'L']);
    let kind = rest.chars().next().ok_or_else(|| invalid("incomplete format"))?;
    rest = rest.get(kind.len_utf8()..).unwrap_or_default();
    if kind == '%' {
        out.push('%');
        return Ok(rest);
    }
    let value = match keyed {
        Some(value) => value,
        None => args.next()?,
    };
    let width = arguments::width(width.map(Value::from).as_ref(), 0)?;
    let cut = |text: String| match precision {
        Some(n) => text.chars().take(n).collect(),
        None => text,
    };
    let text = match kind {
        's' if escape && value.is_safe() => cut(python::to_str(&value)),
        's' if escape => cut(html::escape(&python::to_str(&value))),
        's' => cut(python::to_str(&value)),
        'r' | 'a' if escape => cut(html::escape(&python::repr(&value))),
        'r' | 'a' => cut(python::repr(&value)),
        'c' => match value.as_str() {
            Some(text) if text.chars().count() == 1 => text.to_owned(),
            Some(_) => return Err(invalid("%c requires one character or a code point")),
            None => u32::try_from(whole(&value, false)?)
                .ok()
                .and_then(char::from_u32)
                .ok_or_else(|| invalid("%c requires one character or a code point"))?
                .to_string(),
        },
        'd' | 'i' | 'u' | 'o' | 'x' | 'X' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
            let digits = match kind {
                'd' | 'i' | 'u' => integer_digits(whole(&value, true)?, 'd', false),
                'o' | 'x' | 'X' => integer_digits(whole(&value, false)?, kind, flags.contains('#')),
                _ => float_digits(&value, kind, precision)?,
            };
            signed(digits, flags, width, is_left)
        }
        other => {
            return Err(invalid(format!("unsupported format character '{other}'")));
        }
    };
    let missing = width.saturating_sub(text.chars().count());
    let spaces = " ".repeat(missing);
    if is_left {
        out.push_str(&text);
        out.push_str(&spaces);
    } else {
        out.push_str(&spaces);
        out.push_str(&text);
    }
    Ok(rest)
}

fn signed(digits: Digits, flags: &str, width: usize, is_left: bool) -> String {
    let sign = match () {
        () if digits.is_negative => "-",
        () if flags.contains('+') => "+",
        () if flags.contains(' ') => " ",
        () => "",
    };
    padded(sign, &digits.text, width, flags.contains('0') && !is_left)
}

/// Reads a width or precision: digits, or `*` to take it from the arguments.
fn number(rest: &mut &str, args: &mut Arguments<'_>) -> Result<Option<i64>, Error> {
    if let Some(tail) = rest.strip_prefix('*') {
        *rest = tail;
        return i64::try_from(args.next()?).map(Some);
    }
    let tail = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = rest.get(..rest.len() - tail.len()).unwrap_or_default();
    *rest = tail;
    if digits.is_empty() {
        return Ok(None);
    }
    digits.parse().map(Some).map_err(|_| invalid("a width is too large"))
}
