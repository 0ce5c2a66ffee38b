//! The syntax tree of an EBNF grammar.

/// A right-hand side.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    /// Exactly this text.
    Literal(String),
    /// One character of (or, negated, outside) these ranges.
    Class { negated: bool, ranges: Vec<(char, char)> },
    /// Another rule, by its index.
    Rule(usize),
    /// All of them in order; the empty text if there are none.
    Seq(Vec<Expr>),
    /// Any one of them.
    Alt(Vec<Expr>),
    /// From `min` to `max` times.
    Repeat { inner: Box<Expr>, min: u32, max: Option<u32> },
}

impl Expr {
    /// The empty text.
    pub(super) fn empty() -> Self {
        Self::Seq(Vec::new())
    }

    /// A sequence, flattened.
    pub(super) fn seq(items: impl IntoIterator<Item = Expr>) -> Self {
        let mut flat = Vec::new();
        for item in items {
            match item {
                Self::Seq(inner) => flat.extend(inner),
                Self::Literal(text) if text.is_empty() => {}
                other => flat.push(other),
            }
        }
        if flat.len() == 1
            && let Some(only) = flat.pop()
        {
            return only;
        }
        Self::Seq(flat)
    }

    /// A choice, flattened.
    pub(super) fn alt(items: impl IntoIterator<Item = Expr>) -> Self {
        let mut flat = Vec::new();
        for item in items {
            match item {
                Self::Alt(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1
            && let Some(only) = flat.pop()
        {
            return only;
        }
        Self::Alt(flat)
    }

    /// Whether `test` holds for every rule that the expression uses.
    pub(super) fn all_rules(&self, test: &mut impl FnMut(usize) -> bool) -> bool {
        match self {
            Self::Literal(_) | Self::Class { .. } => true,
            Self::Rule(index) => test(*index),
            Self::Seq(items) | Self::Alt(items) => items.iter().all(|item| item.all_rules(test)),
            Self::Repeat { inner, .. } => inner.all_rules(test),
        }
    }
}

/// A grammar: the right-hand sides by index, and the index of the root.
#[derive(Debug)]
pub(super) struct Grammar {
    pub(super) rules: Vec<Expr>,
    pub(super) root: usize,
}
