//! One error in a body, in the reference's form.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use super::python;

/// One step of the path to an invalid value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loc {
    /// A key, or the name of an alternative of a union.
    Key(Cow<'static, str>),
    /// A position in a list.
    Index(usize),
}

impl From<&'static str> for Loc {
    fn from(key: &'static str) -> Self {
        Self::Key(key.into())
    }
}

/// One error in a request.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// Machine-readable kind, such as `missing` or `string_type`.
    pub kind: &'static str,
    /// The path: `body`, then keys and positions.
    pub loc: Vec<Loc>,
    /// What would have been valid.
    pub msg: String,
    /// What was sent.
    pub input: Value,
    /// Further facts: names with the Python text of their values.
    pub ctx: Vec<(&'static str, String)>,
}

impl FieldError {
    /// An error of the body as a whole, for rules that involve several fields.
    pub fn of_body(rule: &str, body: &Map<String, Value>) -> Self {
        Self {
            kind: "value_error",
            loc: vec!["body".into()],
            msg: format!("Value error, {rule}"),
            input: Value::Object(body.clone()),
            ctx: vec![("error", format!("ValueError({})", python::str_repr(rule)))],
        }
    }
}

/// Paths and messages without the input: `messages.0.role: Field required; …`.
pub fn brief(errors: &[FieldError]) -> String {
    let text = |error: &FieldError| {
        let steps: Vec<String> = error
            .loc
            .iter()
            .map(|step| match step {
                Loc::Key(key) => key.to_string(),
                Loc::Index(index) => index.to_string(),
            })
            .filter(|step| step != "body")
            .collect();
        match steps.is_empty() {
            true => error.msg.clone(),
            false => format!("{}: {}", steps.join("."), error.msg),
        }
    };
    errors.iter().map(text).collect::<Vec<_>>().join("; ")
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{'type': '{}', 'loc': (", self.kind)?;
        for (i, loc) in self.loc.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            match loc {
                Loc::Key(key) => f.write_str(&python::str_repr(key))?,
                Loc::Index(index) => write!(f, "{index}")?,
            }
        }
        if self.loc.len() == 1 {
            f.write_str(",")?;
        }
        write!(f, "), 'msg': {}, 'input': {}", python::str_repr(&self.msg), python::repr(&self.input))?;
        if !self.ctx.is_empty() {
            f.write_str(", 'ctx': {")?;
            for (i, (name, text)) in self.ctx.iter().enumerate() {
                let comma = if i > 0 { ", " } else { "" };
                write!(f, "{comma}'{name}': {text}")?;
            }
            f.write_str("}")?;
        }
        f.write_str("}")
    }
}
