//! Formats numbers as Python does.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::arguments::invalid;

/// Most digits after the point that a template may ask for.
const MOST_DIGITS: usize = 1024;

/// A number as its sign and its digits.
pub(super) struct Digits {
    pub(super) is_negative: bool,
    pub(super) text: String,
}

/// `%e`: one digit before the point.
fn exponential(x: f64, precision: usize) -> String {
    let text = format!("{x:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

/// `%g`: this many significant digits, without trailing zeros.
fn general(x: f64, precision: usize) -> String {
    let precision = precision.max(1);
    let scientific = exponential(x, precision - 1);
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i64 = exponent.parse().unwrap_or(0);
    let without_zeros = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..precision as i64).contains(&power) {
        let places = (precision as i64 - 1 - power).max(0) as usize;
        without_zeros(&format!("{x:.places$}"))
    } else {
        format!("{}e{exponent}", without_zeros(digits))
    }
}

/// The number as a float; booleans count as numbers.
pub(super) fn float(value: &Value) -> Result<f64, Error> {
    match value.kind() {
        ValueKind::Bool => Ok(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()),
        other => Err(invalid(format!("expected a number, found {other}"))),
    }
}

/// The float formats `e`, `f`, `g` (or upper-case) and `%`.
pub(super) fn float_digits(value: &Value, kind: char, precision: Option<usize>) -> Result<Digits, Error> {
    let x = float(value)?;
    let precision = precision.unwrap_or(6);
    if precision > MOST_DIGITS {
        return Err(invalid(format!("expected at most {MOST_DIGITS} digits, found {precision}")));
    }
    let size = x.abs();
    let text = match kind.to_ascii_lowercase() {
        _ if x.is_nan() => "nan".to_owned(),
        _ if x.is_infinite() => "inf".to_owned(),
        'e' => exponential(size, precision),
        'g' => general(size, precision),
        '%' => format!("{:.precision$}%", size * 100.0),
        _ => format!("{size:.precision$}"),
    };
    let text = if kind.is_ascii_uppercase() { text.to_ascii_uppercase() } else { text };
    Ok(Digits { is_negative: x.is_sign_negative() && !x.is_nan(), text })
}

/// The integer formats `d`, `b`, `o`, `x`, `X`; `prefixed` adds `0x` and the like.
pub(super) fn integer_digits(number: i128, kind: char, prefixed: bool) -> Digits {
    let size = number.unsigned_abs();
    let (prefix, digits) = match kind {
        'b' => ("0b", format!("{size:b}")),
        'o' => ("0o", format!("{size:o}")),
        'x' => ("0x", format!("{size:x}")),
        'X' => ("0X", format!("{size:X}")),
        _ => ("", size.to_string()),
    };
    let text = if prefixed { format!("{prefix}{digits}") } else { digits };
    Digits { is_negative: number < 0, text }
}

/// The number as an integer; booleans count as numbers, and with `truncate` floats lose their fraction.
pub(super) fn whole(value: &Value, truncate: bool) -> Result<i128, Error> {
    match value.kind() {
        ValueKind::Bool => Ok(i128::from(value.is_true())),
        ValueKind::Number if value.is_integer() => i128::try_from(value.clone()),
        ValueKind::Number if truncate => {
            let x = f64::try_from(value.clone())?;
            if x.is_finite() {
                Ok(x as i128)
            } else {
                Err(invalid("cannot convert an infinite float to an integer"))
            }
        }
        other => Err(invalid(format!("expected a whole number, found {other}"))),
    }
}

/// A sign and digits, padded to a width; zeros are inserted between them.
pub(super) fn padded(sign: &str, digits: &str, width: usize, fill_zeros: bool) -> String {
    let missing = width.saturating_sub(sign.chars().count() + digits.chars().count());
    let zeros = if fill_zeros { "0".repeat(missing) } else { String::new() };
    format!("{sign}{zeros}{digits}")
}
