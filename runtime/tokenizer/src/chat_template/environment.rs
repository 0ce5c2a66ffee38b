//! The Jinja environment of transformers (`utils/chat_template_utils.py`): trimmed blocks, no HTML escaping, its own
//! `tojson`, `raise_exception` and `strftime_now`, and values with Python's methods and formatting.

use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output};

use super::{Clock, filters, globals, html, layout, methods, numbers, printf, python, rewrite, strftime};

/// The message of `raise_exception`, carried as the source of the error that stops rendering.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

/// The message given to `raise_exception`, if that stopped the rendering.
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

/// Creates an environment; `strftime_now` reads `clock`.
pub(super) fn new(clock: Clock) -> Result<Environment<'static>, Error> {
    let mut env = Environment::new();
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_unknown_method_callback(methods::call);
    env.set_formatter(|out: &mut Output<'_>, state, value| {
        let text = if html::is_on(state) { html::markup(value) } else { python::to_str(value) };
        out.write_str(&text).map_err(Error::from)
    });
    add_functions(&mut env, clock);
    add_filters(&mut env);
    add_tests(&mut env);
    Ok(env)
}

fn add_functions(env: &mut Environment<'static>, clock: Clock) {
    env.add_function("raise_exception", |message: &Value| raise_exception(message));
    env.add_function("strftime_now", move |format: &str| strftime::format(&clock(), format));
    env.add_function(rewrite::MODULO, printf::modulo);
    env.add_function("cycler", globals::Cycler::make);
    env.add_function("joiner", globals::Joiner::make);
    env.add_function("range", globals::Range::make);
    env.add_global("dict", Value::from_object(globals::Dict));
    env.add_function("namespace", |args: Rest<Value>, kwargs: Kwargs| -> Result<Value, Error> {
        let mut pairs = match args.as_slice() {
            [] => Vec::new(),
            [source] => globals::pairs(source)?,
            _ => return Err(Error::new(ErrorKind::TooManyArguments, "namespace takes at most one mapping")),
        };
        for name in kwargs.args() {
            pairs.push((Value::from(name), kwargs.get::<Value>(name)?));
        }
        minijinja::functions::namespace(Some(ValueOrKwargs::from(globals::mapping(pairs))))
    });
}

fn add_filters(env: &mut Environment<'static>) {
    env.add_filter("tojson", filters::tojson);
    env.add_filter("string", |value: &Value| match value.is_safe() {
        true => value.clone(),
        false => Value::from(python::to_str(value)),
    });
    env.add_filter("join", filters::join);
    env.add_filter("trim", filters::trim);
    env.add_filter("wordcount", filters::wordcount);
    env.add_filter("default", filters::default);
    env.add_filter("d", filters::default);
    env.add_filter("format", filters::format);
    env.add_filter("pprint", filters::pprint);
    env.add_filter("random", filters::random);
    env.add_filter("striptags", filters::striptags);
    env.add_filter("abs", numbers::abs);
    env.add_filter("int", numbers::int);
    env.add_filter("float", numbers::to_float);
    env.add_filter("round", numbers::round);
    env.add_filter("filesizeformat", numbers::filesizeformat);
    env.add_filter("center", layout::center);
    env.add_filter("indent", layout::indent);
    env.add_filter("truncate", layout::truncate);
    env.add_filter("wordwrap", layout::wordwrap);
    env.add_filter("e", html::escape_filter);
    env.add_filter("escape", html::escape_filter);
    env.add_filter("forceescape", html::forceescape);
    env.add_filter("urlencode", html::urlencode);
    env.add_filter("xmlattr", html::xmlattr);
    let sort = ["reverse", "case_sensitive", "attribute"];
    env.add_filter("sort", filters::renamed(sort, minijinja::filters::sort));
    let dictsort = ["case_sensitive", "by", "reverse"];
    env.add_filter("dictsort", filters::renamed(dictsort, |_, v, k| minijinja::filters::dictsort(&v, k)));
    let by_attribute = ["case_sensitive", "attribute"];
    env.add_filter("min", filters::renamed(by_attribute, minijinja::filters::min));
    env.add_filter("max", filters::renamed(by_attribute, minijinja::filters::max));
    env.add_filter("unique", filters::renamed(by_attribute, minijinja::filters::unique));
}

fn add_tests(env: &mut Environment<'static>) {
    // In Jinja, strings and mappings count as sequences and can be iterated.
    env.add_test("sequence", |value: &Value| {
        matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map)
    });
    env.add_test("iterable", |value: &Value| {
        use ValueKind::{Iterable, Map, Seq, String, Undefined};
        matches!(value.kind(), String | Seq | Map | Iterable | Undefined)
    });
    env.add_test("callable", globals::is_callable);
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
