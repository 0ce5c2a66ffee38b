//! Hidden states of requests: which ones a request wants, and the nested lists that contain them.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Which hidden states a request wants (reference: `CaptureHiddenMode`); `false`, `"last"` or `true` in messages and
/// bodies. A larger mode includes the smaller ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CaptureHiddenMode {
    /// None.
    #[default]
    Null,
    /// Only the latest.
    Last,
    /// One per computed prompt token, then one per step.
    Full,
}

impl CaptureHiddenMode {
    /// Whether hidden states must be captured.
    pub fn need_capture(self) -> bool {
        self != Self::Null
    }
}

impl Serialize for CaptureHiddenMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_bool(false),
            Self::Last => serializer.serialize_str("last"),
            Self::Full => serializer.serialize_bool(true),
        }
    }
}

impl<'de> Deserialize<'de> for CaptureHiddenMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Mode;
        impl Visitor<'_> for Mode {
            type Value = CaptureHiddenMode;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a boolean or 'last'")
            }
            fn visit_bool<E: Error>(self, full: bool) -> Result<CaptureHiddenMode, E> {
                Ok(if full { CaptureHiddenMode::Full } else { CaptureHiddenMode::Null })
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<CaptureHiddenMode, E> {
                match text {
                    "last" => Ok(CaptureHiddenMode::Last),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Mode)
    }
}

/// A list of numbers, or a list of nested lists.
#[derive(Clone, Debug, PartialEq)]
pub enum Nested<T> {
    /// One vector.
    Vector(Vec<f32>),
    /// A list of `T`. An empty list has this variant too.
    List(Vec<T>),
}

/// Hidden states of one output token: for the first token those of the prompt, for a later one the vector of its step.
pub type HiddenStateChunk = Nested<Vec<f32>>;

/// Hidden states of a request: one chunk per output token ([`CaptureHiddenMode::Full`]), or the latest vector
/// ([`CaptureHiddenMode::Last`]).
pub type HiddenStates = Nested<HiddenStateChunk>;

impl<T: Serialize> Serialize for Nested<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Vector(numbers) => numbers.serialize(serializer),
            Self::List(items) => items.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Nested<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Lists<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Lists<T> {
            type Value = Nested<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of numbers or of lists")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Nested<T>, A::Error> {
                let len = seq.size_hint().unwrap_or(0).min(1 << 16);
                let mut items = Vec::new();
                match seq.next_element()? {
                    None => {}
                    Some(Item::List(first)) => {
                        items.push(first);
                        while let Some(item) = seq.next_element()? {
                            items.push(item);
                        }
                    }
                    Some(Item::Number(first)) => {
                        let mut numbers = Vec::with_capacity(len);
                        numbers.push(first);
                        while let Some(number) = seq.next_element()? {
                            numbers.push(number);
                        }
                        return Ok(Nested::Vector(numbers));
                    }
                }
                Ok(Nested::List(items))
            }
        }
        deserializer.deserialize_seq(Lists(std::marker::PhantomData))
    }
}

/// First entry of a list, which determines the type of the others.
enum Item<T> {
    Number(f32),
    List(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Item<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = Item<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a list")
            }
            fn visit_f64<E>(self, x: f64) -> Result<Item<T>, E> {
                Ok(Item::Number(x as f32))
            }
            fn visit_i64<E>(self, x: i64) -> Result<Item<T>, E> {
                Ok(Item::Number(x as f32))
            }
            fn visit_u64<E>(self, x: u64) -> Result<Item<T>, E> {
                Ok(Item::Number(x as f32))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Item<T>, A::Error> {
                T::deserialize(SeqAccessDeserializer::new(seq)).map(Item::List)
            }
        }
        deserializer.deserialize_any(Either(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn modes_are_booleans_or_last() {
        for (mode, value) in [
            (CaptureHiddenMode::Null, json!(false)),
            (CaptureHiddenMode::Last, json!("last")),
            (CaptureHiddenMode::Full, json!(true)),
        ] {
            assert_eq!(serde_json::to_value(mode).unwrap(), value);
            assert_eq!(serde_json::from_value::<CaptureHiddenMode>(value).unwrap(), mode);
        }
        assert!(serde_json::from_value::<CaptureHiddenMode>(json!("first")).is_err());
        assert!(CaptureHiddenMode::Full > CaptureHiddenMode::Last && CaptureHiddenMode::Last.need_capture());
    }

    #[test]
    fn lists_of_every_depth_come_back_from_messagepack_and_json() {
        let prompt = Nested::List(vec![vec![0.5, -1.0], vec![2.0, 3.0]]);
        for states in [
            HiddenStates::List(vec![prompt, Nested::Vector(vec![1.0, 1e-7])]),
            HiddenStates::List(Vec::new()),
            HiddenStates::List(vec![Nested::List(Vec::new())]),
            HiddenStates::Vector(vec![0.25, -3.0]),
        ] {
            let packed = rmp_serde::to_vec(&states).unwrap();
            assert_eq!(rmp_serde::from_slice::<HiddenStates>(&packed).unwrap(), states);
            let text = serde_json::to_string(&states).unwrap();
            assert_eq!(serde_json::from_str::<HiddenStates>(&text).unwrap(), states);
        }
        let doubles = rmp_serde::to_vec(&vec![vec![0.5_f64, 1.0]]).unwrap();
        let read: HiddenStates = rmp_serde::from_slice(&doubles).unwrap();
        assert_eq!(read, Nested::List(vec![Nested::Vector(vec![0.5, 1.0])]));
        assert!(serde_json::from_str::<HiddenStates>(r#"[1.0, [2.0]]"#).is_err());
        assert!(serde_json::from_str::<HiddenStates>("[[[[1.0]]]]").is_err());
    }
}
