//! The tree of an EBNF grammar.

/// A right-hand side.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    /// Exactly this text.
    Literal(String),
    /// One character of (or, negated, outside) these ranges.
    Class { negated: bool, ranges: Vec<(char, char)> },
    /// Another rule, by its index.
    Rule(usize),
    /// One after the other; nothing when empty.
    Seq(Vec<Expr>),
    /// One of them.
    Alt(Vec<Expr>),
    /// From `min` to `max` times.
    Repeat { inner: Box<Expr>, min: u32, max: Option<u32> },
}

impl Expr {
    /// The empty text.
    pub(super) fn empty() -> Self {
        Self::Seq(Vec::new())
    }

    /// A sequence, flat and without needless wrapping.
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

    /// A choice, flat and without needless wrapping.
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

    /// Whether every rule that occurs satisfies `test`.
    pub(super) fn all_rules(&self, test: &mut impl FnMut(usize) -> bool) -> bool {
        match self {
            Self::Literal(_) | Self::Class { .. } => true,
            Self::Rule(index) => test(*index),
            Self::Seq(items) | Self::Alt(items) => items.iter().all(|item| item.all_rules(test)),
            Self::Repeat { inner, .. } => inner.all_rules(test),
        }
    }
}

/// A grammar: the right-hand sides by index, and which is the root.
#[derive(Debug)]
pub(super) struct Grammar {
    pub(super) rules: Vec<Expr>,
    pub(super) root: usize,
}
