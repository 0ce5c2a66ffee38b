//! What a client can write for a parameter: nothing, null, or a value of the parameter's kind.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde_json::Value;

use crate::wire::StringList;

/// `top_k` value that means the whole vocabulary.
pub const TOP_K_ALL: i64 = 1 << 30;

/// What a request says about one parameter. The difference between [`Given::Absent`] and [`Given::Null`] decides which
/// default applies: `--preferred-sampling-params` fills only what is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Given<T> {
    /// Nothing.
    #[default]
    Absent,
    /// Null: the built-in default, and for a parameter that may be switched off, off.
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

    /// A value, or null where there is none.
    pub fn or_null(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::Value)
    }

    /// Whether the request says nothing.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// A number, and whether it was written without a fraction: errors quote it as the client wrote it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    /// The number.
    pub value: f64,
    /// Written as a whole number, such as `1` and not `1.0`.
    pub is_whole: bool,
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self { value, is_whole: false }
    }
}

/// What kind of value a parameter has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A truth value.
    Bool,
    /// A text.
    Text,
    /// A text or a list of texts.
    Texts,
    /// A list of token ids.
    Ids,
    /// Numbers by token id in decimal text.
    Bias,
    /// Any JSON value.
    Json,
}

/// A value on the way from a reader to its place in a [`super::SamplingRequest`].
#[derive(Clone, Debug, PartialEq)]
pub enum ParameterValue {
    /// Of [`Kind::Int`].
    Int(i64),
    /// Of [`Kind::Float`].
    Float(Number),
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Text`].
    Text(String),
    /// Of [`Kind::Texts`].
    Texts(StringList),
    /// Of [`Kind::Ids`].
    Ids(Vec<i64>),
    /// Of [`Kind::Bias`].
    Bias(BTreeMap<String, f64>),
    /// Of [`Kind::Json`].
    Json(Value),
}

/// A type that a field of [`super::SamplingParams`] can have.
pub trait ParameterType: Sized {
    /// What a client writes for it.
    const KIND: Kind;
    /// A written value. Unlike the field it is never "off".
    type Written: Clone + Debug + PartialEq;

    /// The written value inside `value`; `None` when that is of another kind.
    fn written(value: ParameterValue) -> Option<Self::Written>;

    /// The field for a written value.
    fn from_written(written: Self::Written) -> Self;

    /// The field for null; `None` is the field's default.
    fn from_null() -> Option<Self>;

    /// The field's value as an error quotes it. `written` is what the client wrote for it, if anything.
    fn quote(&self, written: Option<&Self::Written>) -> String;
}

/// Implements [`ParameterType`] for a type whose values are written as they are.
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

/// A parameter that may be off.
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

/// Puts into `field` what a request says about it; it has its default before.
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

/// Prints a float as Python does: `1` as `1.0`, so that messages equal the reference's.
pub fn python_float(x: f64) -> String {
    if x.is_nan() {
        "nan".into()
    } else if x.is_infinite() {
        if x > 0.0 { "inf".into() } else { "-inf".into() }
    } else {
        format!("{x:?}")
    }
}
