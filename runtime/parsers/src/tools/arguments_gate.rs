//! Makes sure that the arguments of a call are the text of a JSON object.

use serde_json::Value;

use crate::json::normalise;

/// Arguments that do not start as an object are collected up to this many bytes, until they are complete.
const MAX_KEPT: usize = 1 << 20;
/// Arguments may be JSON text inside a JSON string this many times.
const MAX_LAYERS: usize = 4;

#[derive(Debug, Default)]
enum State {
    /// Only white space so far.
    #[default]
    Start,
    /// An object, passed on as it arrives.
    Object,
    /// Anything else, which may still contain an object.
    Other(String),
}

/// Passes objects through. Missing arguments and null become `{}`; a string that contains an object becomes that
/// object.
#[derive(Debug, Default)]
pub(super) struct ArgumentsGate(State);

impl ArgumentsGate {
    /// Takes the next piece and returns what can be passed on of it. `None`: these cannot be arguments.
    pub(super) fn push<'p>(&mut self, piece: &'p str) -> Option<&'p str> {
        match &mut self.0 {
            State::Object => return Some(piece),
            State::Other(kept) => {
                kept.push_str(piece);
                return (kept.len() <= MAX_KEPT).then_some("");
            }
            State::Start => {}
        }
        let piece = piece.trim_start();
        match piece.chars().next() {
            None => {}
            Some('{') => {
                self.0 = State::Object;
                return Some(piece);
            }
            Some(_) => self.0 = State::Other(piece.to_owned()),
        }
        Some("")
    }

    /// Returns what the end of the arguments adds. `None`: they were not an object.
    pub(super) fn finish(&mut self) -> Option<String> {
        match std::mem::take(&mut self.0) {
            State::Object => Some(String::new()),
            State::Start => Some("{}".to_owned()),
            State::Other(text) => object(&text, MAX_LAYERS),
        }
    }
}

/// The object that `text` stands for.
fn object(text: &str, layers: usize) -> Option<String> {
    let text = text.trim();
    if text.is_empty() {
        return Some("{}".to_owned());
    }
    match serde_json::from_str(text).ok()? {
        Value::Object(_) => normalise(text),
        Value::Null | Value::Bool(false) => Some("{}".to_owned()),
        Value::Array(items) if items.is_empty() => Some("{}".to_owned()),
        Value::Number(number) if number.as_f64() == Some(0.0) => Some("{}".to_owned()),
        Value::String(inner) if layers > 0 => object(&inner, layers - 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(pieces: &[&str]) -> Option<String> {
        let mut gate = ArgumentsGate::default();
        let mut out = String::new();
        for piece in pieces {
            out.push_str(gate.push(piece)?);
        }
        out.push_str(&gate.finish()?);
        Some(out)
    }

    #[test]
    fn what_comes_out_is_an_object() {
        assert_eq!(passed(&[" ", "{\"a\"", ": 1}"]).as_deref(), Some("{\"a\": 1}"));
        for nothing in ["", " ", "null", "\"\"", "\"null\"", "[]", "false", "0"] {
            assert_eq!(passed(&[nothing]).as_deref(), Some("{}"), "{nothing}");
        }
        assert_eq!(passed(&["\"{\\\"a\\\"", ":1}\""]).as_deref(), Some("{\"a\": 1}"));
        for other in ["\"text\"", "[1]", "5", "true"] {
            assert_eq!(passed(&[other]), None, "{other}");
        }
        assert_eq!(passed(&["\"", &"x".repeat(MAX_KEPT)]), None);
    }
}
