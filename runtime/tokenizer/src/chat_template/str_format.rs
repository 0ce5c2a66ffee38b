//! Python's `str.format`.

use minijinja::Error;
use minijinja::value::{Kwargs, Rest, Value, ValueKind, from_args};

use super::arguments::{self, invalid};
use super::number_format::{Digits, float_digits, integer_digits, padded, whole};
use super::padding::centered;
use super::python;

struct Fields {
    positional: Rest<Value>,
    kwargs: Kwargs,
    next: usize,
}

/// `pattern.format(…)`.
pub(super) fn format(pattern: &str, args: &[Value]) -> Result<String, Error> {
    let (positional, kwargs): (Rest<Value>, Kwargs) = from_args(args)?;
    expand(pattern, &mut Fields { positional, kwargs, next: 0 }, 2)
}

/// Fills in the fields of a pattern; `levels` limits how deep fields may nest.
fn expand(pattern: &str, fields: &mut Fields, levels: usize) -> Result<String, Error> {
    let Some(levels) = levels.checked_sub(1) else { return Err(invalid("max string recursion exceeded")) };
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        if tail.starts_with("{{") || tail.starts_with("}}") {
            out.push_str(tail.get(..1).unwrap_or_default());
            rest = tail.get(2..).unwrap_or_default();
        } else if let Some(inner) = tail.strip_prefix('{') {
            let end = field_end(inner).ok_or_else(|| invalid("expected '}' before end of string"))?;
            out.push_str(&field(inner.get(..end).unwrap_or_default(), fields, levels)?);
            rest = inner.get(end + 1..).unwrap_or_default();
        } else {
            return Err(invalid("single '}' encountered in format string"));
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The end of the field that `inner` continues.
fn field_end(inner: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn field(text: &str, fields: &mut Fields, levels: usize) -> Result<String, Error> {
    let at = text.find([':', '!']).unwrap_or(text.len());
    let (name, mut tail) = text.split_at(at);
    let mut value = lookup(name, fields)?;
    if let Some(conversion) = tail.strip_prefix('!') {
        value = match conversion.chars().next() {
            Some('r' | 'a') => python::repr(&value).into(),
            Some('s') => python::to_str(&value).into(),
            _ => return Err(invalid("expected a conversion r, s or a after '!'")),
        };
        tail = conversion.get(1..).unwrap_or_default();
    }
    let spec = match tail.strip_prefix(':') {
        Some(spec) => expand(spec, fields, levels)?,
        None if tail.is_empty() => String::new(),
        None => return Err(invalid("expected ':' after conversion specifier")),
    };
    formatted(&value, &spec)
}

/// The value of a field name: a position, a keyword or nothing, followed by attributes and items.
fn lookup(name: &str, fields: &mut Fields) -> Result<Value, Error> {
    let at = name.find(['.', '[']).unwrap_or(name.len());
    let (first, mut rest) = name.split_at(at);
    let position = match first {
        "" => {
            fields.next += 1;
            Some(fields.next - 1)
        }
        first => first.parse::<usize>().ok(),
    };
    let mut value = match position {
        Some(i) => fields.positional.get(i).cloned().ok_or_else(|| {
            invalid(format!("replacement index {i} out of range for positional args tuple"))
        })?,
        None => fields.kwargs.get::<Value>(first)?,
    };
    while !rest.is_empty() {
        let (key, tail) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']').ok_or_else(|| invalid("missing ']' in format string"))?,
            None => {
                let inner = rest.get(1..).unwrap_or_default();
                inner.split_at(inner.find(['.', '[']).unwrap_or(inner.len()))
            }
        };
        value = match key.parse::<usize>() {
            Ok(i) if value.kind() != ValueKind::Map => value.get_item_by_index(i)?,
            _ => value.get_item(&Value::from(key))?,
        };
        if value.is_undefined() {
            return Err(invalid(format!("nothing is called {key:?} in {name:?}")));
        }
        rest = tail;
    }
    Ok(value)
}

/// `format(value, spec)`: `[[fill]align][sign][#][0][width][,][.precision][type]`.
fn formatted(value: &Value, spec: &str) -> Result<String, Error> {
    if spec.is_empty() {
        return Ok(python::to_str(value));
    }
    let unfit = || invalid(format!("invalid format specifier {spec:?} for a value of type {}", value.kind()));
    let mut chars: Vec<char> = spec.chars().collect();
    chars.reverse();
    let is_align = |c: &char| matches!(c, '<' | '>' | '^' | '=');
    let (mut fill, mut align) = (' ', None);
    if chars.iter().rev().nth(1).is_some_and(is_align) {
        fill = chars.pop().unwrap_or(' ');
        align = chars.pop();
    } else if chars.last().is_some_and(is_align) {
        align = chars.pop();
    }
    let sign = chars.pop_if(|c| matches!(c, '+' | '-' | ' '));
    let prefixed = chars.pop_if(|c| *c == '#').is_some();
    if chars.pop_if(|c| *c == '0').is_some() {
        fill = if align.is_none() { '0' } else { fill };
        align = align.or(Some('='));
    }
    let number = |chars: &mut Vec<char>| -> Option<usize> {
        let mut digits = String::new();
        while let Some(digit) = chars.pop_if(|c| c.is_ascii_digit()) {
            digits.push(digit);
        }
        digits.parse().ok()
    };
    let columns = arguments::width(number(&mut chars).map(Value::from).as_ref(), 0)?;
    let group = chars.pop_if(|c| matches!(c, ',' | '_'));
    let precision = match chars.pop_if(|c| *c == '.') {
        Some(_) => Some(number(&mut chars).ok_or_else(unfit)?),
        None => None,
    };
    let kind = chars.pop();
    if !chars.is_empty() {
        return Err(unfit());
    }
    let is_number = matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    if !is_number {
        if value.kind() != ValueKind::String || !matches!(kind, None | Some('s')) || sign.is_some() {
            return Err(unfit());
        }
        let text = python::to_str(value);
        let text = match precision {
            Some(n) => text.chars().take(n).collect(),
            None => text,
        };
        return aligned(&text, columns, fill, align.filter(|a| *a != '=').unwrap_or('<'));
    }
    let is_whole = value.kind() == ValueKind::Bool || value.is_integer();
    let digits = match kind {
        Some('s') => return Err(unfit()),
        Some('c') => {
            let code = u32::try_from(whole(value, false)?).ok().and_then(char::from_u32).ok_or_else(unfit)?;
            return aligned(&code.to_string(), columns, fill, align.unwrap_or('<'));
        }
        Some(kind @ ('d' | 'n' | 'b' | 'o' | 'x' | 'X')) if is_whole => {
            integer_digits(whole(value, false)?, kind, prefixed)
        }
        None if is_whole && precision.is_none() => integer_digits(whole(value, false)?, 'd', false),
        Some(kind @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%')) => float_digits(value, kind, precision)?,
        None if precision.is_some() => float_digits(value, 'g', precision)?,
        None => {
            let text = python::to_str(value);
            let bare = text.strip_prefix('-');
            Digits { is_negative: bare.is_some(), text: bare.unwrap_or(&text).to_owned() }
        }
        Some(_) => return Err(unfit()),
    };
    let text = match group {
        Some(mark) => {
            grouped(&digits.text, mark, if matches!(kind, Some('x' | 'X' | 'b' | 'o')) { 4 } else { 3 })
        }
        None => digits.text,
    };
    let sign = match sign {
        _ if digits.is_negative => "-",
        Some('+') => "+",
        Some(' ') => " ",
        _ => "",
    };
    match align {
        Some('=') if fill == '0' => Ok(padded(sign, &text, columns, true)),
        Some('=') => {
            let missing = columns.saturating_sub(sign.len() + text.chars().count());
            Ok(format!("{sign}{}{text}", fill.to_string().repeat(missing)))
        }
        align => aligned(&format!("{sign}{text}"), columns, fill, align.unwrap_or('>')),
    }
}

fn aligned(text: &str, columns: usize, fill: char, align: char) -> Result<String, Error> {
    let missing = columns.saturating_sub(text.chars().count());
    let fill = fill.to_string();
    Ok(match align {
        '<' => format!("{text}{}", fill.repeat(missing)),
        // Unlike in `center`, the right side gets the extra character of an odd fill.
        '^' if missing % 2 == 1 => {
            let left = missing / 2;
            format!("{}{text}{}", fill.repeat(left), fill.repeat(missing - left))
        }
        '^' => centered(text, columns, &fill),
        _ => format!("{}{text}", fill.repeat(missing)),
    })
}

/// The integer digits, grouped.
fn grouped(digits: &str, mark: char, size: usize) -> String {
    let end = digits.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(digits.len());
    let (head, tail) = digits.split_at(end);
    let count = head.chars().count();
    let mut out = String::new();
    for (i, c) in head.chars().enumerate() {
        if i > 0 && (count - i).is_multiple_of(size) {
            out.push(mark);
        }
        out.push(c);
    }
    out + tail
}
