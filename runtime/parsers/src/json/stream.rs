//! Reads one JSON value character by character and writes it as it arrives.

use super::number::number_repr;
use super::space::is_json_space;
use super::string::{StringReader, StringStatus};
use super::style::JsonStyle;

/// Deeper nesting counts as malformed (Python's own reader stops near a thousand).
const MAX_DEPTH: usize = 512;
/// Python refuses longer integers.
const MAX_NUMBER_CHARS: usize = 4300;

/// What a character did to the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonStatus {
    /// The value continues.
    More,
    /// This character ended the value.
    Done,
    /// The value had ended before this character, which belongs to what follows.
    DoneBefore,
    /// This is not JSON.
    Malformed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
}

#[derive(Debug)]
enum Token {
    None,
    String { reader: StringReader, key: bool },
    Number(String),
    Literal(String),
}

/// Reads one JSON value. What it has written so far is always a prefix of valid JSON.
#[derive(Debug)]
pub(crate) struct JsonStream {
    style: JsonStyle,
    /// Open containers, `true` for an object.
    stack: Vec<bool>,
    expect: Expect,
    token: Token,
    scratch: String,
}

impl JsonStream {
    pub(crate) fn new(style: JsonStyle) -> Self {
        Self { style, stack: Vec::new(), expect: Expect::Value, token: Token::None, scratch: String::new() }
    }

    /// Takes one character and appends to `out` whatever it decides.
    pub(crate) fn feed(&mut self, c: char, out: &mut String) -> JsonStatus {
        if self.style != JsonStyle::Verbatim {
            return self.step(c, out);
        }
        let started = !self.stack.is_empty() || !matches!(self.token, Token::None);
        let mut scratch = std::mem::take(&mut self.scratch);
        let status = self.step(c, &mut scratch);
        scratch.clear();
        self.scratch = scratch;
        let leading = !started && is_json_space(c);
        if !leading && matches!(status, JsonStatus::More | JsonStatus::Done) {
            out.push(c);
        }
        status
    }

    /// Ends the text and writes a number that was waiting for its end. `true` if the value is complete.
    pub(crate) fn finish(&mut self, out: &mut String) -> bool {
        if !self.stack.is_empty() {
            return false;
        }
        match std::mem::replace(&mut self.token, Token::None) {
            Token::Number(text) => match number_repr(&text) {
                Some(_) if self.style == JsonStyle::Verbatim => true,
                Some(number) => {
                    out.push_str(&number);
                    true
                }
                None => false,
            },
            _ => false,
        }
    }

    fn step(&mut self, c: char, out: &mut String) -> JsonStatus {
        match std::mem::replace(&mut self.token, Token::None) {
            Token::None => self.structure(c, out),
            Token::String { mut reader, key } => match reader.feed(c, out) {
                StringStatus::More => {
                    self.token = Token::String { reader, key };
                    JsonStatus::More
                }
                StringStatus::Done => {
                    out.push('"');
                    if key {
                        self.expect = Expect::Colon;
                        JsonStatus::More
                    } else {
                        self.value_done()
                    }
                }
                StringStatus::Malformed => JsonStatus::Malformed,
            },
            Token::Number(mut text) => {
                if matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E') {
                    if text.len() >= MAX_NUMBER_CHARS {
                        return JsonStatus::Malformed;
                    }
                    text.push(c);
                    self.token = Token::Number(text);
                    return JsonStatus::More;
                }
                let Some(number) = number_repr(&text) else { return JsonStatus::Malformed };
                out.push_str(&number);
                match self.value_done() {
                    JsonStatus::Done => JsonStatus::DoneBefore,
                    _ => self.structure(c, out),
                }
            }
            Token::Literal(mut text) => {
                text.push(c);
                self.literal(text, out)
            }
        }
    }

    fn literal(&mut self, text: String, out: &mut String) -> JsonStatus {
        const JSON: [(&str, &str); 3] = [("true", "true"), ("false", "false"), ("null", "null")];
        const PYTHON: [(&str, &str); 3] = [("True", "true"), ("False", "false"), ("None", "null")];
        let python = if self.style == JsonStyle::Python { &PYTHON[..] } else { &[] };
        for (word, written) in JSON.iter().chain(python) {
            if *word == text {
                out.push_str(written);
                return self.value_done();
            }
            if word.starts_with(text.as_str()) {
                self.token = Token::Literal(text);
                return JsonStatus::More;
            }
        }
        JsonStatus::Malformed
    }

    fn structure(&mut self, c: char, out: &mut String) -> JsonStatus {
        if is_json_space(c) {
            return JsonStatus::More;
        }
        match (self.expect, c) {
            (Expect::KeyOrEnd, '}') | (Expect::ValueOrEnd, ']') => self.close(c, out),
            (Expect::CommaOrEnd, '}') if self.stack.last() == Some(&true) => self.close(c, out),
            (Expect::CommaOrEnd, ']') if self.stack.last() == Some(&false) => self.close(c, out),
            (Expect::CommaOrEnd, ',') => {
                out.push_str(", ");
                self.expect = if self.stack.last() == Some(&true) { Expect::Key } else { Expect::Value };
                JsonStatus::More
            }
            (Expect::Colon, ':') => {
                out.push_str(": ");
                self.expect = Expect::Value;
                JsonStatus::More
            }
            (Expect::Key | Expect::KeyOrEnd, c) if self.is_quote(c) => self.open_string(c, true, out),
            (Expect::Value | Expect::ValueOrEnd, c) => self.value_start(c, out),
            _ => JsonStatus::Malformed,
        }
    }

    fn value_start(&mut self, c: char, out: &mut String) -> JsonStatus {
        match c {
            '{' | '[' if self.stack.len() >= MAX_DEPTH => JsonStatus::Malformed,
            '{' | '[' => {
                out.push(c);
                self.stack.push(c == '{');
                self.expect = if c == '{' { Expect::KeyOrEnd } else { Expect::ValueOrEnd };
                JsonStatus::More
            }
            '-' | '0'..='9' => {
                self.token = Token::Number(c.to_string());
                JsonStatus::More
            }
            c if self.is_quote(c) => self.open_string(c, false, out),
            c if c.is_ascii_alphabetic() => self.literal(c.to_string(), out),
            _ => JsonStatus::Malformed,
        }
    }

    fn is_quote(&self, c: char) -> bool {
        c == '"' || (c == '\'' && self.style == JsonStyle::Python)
    }

    fn open_string(&mut self, quote: char, key: bool, out: &mut String) -> JsonStatus {
        out.push('"');
        self.token = Token::String { reader: StringReader::new(quote, self.style), key };
        JsonStatus::More
    }

    fn close(&mut self, c: char, out: &mut String) -> JsonStatus {
        out.push(c);
        self.stack.pop();
        self.value_done()
    }

    fn value_done(&mut self) -> JsonStatus {
        self.expect = Expect::CommaOrEnd;
        if self.stack.is_empty() { JsonStatus::Done } else { JsonStatus::More }
    }
}
