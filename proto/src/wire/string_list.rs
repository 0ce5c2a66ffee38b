//! A field that the reference types as "string or list of strings or null".

use serde::{Deserialize, Deserializer, Serialize};

/// A list of strings; one string or null is also accepted when reading.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StringList(pub Vec<String>);

impl<'de> Deserialize<'de> for StringList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Null(()),
            One(String),
            Many(Vec<String>),
        }
        Ok(Self(match Form::deserialize(deserializer)? {
            Form::Null(()) => Vec::new(),
            Form::One(s) => vec![s],
            Form::Many(list) => list,
        }))
    }
}
