//! Metadata of a GGUF file: typed look-ups whose errors name the file and the key.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::cursor::Cursor;
use crate::error::CheckpointError;

/// Deepest nesting of arrays that is accepted. The format sets no limit; real files have one level.
const MAX_ARRAY_DEPTH: u32 = 8;

/// A metadata value. Arrays stay in the file; their elements are read on demand.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum MetadataValue {
    /// Any unsigned integer.
    Unsigned(u64),
    /// Any signed integer.
    Signed(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    String(String),
    Array(MetadataArray),
}

/// The type, length and position in the file of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataArray {
    /// Number of elements.
    pub len: usize,
    element: u32,
    bytes: Range<usize>,
}

const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Name of a value type.
fn type_name(ty: u32) -> &'static str {
    match ty {
        0 => "u8",
        1 => "i8",
        2 => "u16",
        3 => "i16",
        4 => "u32",
        5 => "i32",
        6 => "f32",
        7 => "bool",
        STRING => "string",
        ARRAY => "array",
        10 => "u64",
        11 => "i64",
        12 => "f64",
        _ => "unknown type",
    }
}

/// Size in bytes of a value type; `None` for texts and arrays.
fn fixed_size(ty: u32) -> Option<u64> {
    match ty {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

fn read_scalar(
    c: &mut Cursor<'_>,
    path: &Path,
    ty: u32,
    place: &dyn Fn() -> String,
) -> Result<MetadataValue, CheckpointError> {
    use MetadataValue as V;
    Ok(match ty {
        0 => V::Unsigned(c.u8(place)?.into()),
        1 => V::Signed((c.u8(place)? as i8).into()),
        2 => V::Unsigned(c.u16(place)?.into()),
        3 => V::Signed((c.u16(place)? as i16).into()),
        4 => V::Unsigned(c.u32(place)?.into()),
        5 => V::Signed((c.u32(place)? as i32).into()),
        6 => V::F32(f32::from_bits(c.u32(place)?)),
        7 => V::Bool(c.u8(place)? != 0),
        STRING => V::String(c.string(place)?.to_owned()),
        10 => V::Unsigned(c.u64(place)?),
        11 => V::Signed(c.u64(place)? as i64),
        12 => V::F64(f64::from_bits(c.u64(place)?)),
        other => {
            return Err(CheckpointError::malformed(
                path,
                place(),
                "a value type from 0 to 12",
                other.to_string(),
            ));
        }
    })
}

/// Skips an array after its type tag and checks all bounds inside it.
fn read_array(
    c: &mut Cursor<'_>,
    path: &Path,
    depth: u32,
    place: &dyn Fn() -> String,
) -> Result<MetadataArray, CheckpointError> {
    let element = c.u32(place)?;
    let len = c.u64(place)?;
    let start = c.position();
    match fixed_size(element) {
        Some(size) => {
            c.skip(len.saturating_mul(size), place)?;
        }
        None if element == STRING => {
            for _ in 0..len {
                let n = c.u64(place)?;
                c.skip(n, place)?;
            }
        }
        None if element == ARRAY && depth < MAX_ARRAY_DEPTH => {
            for _ in 0..len {
                read_array(c, path, depth + 1, place)?;
            }
        }
        None => {
            return Err(CheckpointError::malformed(
                path,
                place(),
                "array elements of a type from 0 to 12",
                format!("type {element} at nesting depth {depth}"),
            ));
        }
    }
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    Ok(MetadataArray { len, element, bytes: start..c.position() })
}

/// Reads the value of `key`.
pub(super) fn read_value(
    c: &mut Cursor<'_>,
    path: &Path,
    key: &str,
) -> Result<MetadataValue, CheckpointError> {
    let place = || format!("value of metadata key `{key}`");
    match c.u32(&place)? {
        ARRAY => Ok(MetadataValue::Array(read_array(c, path, 0, &place)?)),
        ty => read_scalar(c, path, ty, &place),
    }
}

/// A view of a file's metadata.
#[derive(Clone, Copy)]
pub struct Metadata<'a> {
    pub(super) path: &'a Path,
    pub(super) bytes: &'a [u8],
    pub(super) values: &'a HashMap<String, MetadataValue>,
}

impl<'a> Metadata<'a> {
    /// The file the metadata comes from.
    pub fn path(&self) -> &'a Path {
        self.path
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&'a MetadataValue> {
        self.values.get(key)
    }

    /// All keys, in unspecified order.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.values.keys().map(String::as_str)
    }

    fn wrong(&self, key: &str, expected: &str, found: &MetadataValue) -> CheckpointError {
        let found = match found {
            MetadataValue::Unsigned(x) => x.to_string(),
            MetadataValue::Signed(x) => x.to_string(),
            MetadataValue::F32(x) => format!("the number {x:?}"),
            MetadataValue::F64(x) => format!("the number {x:?}"),
            MetadataValue::Bool(x) => x.to_string(),
            MetadataValue::String(s) => format!("the text \"{}\"", s.chars().take(60).collect::<String>()),
            MetadataValue::Array(a) => format!("an array of {} {}", a.len, type_name(a.element)),
        };
        CheckpointError::wrong_key(self.path, key, expected, found)
    }

    fn missing(&self, key: &str, expected: &'static str) -> CheckpointError {
        CheckpointError::MissingKey { path: self.path.to_owned(), key: key.to_owned(), expected }
    }

    /// A text value, if present.
    pub fn opt_str(&self, key: &str) -> Result<Option<&'a str>, CheckpointError> {
        match self.get(key) {
            None => Ok(None),
            Some(MetadataValue::String(s)) => Ok(Some(s)),
            Some(other) => Err(self.wrong(key, "text", other)),
        }
    }

    /// A text value that must be present.
    pub fn str(&self, key: &str) -> Result<&'a str, CheckpointError> {
        self.opt_str(key)?.ok_or_else(|| self.missing(key, "text"))
    }

    /// A non-negative integer of any width, if present.
    pub fn opt_u64(&self, key: &str) -> Result<Option<u64>, CheckpointError> {
        match self.get(key) {
            None => Ok(None),
            Some(MetadataValue::Unsigned(x)) => Ok(Some(*x)),
            Some(MetadataValue::Signed(x)) if *x >= 0 => Ok(Some(x.unsigned_abs())),
            Some(other) => Err(self.wrong(key, "a non-negative integer", other)),
        }
    }

    /// A non-negative integer that must be present.
    pub fn u64(&self, key: &str) -> Result<u64, CheckpointError> {
        self.opt_u64(key)?.ok_or_else(|| self.missing(key, "a non-negative integer"))
    }

    /// A token id, if present.
    pub fn opt_u32(&self, key: &str) -> Result<Option<u32>, CheckpointError> {
        let Some(value) = self.opt_u64(key)? else { return Ok(None) };
        u32::try_from(value)
            .map(Some)
            .map_err(|_| CheckpointError::wrong_key(self.path, key, "a 32-bit integer", value.to_string()))
    }

    /// A real number, if present. A float32 is converted through its shortest decimal form, so that 1e-5 stays 1e-5.
    pub fn opt_f64(&self, key: &str) -> Result<Option<f64>, CheckpointError> {
        match self.get(key) {
            None => Ok(None),
            Some(MetadataValue::F32(x)) => Ok(Some(x.to_string().parse().unwrap_or(f64::from(*x)))),
            Some(MetadataValue::F64(x)) => Ok(Some(*x)),
            Some(MetadataValue::Unsigned(x)) => Ok(Some(*x as f64)),
            Some(MetadataValue::Signed(x)) => Ok(Some(*x as f64)),
            Some(other) => Err(self.wrong(key, "a number", other)),
        }
    }

    /// A real number that must be present.
    pub fn f64(&self, key: &str) -> Result<f64, CheckpointError> {
        self.opt_f64(key)?.ok_or_else(|| self.missing(key, "a number"))
    }

    /// A boolean, if present.
    pub fn opt_bool(&self, key: &str) -> Result<Option<bool>, CheckpointError> {
        match self.get(key) {
            None => Ok(None),
            Some(MetadataValue::Bool(x)) => Ok(Some(*x)),
            Some(other) => Err(self.wrong(key, "true or false", other)),
        }
    }

    /// An array of any type, if present.
    pub fn opt_array(&self, key: &str) -> Result<Option<&'a MetadataArray>, CheckpointError> {
        match self.get(key) {
            None => Ok(None),
            Some(MetadataValue::Array(a)) => Ok(Some(a)),
            Some(other) => Err(self.wrong(key, "an array", other)),
        }
    }

    /// An array of texts, if present. The texts borrow from the file.
    pub fn opt_strings(&self, key: &str) -> Result<Option<Vec<&'a str>>, CheckpointError> {
        let Some(array) = self.opt_array(key)? else { return Ok(None) };
        if array.element != STRING {
            return Err(self.wrong(key, "an array of texts", &MetadataValue::Array(array.clone())));
        }
        let mut cursor = self.elements(array);
        let mut out = Vec::with_capacity(array.len);
        for i in 0..array.len {
            out.push(cursor.string(&|| format!("element {i} of metadata key `{key}`"))?);
        }
        Ok(Some(out))
    }

    /// An array of texts that must be present.
    pub fn strings(&self, key: &str) -> Result<Vec<&'a str>, CheckpointError> {
        self.opt_strings(key)?.ok_or_else(|| self.missing(key, "an array of texts"))
    }

    /// An array of integers (any width, either sign), if present.
    pub fn opt_integers(&self, key: &str) -> Result<Option<Vec<i64>>, CheckpointError> {
        self.opt_numbers(key, "an array of integers", |value| match value {
            MetadataValue::Unsigned(x) => i64::try_from(*x).ok(),
            MetadataValue::Signed(x) => Some(*x),
            MetadataValue::Bool(x) => Some((*x).into()),
            _ => None,
        })
    }

    /// An array of real numbers, if present.
    pub fn opt_floats(&self, key: &str) -> Result<Option<Vec<f64>>, CheckpointError> {
        self.opt_numbers(key, "an array of numbers", |value| match value {
            MetadataValue::F32(x) => Some((*x).into()),
            MetadataValue::F64(x) => Some(*x),
            _ => None,
        })
    }

    fn opt_numbers<T>(
        &self,
        key: &str,
        expected: &str,
        convert: impl Fn(&MetadataValue) -> Option<T>,
    ) -> Result<Option<Vec<T>>, CheckpointError> {
        let Some(array) = self.opt_array(key)? else { return Ok(None) };
        if fixed_size(array.element).is_none() {
            return Err(self.wrong(key, expected, &MetadataValue::Array(array.clone())));
        }
        let mut cursor = self.elements(array);
        let mut out = Vec::with_capacity(array.len);
        for i in 0..array.len {
            let place = || format!("element {i} of metadata key `{key}`");
            let value = read_scalar(&mut cursor, self.path, array.element, &place)?;
            out.push(convert(&value).ok_or_else(|| self.wrong(key, expected, &value))?);
        }
        Ok(Some(out))
    }

    fn elements(&self, array: &MetadataArray) -> Cursor<'a> {
        Cursor::new(self.path, self.bytes.get(array.bytes.clone()).unwrap_or_default())
    }
}
