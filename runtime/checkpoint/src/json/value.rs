//! JSON values for numbers that JSON lacks.

use serde_json::Value;

/// Key of the object that stands for NaN or an infinity (transformers writes the same).
pub(super) const SPECIAL_FLOAT: &str = "__float__";

/// A number, including NaN and infinities as [`super::parse`] represents them.
pub fn number(value: &Value) -> Option<f64> {
    if let Some(number) = value.as_f64() {
        return Some(number);
    }
    match value.get(SPECIAL_FLOAT)?.as_str()? {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// A value for an error message, cut to 60 characters.
pub(crate) fn shorten(value: &Value) -> String {
    let special = value.get(SPECIAL_FLOAT).and_then(Value::as_str);
    let text = special.map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
