//! Why a value does not fit.

use serde_json::Value;

use super::field_error::{FieldError, Loc};
use super::python;

/// Why a value does not fit, before it is known where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch(Box<Reason>);

#[derive(Clone, Debug, PartialEq)]
struct Reason {
    kind: &'static str,
    msg: String,
    at: Vec<Loc>,
    input: Value,
    ctx: Vec<(&'static str, String)>,
}

impl Mismatch {
    /// A mismatch of the whole value.
    pub fn new(kind: &'static str, msg: impl Into<String>, input: &Value) -> Self {
        Self(Box::new(Reason {
            kind,
            msg: msg.into(),
            at: Vec::new(),
            input: input.clone(),
            ctx: Vec::new(),
        }))
    }

    /// A rule of our own that the value breaks.
    pub fn rule(rule: impl AsRef<str>, input: &Value) -> Self {
        let rule = rule.as_ref();
        let mut mismatch = Self::new("value_error", format!("Value error, {rule}"), input);
        mismatch.0.ctx.push(("error", format!("ValueError({})", python::str_repr(rule))));
        mismatch
    }

    /// A value outside a fixed set; `expected` is the set as Python text.
    pub fn literal(expected: &str, input: &Value) -> Self {
        let mut mismatch = Self::new("literal_error", format!("Input should be {expected}"), input);
        mismatch.0.ctx.push(("expected", python::str_repr(expected)));
        mismatch
    }

    /// The texts of the set, of a mismatch made by [`Mismatch::literal`].
    pub(super) fn literals(&self) -> Option<Vec<String>> {
        let reason = &self.0;
        (reason.kind == "literal_error")
            .then(|| reason.msg.split('\'').skip(1).step_by(2).map(str::to_owned).collect())
    }

    /// A key that must be there.
    pub fn missing(key: &'static str, map: &Value) -> Self {
        Self::new("missing", "Field required", map).under(key)
    }

    /// The error of the value at `place`.
    pub fn at(self, mut place: Vec<Loc>) -> FieldError {
        let Reason { kind, msg, at, input, ctx } = *self.0;
        place.extend(at);
        FieldError { kind, loc: place, msg, input, ctx }
    }

    /// Puts the mismatch one step further down.
    pub fn under(mut self, step: impl Into<Loc>) -> Self {
        self.0.at.insert(0, step.into());
        self
    }
}

/// What a reader of one value gives.
pub type Read<T> = Result<T, Mismatch>;
