//! Writes grammars in the Lark dialect of `llguidance`.
//!
//! Every composite expression becomes a separate rule, so the text never nests: the library parses at most 30 levels.

use std::fmt::Write;

use serde_json::Value;

/// A grammar being written.
#[derive(Debug, Default)]
pub(crate) struct Lark {
    text: String,
    names: usize,
}

/// Matches every text.
pub(crate) const ANY_TEXT: &str = "/(?s:.*)/";

impl Lark {
    fn name(&mut self, prefix: char) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    /// Reserves a name for a rule that is used before it is [defined](Self::define).
    pub(crate) fn reserve(&mut self) -> String {
        self.name('r')
    }

    /// Defines a reserved rule.
    pub(crate) fn define(&mut self, name: &str, body: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{name}: {body}");
    }

    /// Adds a rule with `body` and returns its name.
    pub(crate) fn rule(&mut self, body: &str) -> String {
        let name = self.name('r');
        self.define(&name, body);
        name
    }

    /// Adds a rule that takes the shortest text that matches the terminal expression `body`.
    pub(crate) fn lazy(&mut self, body: &str) -> String {
        let name = self.name('r');
        self.define(&format!("{name}[lazy]"), body);
        name
    }

    /// Adds a terminal. `body` is a regular expression built of literals, `/regex/`, other terminals and operators.
    pub(crate) fn terminal(&mut self, body: &str) -> String {
        let name = self.name('T');
        self.define(&name, body);
        name
    }

    /// The complete grammar, with `start` as its start symbol.
    pub(crate) fn finish(mut self, start: &str) -> String {
        self.define("start", start);
        self.text
    }
}

/// `text` as a Lark literal.
pub(crate) fn literal(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A character class over code points.
pub(crate) fn class(negated: bool, ranges: &[(char, char)]) -> String {
    let mut out = String::from(if negated { "/[^" } else { "/[" });
    for &(first, last) in ranges {
        let _ = write!(out, "\\x{{{:x}}}-\\x{{{:x}}}", first as u32, last as u32);
    }
    if ranges.is_empty() {
        return "/(?s:.)/".into();
    }
    out.push_str("]/");
    out
}

/// A rule for a JSON schema with its options.
pub(crate) fn json(schema: &Value) -> String {
    format!("%json {schema}")
}

/// One of the tokens `ids`, whatever their text.
pub(crate) fn tokens(ids: &[u32]) -> String {
    let list: Vec<String> = ids.iter().map(u32::to_string).collect();
    format!("<[{}]>", list.join(","))
}
