//! The types of JSON Schema, and sets of them.

use serde_json::Value;

use crate::names::standard_type;

/// A type of JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonType {
    /// `null`
    Null,
    /// `true` and `false`
    Boolean,
    /// Numbers without a fraction.
    Integer,
    /// All numbers.
    Number,
    /// Text.
    String,
    /// Lists.
    Array,
    /// Objects.
    Object,
}

impl JsonType {
    /// All types.
    pub const ALL: [Self; 7] =
        [Self::Null, Self::Boolean, Self::Integer, Self::Number, Self::String, Self::Array, Self::Object];

    /// The type called `name`: JSON Schema's own name, or one of a database or programming language (`varchar(9)`,
    /// `int32`, `dict[str, int]`).
    pub fn named(name: &str) -> Option<Self> {
        let standard = standard_type(name)?;
        Self::ALL.into_iter().find(|kind| kind.name() == standard)
    }

    /// The narrowest type of a value: a number without a fraction is an integer, even if written `2.0`.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) if number.as_f64().is_some_and(|n| n.fract() == 0.0) => Self::Integer,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::String,
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        }
    }

    /// JSON Schema's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

/// A set of types. If it contains [`JsonType::Number`], it also contains [`JsonType::Integer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Types(u8);

impl Types {
    /// No type: nothing is allowed.
    pub const NONE: Self = Self(0);
    /// Every type.
    pub const ANY: Self = Self(0b0111_1111);

    /// The set that contains only this type.
    pub const fn only(kind: JsonType) -> Self {
        match kind {
            JsonType::Number => Self(1 << JsonType::Number as u8 | 1 << JsonType::Integer as u8),
            kind => Self(1 << kind as u8),
        }
    }

    /// Whether values of `kind` are allowed; for [`JsonType::Number`], including those with a fraction.
    pub const fn has(self, kind: JsonType) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The union of two sets.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The intersection of two sets.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The set without null.
    pub const fn without_null(self) -> Self {
        Self(self.0 & !(1 << JsonType::Null as u8))
    }

    /// Whether the set contains the type of `value`.
    pub fn fits(self, value: &Value) -> bool {
        self.has(JsonType::of(value))
    }

    /// The types in the set; `Number` stands for `Integer` too.
    pub fn iter(self) -> impl Iterator<Item = JsonType> {
        let number = self.has(JsonType::Number);
        JsonType::ALL
            .into_iter()
            .filter(move |kind| self.has(*kind) && !(number && *kind == JsonType::Integer))
    }
}

impl FromIterator<JsonType> for Types {
    fn from_iter<I: IntoIterator<Item = JsonType>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::NONE, |set, kind| set.or(Self::only(kind)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn integers_are_numbers() {
        let number = Types::only(JsonType::Number);
        assert!(number.has(JsonType::Integer) && number.fits(&json!(1.5)) && number.fits(&json!(1)));
        let integer = Types::only(JsonType::Integer);
        assert!(integer.fits(&json!(2.0)) && !integer.fits(&json!(1.5)) && !integer.has(JsonType::Number));
        assert_eq!(number.and(integer), integer);
        assert_eq!(Types::ANY.iter().count(), 6);
    }

    #[test]
    fn names_of_other_languages_are_types() {
        assert_eq!(JsonType::named("INT64"), Some(JsonType::Integer));
        assert_eq!(JsonType::named("list[str]"), Some(JsonType::Array));
        assert_eq!(JsonType::named("any"), None);
    }
}
