//! Filters that return numbers, and `filesizeformat`.

use minijinja::Error;
use minijinja::value::{Kwargs, Rest, Value, ValueKind};

use super::arguments::{bind, integer, invalid};
use super::number_format::{float, whole};
use super::python;

/// An integer as a value, in 64 bits if possible.
fn whole_value(number: i128) -> Value {
    i64::try_from(number).map_or_else(|_| Value::from(number), Value::from)
}

/// `abs`.
pub(super) fn abs(value: &Value) -> Result<Value, Error> {
    match whole(value, false) {
        Ok(number) => {
            Ok(whole_value(number.checked_abs().ok_or_else(|| invalid("the number is too large"))?))
        }
        Err(_) => float(value).map(|x| Value::from(x.abs())),
    }
}

/// Parses an integer in Python's notation.
fn parse_integer(text: &str, base: i64) -> Option<i128> {
    let text = text.trim();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let lower = digits.to_ascii_lowercase();
    let prefix = lower.get(..2).unwrap_or_default();
    let (base, digits) = match (base, prefix) {
        (16 | 0, "0x") => (16, lower.get(2..)?),
        (8 | 0, "0o") => (8, lower.get(2..)?),
        (2 | 0, "0b") => (2, lower.get(2..)?),
        (0, _) => (10, lower.as_str()),
        (base, _) => (u32::try_from(base).ok().filter(|base| (2..=36).contains(base))?, lower.as_str()),
    };
    let is_grouped = !digits.starts_with('_') && !digits.ends_with('_') && !digits.contains("__");
    let digits = digits.replace('_', "");
    if !is_grouped || digits.starts_with(['-', '+']) {
        return None;
    }
    let size = i128::from_str_radix(&digits, base).ok()?;
    Some(if text.starts_with('-') { -size } else { size })
}

/// Parses a float in Python's notation.
fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim();
    if text.starts_with('_') || text.ends_with('_') || text.contains("__") {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// `int(default=0, base=10)`.
pub(super) fn int(value: &Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let [default, base] = bind(&positional, &kwargs, ["default", "base"])?;
    let base = integer(base.as_ref())?.unwrap_or(10);
    let found = match value.kind() {
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            let truncated = || parse_float(text).filter(|x| x.is_finite()).map(|x| x as i128);
            parse_integer(text, base).or_else(truncated)
        }
        _ => whole(value, true).ok(),
    };
    Ok(found.map_or_else(|| default.unwrap_or_else(|| Value::from(0)), whole_value))
}

/// `float(default=0.0)`.
pub(super) fn to_float(value: &Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let [default] = bind(&positional, &kwargs, ["default"])?;
    let found = match value.as_str() {
        Some(text) => parse_float(text),
        None => float(value).ok(),
    };
    Ok(found.map_or_else(|| default.unwrap_or_else(|| Value::from(0.0)), Value::from))
}

/// Rounds to this many decimal places, halves to even as in Python.
fn rounded(x: f64, places: i64) -> f64 {
    match usize::try_from(places) {
        // Formatting a float rounds its exact value.
        Ok(places) => format!("{x:.*}", places.min(400)).parse().unwrap_or(x),
        Err(_) => {
            let unit = 10_f64.powi(i32::try_from(-places).unwrap_or(i32::MAX));
            let scaled = (x / unit).round_ties_even() * unit;
            if scaled.is_finite() { scaled } else { 0.0 }
        }
    }
}

/// `round(precision=0, method='common')`.
pub(super) fn round(value: &Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let [precision, method] = bind(&positional, &kwargs, ["precision", "method"])?;
    let places = integer(precision.as_ref())?.unwrap_or(0);
    let method = method.map_or_else(|| "common".to_owned(), |m| python::to_str(&m));
    let scale = 10_f64.powi(places.clamp(-400, 400) as i32);
    match method.as_str() {
        "ceil" => Ok(Value::from((float(value)? * scale).ceil() / scale)),
        "floor" => Ok(Value::from((float(value)? * scale).floor() / scale)),
        "common" => match whole(value, false) {
            Ok(number) if places >= 0 => Ok(whole_value(number)),
            Ok(number) => Ok(whole_value(rounded(number as f64, places) as i128)),
            Err(_) => Ok(Value::from(rounded(float(value)?, places))),
        },
        other => Err(invalid(format!("round: expected the method common, ceil or floor, found {other}"))),
    }
}

/// `filesizeformat(binary=False)`.
pub(super) fn filesizeformat(
    value: &Value,
    positional: Rest<Value>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let [binary] = bind(&positional, &kwargs, ["binary"])?;
    let binary = binary.is_some_and(|b| b.is_true());
    let size = match value.as_str() {
        Some(text) => parse_float(text).ok_or_else(|| invalid("filesizeformat: expected a number"))?,
        None => float(value)?,
    };
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    if size == 1.0 {
        return Ok("1 Byte".to_owned());
    }
    if size < base {
        return Ok(format!("{} Bytes", size as i128));
    }
    let mut unit = base;
    let mut letters = ["k", "M", "G", "T", "P", "E", "Z", "Y"].into_iter().peekable();
    while let Some(letter) = letters.next() {
        if size < unit * base || letters.peek().is_none() {
            let prefix = if binary { format!("{}i", letter.to_uppercase()) } else { letter.to_owned() };
            return Ok(format!("{:.1} {prefix}B", size / unit));
        }
        unit *= base;
    }
    Ok(format!("{size} Bytes"))
}
