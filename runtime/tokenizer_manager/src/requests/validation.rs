//! Reads typed fields from a JSON body and collects errors in the reference's form: one entry per error with type,
//! location, message and input (FastAPI's request validation, lax mode).

use serde_json::{Map, Value};

pub use super::field_error::{FieldError, Loc, brief};
pub use super::mismatch::{Mismatch, Read};
use super::probe::{self, Asked};
use crate::call_trace;

/// One alternative of a union: its name in errors, and its reader.
pub type Arm<'a, T> = (&'static str, &'a dyn Fn(&Value) -> Read<T>);

/// A string.
pub fn string(value: &Value) -> Read<String> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Mismatch::new("string_type", "Input should be a valid string", value))
}

/// An integer; also as text, or as a float without a fraction.
pub fn int(value: &Value) -> Read<i64> {
    match value {
        Value::Bool(b) => Ok(i64::from(*b)),
        Value::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(i), _) => Ok(i),
            (None, Some(f)) if f.fract() == 0.0 && f.abs() < 9.2e18 => Ok(f as i64),
            (None, Some(f)) if f.fract() == 0.0 => Err(Mismatch::new(
                "int_parsing_size",
                "Unable to parse input string as an integer, exceeded maximum size",
                value,
            )),
            _ => Err(Mismatch::new(
                "int_from_float",
                "Input should be a valid integer, got a number with a fractional part",
                value,
            )),
        },
        Value::String(s) => s.trim().parse().map_err(|_| {
            Mismatch::new(
                "int_parsing",
                "Input should be a valid integer, unable to parse string as an integer",
                value,
            )
        }),
        _ => Err(Mismatch::new("int_type", "Input should be a valid integer", value)),
    }
}

/// A number, finite or not; also as text.
pub fn float(value: &Value) -> Read<f64> {
    match value {
        Value::Bool(b) => Ok(f64::from(u8::from(*b))),
        Value::Number(n) => {
            n.as_f64().ok_or_else(|| Mismatch::new("float_type", "Input should be a valid number", value))
        }
        Value::String(s) => s.trim().parse().map_err(|_| {
            Mismatch::new(
                "float_parsing",
                "Input should be a valid number, unable to parse string as a number",
                value,
            )
        }),
        _ => Err(Mismatch::new("float_type", "Input should be a valid number", value)),
    }
}

/// A boolean; also 0, 1 and the usual words.
pub fn boolean(value: &Value) -> Read<bool> {
    let word = match value {
        Value::Bool(b) => return Ok(*b),
        Value::Number(n) if n.as_f64() == Some(0.0) => return Ok(false),
        Value::Number(n) if n.as_f64() == Some(1.0) => return Ok(true),
        Value::String(s) => s.to_ascii_lowercase(),
        Value::Number(_) => String::new(),
        _ => return Err(Mismatch::new("bool_type", "Input should be a valid boolean", value)),
    };
    match word.as_str() {
        "0" | "off" | "f" | "false" | "n" | "no" => Ok(false),
        "1" | "on" | "t" | "true" | "y" | "yes" => Ok(true),
        _ => Err(Mismatch::new(
            "bool_parsing",
            "Input should be a valid boolean, unable to interpret input",
            value,
        )),
    }
}

/// An object.
pub fn object(value: &Value) -> Read<Map<String, Value>> {
    value
        .as_object()
        .cloned()
        .ok_or_else(|| Mismatch::new("dict_type", "Input should be a valid dictionary", value))
}

/// A list whose items `item` reads.
pub fn list<T>(item: impl Fn(&Value) -> Read<T>) -> impl Fn(&Value) -> Read<Vec<T>> {
    move |value| {
        let items = value
            .as_array()
            .ok_or_else(|| Mismatch::new("list_type", "Input should be a valid list", value))?;
        items.iter().enumerate().map(|(i, v)| item(v).map_err(|m| m.under(Loc::Index(i)))).collect()
    }
}

/// A value that may be null.
pub fn nullable<T>(item: impl Fn(&Value) -> Read<T>) -> impl Fn(&Value) -> Read<Option<T>> {
    move |value| if value.is_null() { Ok(None) } else { item(value).map(Some) }
}

/// The value of an optional key; null counts as missing.
pub fn given<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    map.get(key).filter(|value| !value.is_null())
}

/// Reads an optional key of a nested object.
pub fn optional_key<T>(
    map: &Map<String, Value>,
    key: &'static str,
    read: impl Fn(&Value) -> Read<T>,
) -> Read<Option<T>> {
    let value = given(map, key);
    probe::note(key, Asked::Optional, value, &|v| read(v).map(drop));
    value.map(|value| probe::apart(|| read(value)).map_err(|m| m.under(key))).transpose()
}

/// The fields of one object, with the errors so far.
pub struct Fields<'a> {
    map: &'a Map<String, Value>,
    place: Vec<Loc>,
    errors: Vec<FieldError>,
}

impl<'a> Fields<'a> {
    /// The fields of a request body.
    pub fn of_body(map: &'a Map<String, Value>) -> Self {
        Self { map, place: vec!["body".into()], errors: Vec::new() }
    }

    /// The raw object.
    pub fn map(&self) -> &'a Map<String, Value> {
        self.map
    }

    /// The raw value of a key. Null counts as missing.
    pub fn raw(&self, name: &'static str) -> Option<&'a Value> {
        let value = given(self.map, name);
        probe::note(name, Asked::Optional, value, &|_| Ok(()));
        value
    }

    /// Whether the key is present and not null.
    pub fn has(&self, name: &'static str) -> bool {
        self.raw(name).is_some()
    }

    fn keep<T>(&mut self, name: &'static str, read: Read<T>) -> Option<T> {
        read.map_err(|m| self.push(name, m)).ok()
    }

    /// Records that `name` is invalid.
    pub fn push(&mut self, name: &'static str, mismatch: Mismatch) {
        let mut place = self.place.clone();
        place.push(name.into());
        self.errors.push(mismatch.at(place));
    }

    /// Records a violated rule that involves several fields.
    pub fn push_rule(&mut self, rule: &str) {
        self.errors.push(FieldError::of_body(rule, self.map));
    }

    /// A required field.
    pub fn required<T>(&mut self, name: &'static str, read: impl Fn(&Value) -> Read<T>) -> Option<T> {
        probe::note(name, Asked::Required, given(self.map, name), &|v| read(v).map(drop));
        match self.map.get(name) {
            Some(value) => self.keep(name, probe::apart(|| read(value))),
            None => {
                let whole = Value::Object(self.map.clone());
                let mut loc = self.place.clone();
                loc.push(name.into());
                let msg = "Field required".into();
                self.errors.push(FieldError { kind: "missing", loc, msg, input: whole, ctx: Vec::new() });
                None
            }
        }
    }

    /// An optional field.
    pub fn optional<T>(&mut self, name: &'static str, read: impl Fn(&Value) -> Read<T>) -> Option<T> {
        probe::note(name, Asked::Optional, given(self.map, name), &|v| read(v).map(drop));
        given(self.map, name).and_then(|value| self.keep(name, probe::apart(|| read(value))))
    }

    /// An optional field with a default.
    pub fn or<T>(&mut self, name: &'static str, default: T, read: impl Fn(&Value) -> Read<T>) -> T {
        self.optional(name, read).unwrap_or(default)
    }

    /// A field with several possible forms: the first that fits is used; if none does, each reports its error.
    pub fn union<T>(&mut self, name: &'static str, arms: &[Arm<'_, T>]) -> Option<T> {
        probe::note(name, Asked::Optional, given(self.map, name), &|v| {
            let mut tried = Err(Mismatch::new("union", "No arm fits", v));
            for (_, read) in arms {
                tried = tried.or_else(|_| read(v).map(drop));
            }
            tried
        });
        let value = given(self.map, name)?;
        let mut mismatches = Vec::with_capacity(arms.len());
        for (arm, read) in arms {
            match probe::apart(|| read(value)) {
                Ok(read) => return Some(read),
                Err(m) => mismatches.push(m.under(*arm)),
            }
        }
        for m in mismatches {
            self.push(name, m);
        }
        None
    }

    /// The value built from the fields, unless there were errors.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Vec<FieldError>> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => {
                call_trace::note_reason(&brief(&self.errors));
                Err(self.errors)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn errors_of(body: Value, read: impl Fn(&mut Fields<'_>)) -> Vec<String> {
        let map = body.as_object().cloned().unwrap_or_default();
        let mut fields = Fields::of_body(&map);
        read(&mut fields);
        fields.finish(Some(())).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_error_reads_as_in_the_reference() {
        let one = errors_of(json!({"model": "my-model", "tool_choice": "none"}), |f| {
            f.required("messages", object);
        });
        assert_eq!(
            one,
            ["{'type': 'missing', 'loc': ('body', 'messages'), 'msg': 'Field required', \
              'input': {'model': 'my-model', 'tool_choice': 'none'}}"]
        );
        let two = errors_of(json!({"text": 5}), |f| {
            f.union("text", &[("str", &|v| string(v).map(|s| vec![s])), ("list[str]", &list(string))]);
        });
        assert_eq!(
            two,
            [
                "{'type': 'string_type', 'loc': ('body', 'text', 'str'), 'msg': 'Input should be a valid string', 'input': 5}",
                "{'type': 'list_type', 'loc': ('body', 'text', 'list[str]'), 'msg': 'Input should be a valid list', 'input': 5}",
            ]
        );
        let rule = errors_of(json!({"max_tokens": 0}), |f| {
            f.or("max_tokens", 16, |v| match int(v)? {
                n if n > 0 => Ok(n),
                _ => Err(Mismatch::rule("max_tokens must be positive", v)),
            });
        });
        assert_eq!(
            rule,
            [
                "{'type': 'value_error', 'loc': ('body', 'max_tokens'), 'msg': 'Value error, max_tokens must be positive', \
              'input': 0, 'ctx': {'error': ValueError('max_tokens must be positive')}}"
            ]
        );
    }

    #[test]
    fn numbers_in_other_clothes_are_taken_and_nonsense_is_not() {
        assert_eq!(int(&json!("12")), Ok(12));
        assert_eq!(int(&json!(3.0)), Ok(3));
        assert!(int(&json!(3.5)).is_err());
        assert!(int(&json!(18446744073709551616.0)).is_err());
        assert_eq!(boolean(&json!("yes")), Ok(true));
        assert!(boolean(&json!(2)).is_err());
        assert_eq!(float(&json!(1)), Ok(1.0));
    }

    #[test]
    fn null_is_the_default_of_every_field_that_may_be_left_out() {
        let map = json!({"n": null, "temperature": null, "stop": null}).as_object().cloned().unwrap();
        let mut f = Fields::of_body(&map);
        assert_eq!((f.or("n", 1, int), f.optional("temperature", float)), (1, None));
        assert_eq!(f.union::<String>("stop", &[("str", &string)]), None);
        f.finish(Some(())).unwrap();
        assert_eq!(optional_key(&map, "n", int), Ok(None));
        assert!(optional_key(json!({"n": "x"}).as_object().unwrap(), "n", int).is_err());
    }

    #[test]
    fn positions_in_lists_are_part_of_the_place() {
        let errors = errors_of(json!({"tokens": ["a"]}), |f| {
            f.required("tokens", list(int));
        });
        assert!(errors[0].contains("'loc': ('body', 'tokens', 0)"), "{}", errors[0]);
    }
}
