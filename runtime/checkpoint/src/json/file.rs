//! Typed JSON look-ups whose errors name the file and the key.

use std::path::Path;

use serde_json::{Map, Value};

use super::value::shorten;
use crate::error::CheckpointError;

/// Typed look-ups in an object. A null value counts as an absent key.
#[derive(Clone)]
pub(crate) struct JsonFile<'a> {
    path: &'a Path,
    /// Prefix of keys in messages, such as `rope_scaling.`.
    prefix: String,
    value: &'a Value,
}

impl<'a> JsonFile<'a> {
    pub(crate) fn new(path: &'a Path, value: &'a Value) -> Self {
        Self { path, prefix: String::new(), value }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.value.get(key).filter(|v| !v.is_null())
    }

    pub(crate) fn wrong(&self, key: &str, expected: &str, found: &Value) -> CheckpointError {
        CheckpointError::wrong_key(self.path, format!("{}{key}", self.prefix), expected, shorten(found))
    }

    pub(crate) fn missing(&self, key: &str, expected: &'static str) -> CheckpointError {
        CheckpointError::MissingKey {
            path: self.path.to_owned(),
            key: format!("{}{key}", self.prefix),
            expected,
        }
    }

    fn typed<T>(
        &self,
        key: &str,
        expected: &str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, CheckpointError> {
        match self.get(key) {
            None => Ok(None),
            Some(v) => convert(v).map(Some).ok_or_else(|| self.wrong(key, expected, v)),
        }
    }

    pub(crate) fn usize(&self, key: &str) -> Result<Option<usize>, CheckpointError> {
        self.typed(key, "a non-negative integer", |v| v.as_u64().and_then(|x| usize::try_from(x).ok()))
    }

    pub(crate) fn i64(&self, key: &str) -> Result<Option<i64>, CheckpointError> {
        self.typed(key, "an integer", Value::as_i64)
    }

    pub(crate) fn u32(&self, key: &str) -> Result<Option<u32>, CheckpointError> {
        self.typed(key, "a token id", |v| v.as_u64().and_then(|x| u32::try_from(x).ok()))
    }

    pub(crate) fn f64(&self, key: &str) -> Result<Option<f64>, CheckpointError> {
        self.typed(key, "a number", Value::as_f64)
    }

    pub(crate) fn bool(&self, key: &str) -> Result<Option<bool>, CheckpointError> {
        self.typed(key, "true or false", Value::as_bool)
    }

    pub(crate) fn str(&self, key: &str) -> Result<Option<&'a str>, CheckpointError> {
        self.typed(key, "text", Value::as_str)
    }

    pub(crate) fn object(&self, key: &str) -> Result<Option<&'a Map<String, Value>>, CheckpointError> {
        self.typed(key, "an object", Value::as_object)
    }

    pub(crate) fn required_object(&self, key: &str) -> Result<&'a Map<String, Value>, CheckpointError> {
        self.object(key)?.ok_or_else(|| self.missing(key, "an object"))
    }

    pub(crate) fn strings(&self, key: &str) -> Result<Option<Vec<String>>, CheckpointError> {
        self.typed(key, "a list of texts", |v| {
            v.as_array()?.iter().map(|x| x.as_str().map(str::to_owned)).collect()
        })
    }

    pub(crate) fn floats(&self, key: &str) -> Result<Option<Vec<f64>>, CheckpointError> {
        self.typed(key, "a list of numbers", |v| v.as_array()?.iter().map(Value::as_f64).collect())
    }

    /// One token id or a list of them.
    pub(crate) fn token_ids(&self, key: &str) -> Result<Option<Vec<u32>>, CheckpointError> {
        let id = |v: &Value| v.as_u64().and_then(|x| u32::try_from(x).ok());
        self.typed(key, "a token id or a list of token ids", |v| match v {
            Value::Array(list) => list.iter().map(id).collect(),
            one => id(one).map(|x| vec![x]),
        })
    }

    /// Look-ups in the object under `key`.
    pub(crate) fn nested(&self, key: &str) -> Result<Option<Self>, CheckpointError> {
        let Some(value) = self.typed(key, "an object", |v| v.is_object().then_some(v))? else {
            return Ok(None);
        };
        Ok(Some(Self { path: self.path, prefix: format!("{}{key}.", self.prefix), value }))
    }

    /// Look-ups in the object under `key`; `None` if the value is not an object.
    pub(crate) fn nested_if_object(&self, key: &str) -> Option<Self> {
        let value = self.get(key).filter(|v| v.is_object())?;
        Some(Self { path: self.path, prefix: format!("{}{key}.", self.prefix), value })
    }
}
