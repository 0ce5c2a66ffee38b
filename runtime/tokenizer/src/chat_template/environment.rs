//! The Jinja environment of transformers (`utils/chat_template_utils.py`): trimmed blocks, no HTML escaping, its own
//! `tojson`, `raise_exception` and `strftime_now`, and Python's methods and rendering of values.

use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output};

use super::{Clock, filters, methods, python, strftime};

/// The message of `raise_exception`, carried as the source of the error that stops rendering.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

/// The message given to `raise_exception`, if that is what ended rendering.
pub(super) fn raised_message(error: &Error) -> Option<String> {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(Raised(message)) = inner.downcast_ref() {
            return Some(message.clone());
        }
        source = inner.source();
    }
    None
}

fn raise_exception(message: &Value) -> Result<Value, Error> {
    let text = python::to_str(message);
    Err(Error::new(ErrorKind::InvalidOperation, text.clone()).with_source(Raised(text)))
}

/// Makes an environment; `clock` is what `strftime_now` reads.
pub(super) fn new(clock: Clock) -> Result<Environment<'static>, Error> {
    let mut env = Environment::new();
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_unknown_method_callback(methods::call);
    env.set_formatter(|out: &mut Output<'_>, _state, value| {
        out.write_str(&python::to_str(value)).map_err(Error::from)
    });
    env.add_function("raise_exception", |message: &Value| raise_exception(message));
    env.add_function("strftime_now", move |format: &str| strftime::format(&clock(), format));
    env.add_filter("tojson", filters::tojson);
    env.add_filter("string", |value: &Value| python::to_str(value));
    env.add_filter("join", filters::join);
    env.add_filter("trim", filters::trim);
    env.add_filter("wordcount", filters::wordcount);
    // In Jinja texts and mappings count as sequences and can be iterated.
    env.add_test("sequence", |value: &Value| {
        matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map)
    });
    env.add_test("iterable", |value: &Value| {
        matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable)
    });
    env.add_function("dict", |kwargs: Kwargs| -> Result<Value, Error> {
        let mut pairs = Vec::new();
        for name in kwargs.args() {
            pairs.push((name.to_owned(), kwargs.get::<Value>(name)?));
        }
        Ok(Value::from_pairs(pairs))
    });
    Ok(env)
}

/// A JSON value as the template sees it; objects keep the order of their keys.
pub(super) fn from_json(value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => Value::from(()),
        Json::Bool(b) => Value::from(*b),
        Json::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(i), _) => Value::from(i),
            (None, Some(u)) => Value::from(u),
            (None, None) => Value::from(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(s) => Value::from(s.as_str()),
        Json::Array(items) => items.iter().map(from_json).collect(),
        Json::Object(map) => Value::from_pairs(map.iter().map(|(k, v)| (k.as_str(), from_json(v)))),
    }
}
