//! Writing grammars in the Lark dialect of `llguidance`.
//!
//! Every composite gets a name of its own, so the text never nests (the library reads 30 levels at most).

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

    /// A new name for a rule that is [defined](Self::define) later, because it is used before.
    pub(crate) fn reserve(&mut self) -> String {
        self.name('r')
    }

    /// Defines a reserved rule.
    pub(crate) fn define(&mut self, name: &str, body: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{name}: {body}");
    }

    /// A rule with `body`; gives its name.
    pub(crate) fn rule(&mut self, body: &str) -> String {
        let name = self.name('r');
        self.define(&name, body);
        name
    }

    /// A rule that takes the shortest text that matches the terminal expression `body`.
    pub(crate) fn lazy(&mut self, body: &str) -> String {
        let name = self.name('r');
        self.define(&format!("{name}[lazy]"), body);
        name
    }

    /// A terminal: `body` is a regular expression built of literals, `/regex/`, other terminals and operators.
    pub(crate) fn terminal(&mut self, body: &str) -> String {
        let name = self.name('T');
        self.define(&name, body);
        name
    }

    /// The whole grammar, starting with `start`.
    pub(crate) fn finish(mut self, start: &str) -> String {
        self.define("start", start);
        self.text
    }
}

/// `text` as a literal.
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

/// A JSON schema with its options.
pub(crate) fn json(schema: &Value) -> String {
    format!("%json {schema}")
}

/// One of `ids` as a token, whatever its text.
pub(crate) fn tokens(ids: &[u32]) -> String {
    let list: Vec<String> = ids.iter().map(u32::to_string).collect();
    format!("<[{}]>", list.join(","))
}
