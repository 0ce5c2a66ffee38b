//! What a client can write for a parameter: nothing, null, or a value of the right kind.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde_json::Value;

use crate::wire::StringList;

/// `top_k` value that means the whole vocabulary.
pub const TOP_K_ALL: i64 = 1 << 30;

/// What a request says about one parameter. [`Given::Absent`] and [`Given::Null`] get different defaults:
/// `--preferred-sampling-params` fills only absent parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Given<T> {
    /// The request does not mention the parameter.
    #[default]
    Absent,
    /// Null: the built-in default. A parameter that can be off is off.
    Null,
    /// A value.
    Value(T),
}

impl<T> Given<T> {
    /// The value, if there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// The value, or null if there is none.
    pub fn or_null(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::Value)
    }

    /// Whether the request does not mention the parameter.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// A number, and whether it was written without a fraction, since errors quote it as the client wrote it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    /// The number.
    pub value: f64,
    /// Whether it was written as a whole number, such as `1` instead of `1.0`.
    pub is_whole: bool,
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self { value, is_whole: false }
    }
}

/// The kind of a parameter's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A boolean.
    Bool,
    /// A string.
    Text,
    /// A string or a list of strings.
    Texts,
    /// A list of token ids.
    Ids,
    /// Numbers by token id; the ids are decimal strings.
    Bias,
    /// Any JSON value.
    Json,
}

/// A value that was read and not yet set in a [`super::SamplingRequest`].
#[derive(Clone, Debug, PartialEq)]
pub enum ParameterValue {
    /// A value of [`Kind::Int`].
    Int(i64),
    /// A value of [`Kind::Float`].
    Float(Number),
    /// A value of [`Kind::Bool`].
    Bool(bool),
    /// A value of [`Kind::Text`].
    Text(String),
    /// A value of [`Kind::Texts`].
    Texts(StringList),
    /// A value of [`Kind::Ids`].
    Ids(Vec<i64>),
    /// A value of [`Kind::Bias`].
    Bias(BTreeMap<String, f64>),
    /// A value of [`Kind::Json`].
    Json(Value),
}

/// The type of a field of [`super::SamplingParams`].
pub trait ParameterType: Sized {
    /// The kind of the values that clients write.
    const KIND: Kind;
    /// The type of a written value. Unlike the field it cannot be "off".
    type Written: Clone + Debug + PartialEq;

    /// The written value in `value`; `None` if that is of another kind.
    fn written(value: ParameterValue) -> Option<Self::Written>;

    /// The field for a written value.
    fn from_written(written: Self::Written) -> Self;

    /// The field for null; `None` if null means the field's default.
    fn from_null() -> Option<Self>;

    /// The field's value as errors quote it. `written` is what the client wrote, if anything.
    fn quote(&self, written: Option<&Self::Written>) -> String;
}

/// Implements [`ParameterType`] for a type whose written values have the same type.
macro_rules! written_as_is {
    ($($ty:ty: $kind:ident, $quote:expr;)*) => {$(
        impl ParameterType for $ty {
            const KIND: Kind = Kind::$kind;
            type Written = $ty;

            fn written(value: ParameterValue) -> Option<$ty> {
                match value {
                    ParameterValue::$kind(value) => Some(value),
                    _ => None,
                }
            }

            fn from_written(written: $ty) -> Self {
                written
            }

            fn from_null() -> Option<Self> {
                None
            }

            fn quote(&self, _: Option<&$ty>) -> String {
                let quote: fn(&$ty) -> String = $quote;
                quote(self)
            }
        }
    )*};
}

written_as_is! {
    i64: Int, i64::to_string;
    bool: Bool, bool::to_string;
    String: Text, String::clone;
    StringList: Texts, |texts| texts.0.join(", ");
    Vec<i64>: Ids, |ids| format!("{ids:?}");
    BTreeMap<String, f64>: Bias, |bias| format!("{bias:?}");
    Value: Json, Value::to_string;
}

impl ParameterType for f64 {
    const KIND: Kind = Kind::Float;
    type Written = Number;

    fn written(value: ParameterValue) -> Option<Number> {
        match value {
            ParameterValue::Float(number) => Some(number),
            _ => None,
        }
    }

    fn from_written(written: Number) -> Self {
        written.value
    }

    fn from_null() -> Option<Self> {
        None
    }

    fn quote(&self, written: Option<&Number>) -> String {
        match written {
            Some(number) if number.is_whole => format!("{:.0}", number.value),
            _ => python_float(*self),
        }
    }
}

/// A parameter that can be off.
impl<T: ParameterType> ParameterType for Option<T> {
    const KIND: Kind = T::KIND;
    type Written = T::Written;

    fn written(value: ParameterValue) -> Option<T::Written> {
        T::written(value)
    }

    fn from_written(written: T::Written) -> Self {
        Some(T::from_written(written))
    }

    fn from_null() -> Option<Self> {
        Some(None)
    }

    fn quote(&self, written: Option<&T::Written>) -> String {
        self.as_ref().map_or_else(|| "None".to_owned(), |value| value.quote(written))
    }
}

/// Sets `field` to what a request says. Before, it has its default.
pub(super) fn apply<T: ParameterType>(field: &mut T, given: &Given<T::Written>) {
    match given {
        Given::Absent => {}
        Given::Null => {
            if let Some(off) = T::from_null() {
                *field = off;
            }
        }
        Given::Value(written) => *field = T::from_written(written.clone()),
    }
}

/// Prints a float like Python, for example `1` as `1.0`, so that messages equal the reference's.
pub fn python_float(x: f64) -> String {
    if x.is_nan() {
        "nan".into()
    } else if x.is_infinite() {
        if x > 0.0 { "inf".into() } else { "-inf".into() }
    } else {
        format!("{x:?}")
    }
}
