//! Why a value is invalid.

use serde_json::Value;

use super::field_error::{FieldError, Loc};
use super::python;

/// Why a value is invalid, without its path.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch(Box<Reason>);

#[derive(Clone, Debug, PartialEq)]
struct Reason {
    kind: &'static str,
    msg: String,
    at: Vec<Loc>,
    input: Value,
    ctx: Vec<(&'static str, String)>,
    /// The valid words, if the value is outside a fixed set of words.
    words: Vec<String>,
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
            words: Vec::new(),
        }))
    }

    /// A violated rule of our own.
    pub fn rule(rule: impl AsRef<str>, input: &Value) -> Self {
        let rule = rule.as_ref();
        let mut mismatch = Self::new("value_error", format!("Value error, {rule}"), input);
        mismatch.0.ctx.push(("error", format!("ValueError({})", python::str_repr(rule))));
        mismatch
    }

    /// A value outside a fixed set of words: "Input should be 'a', 'b' or 'c'".
    pub fn literal(words: &[&str], input: &Value) -> Self {
        Self::outside(&alternatives(&quoted(words)), input).with_words(words)
    }

    /// As [`Mismatch::literal`], in the words of the Responses API: "Input should be 'a', 'b', 'c'".
    pub fn literal_list(words: &[&str], input: &Value) -> Self {
        Self::outside(&quoted(words).join(", "), input).with_words(words)
    }

    /// A number outside a fixed set: "Input should be 0, 1 or 2".
    pub fn literal_number(numbers: &[i64], input: &Value) -> Self {
        let texts: Vec<String> = numbers.iter().map(i64::to_string).collect();
        Self::outside(&alternatives(&texts), input)
    }

    fn outside(expected: &str, input: &Value) -> Self {
        let mut mismatch = Self::new("literal_error", format!("Input should be {expected}"), input);
        mismatch.0.ctx.push(("expected", python::str_repr(expected)));
        mismatch
    }

    fn with_words(mut self, words: &[&str]) -> Self {
        self.0.words = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// The valid words. Empty unless the value is outside a fixed set of words.
    pub(super) fn into_words(self) -> Vec<String> {
        self.0.words
    }

    /// A missing key.
    pub fn missing(key: &'static str, map: &Value) -> Self {
        Self::new("missing", "Field required", map).under(key)
    }

    /// The error for the value at the path `place`.
    pub fn at(self, mut place: Vec<Loc>) -> FieldError {
        let Reason { kind, msg, at, input, ctx, .. } = *self.0;
        place.extend(at);
        FieldError { kind, loc: place, msg, input, ctx }
    }

    /// Puts the mismatch one level deeper.
    pub fn under(mut self, step: impl Into<Loc>) -> Self {
        self.0.at.insert(0, step.into());
        self
    }
}

fn quoted(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| format!("'{word}'")).collect()
}

/// "a, b or c".
fn alternatives(texts: &[String]) -> String {
    match texts {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => texts.concat(),
    }
}

/// The result of reading one value.
pub type Read<T> = Result<T, Mismatch>;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_outside_a_fixed_set_lists_the_set() {
        let message = |mismatch: Mismatch| mismatch.at(Vec::new()).msg;
        let input = json!("x");
        assert_eq!(message(Mismatch::literal(&["a"], &input)), "Input should be 'a'");
        assert_eq!(message(Mismatch::literal(&["a", "b"], &input)), "Input should be 'a' or 'b'");
        assert_eq!(message(Mismatch::literal(&["a", "b", "c"], &input)), "Input should be 'a', 'b' or 'c'");
        assert_eq!(
            message(Mismatch::literal_list(&["a", "b", "c"], &input)),
            "Input should be 'a', 'b', 'c'"
        );
        assert_eq!(message(Mismatch::literal_number(&[0, 1, 2], &input)), "Input should be 0, 1 or 2");
    }

    #[test]
    fn the_words_of_the_set_stay_whole_whatever_they_contain() {
        let words = ["it's", "a 'b' c", ""];
        assert_eq!(Mismatch::literal(&words, &json!(1)).into_words(), words);
        assert_eq!(Mismatch::literal_list(&words, &json!(1)).under("type").into_words(), words);
        assert!(Mismatch::literal_number(&[1], &json!("x")).into_words().is_empty());
        assert!(Mismatch::rule("'a' or 'b'", &json!(1)).into_words().is_empty());
    }
}
