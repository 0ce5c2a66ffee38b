//! The types that a flag's value may have.

use serde_json::Value;

use super::range::Range;
use super::spec::Kind;

/// A JSON object given as a flag's value.
pub type JsonObject = serde_json::Map<String, Value>;

/// A type that can be read from the texts after a flag. `None` means that the flag was not given and has no default.
pub(super) trait FlagValue: Sized {
    /// The kind of value, for the parser.
    const KIND: Kind;
    /// The values that the type can hold, if these are not all values of its kind.
    const RANGE: Range = Range::Any;
    /// Reads the value; the error says what would have been valid.
    fn read(texts: Option<&[String]>) -> Result<Self, String>;
    /// The value as `/get_server_info` shows it.
    fn json(&self) -> Value;
}

/// The single text of a flag that takes one value.
fn one(texts: Option<&[String]>) -> Result<&str, String> {
    match texts {
        Some([text]) => Ok(text),
        Some(_) => Err("expected exactly one value".to_owned()),
        None => Err("a value is required".to_owned()),
    }
}

impl FlagValue for bool {
    const KIND: Kind = Kind::Switch;
    fn read(texts: Option<&[String]>) -> Result<Self, String> {
        match texts.map(|t| t.iter().map(String::as_str).collect::<Vec<_>>()).as_deref() {
            None | Some(["false"]) => Ok(false),
            Some([] | ["true"]) => Ok(true),
            Some(_) => Err("expected true or false".to_owned()),
        }
    }
    fn json(&self) -> Value {
        Value::Bool(*self)
    }
}

impl FlagValue for String {
    const KIND: Kind = Kind::Text;
    fn read(texts: Option<&[String]>) -> Result<Self, String> {
        one(texts).map(str::to_owned)
    }
    fn json(&self) -> Value {
        Value::String(self.clone())
    }
}

macro_rules! whole_number {
    ($($ty:ty: $range:expr),*) => {$(
        impl FlagValue for $ty {
            const KIND: Kind = Kind::Int;
            const RANGE: Range = $range;
            fn read(texts: Option<&[String]>) -> Result<Self, String> {
                one(texts)?.parse().map_err(|_| "expected a whole number".to_owned())
            }
            fn json(&self) -> Value {
                Value::from(*self)
            }
        }
    )*};
}
// Limits near 2^63 would tell a user nothing.
whole_number!(
    u8: Range::FromTo(0, u8::MAX as i64),
    u16: Range::FromTo(0, u16::MAX as i64),
    u32: Range::FromTo(0, u32::MAX as i64),
    u64: Range::AtLeast(0),
    usize: Range::AtLeast(0),
    i64: Range::Any
);

impl FlagValue for f64 {
    const KIND: Kind = Kind::Float;
    fn read(texts: Option<&[String]>) -> Result<Self, String> {
        match one(texts)?.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err("expected a number".to_owned()),
        }
    }
    fn json(&self) -> Value {
        Value::from(*self)
    }
}

impl FlagValue for JsonObject {
    const KIND: Kind = Kind::Json;
    fn read(texts: Option<&[String]>) -> Result<Self, String> {
        serde_json::from_str(one(texts)?)
            .map_err(|e| format!("expected a JSON object such as '{{\"key\": 1}}': {e}"))
    }
    fn json(&self) -> Value {
        Value::Object(self.clone())
    }
}

impl FlagValue for Vec<String> {
    const KIND: Kind = Kind::List;
    fn read(texts: Option<&[String]>) -> Result<Self, String> {
        Ok(texts.unwrap_or_default().to_vec())
    }
    fn json(&self) -> Value {
        Value::from(self.clone())
    }
}

impl<T: FlagValue> FlagValue for Option<T> {
    const KIND: Kind = T::KIND;
    const RANGE: Range = T::RANGE;
    fn read(texts: Option<&[String]>) -> Result<Self, String> {
        texts.map(|_| T::read(texts)).transpose()
    }
    fn json(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::json)
    }
}
