//! Converts Python literals, and calls with literal arguments, to JSON text.

use crate::json::{float_repr, quote};

/// Deeper nesting is refused.
const MAX_DEPTH: usize = 200;

/// `json.dumps(ast.literal_eval(text), ensure_ascii=False)`; `None` if `text` is not a literal or has no JSON form.
pub(crate) fn literal_to_json(text: &str) -> Option<String> {
    let mut reader = Reader::new(text.trim());
    let value = reader.value(0)?;
    reader.space();
    reader.at_end().then_some(value)
}

/// One call of a list such as `[f(a=1), g()]`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PythonCall {
    pub(crate) name: String,
    /// The keyword arguments as a JSON object; `None` when one of them has no JSON form.
    pub(crate) arguments: Option<String>,
}

/// Reads a bracketed list of calls. `None` for any other text, including an empty list.
pub(crate) fn parse_call_list(text: &str) -> Option<Vec<PythonCall>> {
    let mut reader = Reader::new(text);
    let mut calls = Vec::new();
    reader.require('[')?;
    loop {
        if reader.accept(']') {
            break;
        }
        calls.push(reader.call()?);
        if !reader.accept(',') {
            reader.require(']')?;
            break;
        }
    }
    reader.space();
    (reader.at_end() && !calls.is_empty()).then_some(calls)
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn accept(&mut self, c: char) -> bool {
        self.space();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn require(&mut self, c: char) -> Option<()> {
        self.accept(c).then_some(())
    }

    fn identifier(&mut self) -> Option<&'a str> {
        self.space();
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        let first = name.chars().next()?;
        if first.is_numeric() {
            return None;
        }
        self.rest = rest;
        Some(name)
    }

    fn call(&mut self) -> Option<PythonCall> {
        let name = self.identifier()?.to_owned();
        self.require('(')?;
        let mut fields = Vec::new();
        let mut convertible = true;
        loop {
            if self.accept(')') {
                break;
            }
            // A positional argument has no parameter name and is skipped, as in the reference.
            let before = self.rest;
            let keyword = match self.identifier() {
                Some(name) if self.accept('=') => Some(name),
                _ => {
                    self.rest = before;
                    None
                }
            };
            match self.value(0) {
                Some(value) => {
                    if let Some(keyword) = keyword {
                        fields.push(format!("{}: {value}", quote(keyword)));
                    }
                }
                None => {
                    convertible = false;
                    self.rest = before;
                    self.skip_argument()?;
                }
            }
            if !self.accept(',') {
                self.require(')')?;
                break;
            }
        }
        Some(PythonCall { name, arguments: convertible.then(|| format!("{{{}}}", fields.join(", "))) })
    }

    /// Skips an argument that is not a literal, up to the comma or parenthesis after it.
    fn skip_argument(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                '"' | '\'' => {
                    self.string(false)?;
                    continue;
                }
                '(' | '[' | '{' => depth += 1,
                ')' | ',' if depth == 0 => return Some(()),
                ')' | ']' | '}' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            self.bump();
        }
    }

    fn value(&mut self, depth: usize) -> Option<String> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.space();
        match self.peek()? {
            '[' => self.sequence('[', ']', depth),
            '(' => self.sequence('(', ')', depth),
            '{' => self.dict(depth),
            '"' | '\'' => self.strings(),
            '-' | '+' | '.' | '0'..='9' => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Option<String> {
        let before = self.rest;
        let name = self.identifier()?;
        let json = match name {
            "True" => "true",
            "False" => "false",
            "None" => "null",
            "r" | "R" | "u" | "U" if matches!(self.peek(), Some('"' | '\'')) => {
                let text = self.string(name.eq_ignore_ascii_case("r"))?;
                return Some(quote(&text));
            }
            _ => {
                self.rest = before;
                return None;
            }
        };
        Some(json.to_owned())
    }

    /// A list or tuple; both are JSON arrays. `(x)` is `x` itself.
    fn sequence(&mut self, open: char, close: char, depth: usize) -> Option<String> {
        self.require(open)?;
        let mut items = Vec::new();
        loop {
            if self.accept(close) {
                break;
            }
            items.push(self.value(depth + 1)?);
            if !self.accept(',') {
                self.require(close)?;
                if open == '(' && items.len() == 1 {
                    return items.pop();
                }
                break;
            }
        }
        Some(format!("[{}]", items.join(", ")))
    }

    fn dict(&mut self, depth: usize) -> Option<String> {
        self.require('{')?;
        let mut fields = Vec::new();
        loop {
            if self.accept('}') {
                break;
            }
            let key = self.value(depth + 1)?;
            let key = match key.chars().next()? {
                '"' => key,
                '[' | '{' => return None,
                // `json.dumps` turns a number, a boolean or None into a string key.
                _ => quote(&key),
            };
            self.require(':')?;
            let value = self.value(depth + 1)?;
            fields.push(format!("{key}: {value}"));
            if !self.accept(',') {
                self.require('}')?;
                break;
            }
        }
        Some(format!("{{{}}}", fields.join(", ")))
    }

    fn number(&mut self) -> Option<String> {
        let negative = match self.peek()? {
            '-' => {
                self.bump();
                true
            }
            '+' => {
                self.bump();
                false
            }
            _ => false,
        };
        self.space();
        let mut end = 0;
        let bytes = self.rest.as_bytes();
        let radix_prefixed = matches!(bytes, [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', ..]);
        while let Some(b) = bytes.get(end) {
            let exponent_sign = matches!(b, b'+' | b'-')
                && !radix_prefixed
                && end > 0
                && matches!(bytes.get(end - 1), Some(b'e' | b'E'));
            if !(b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_') || exponent_sign) {
                break;
            }
            end += 1;
        }
        let (text, rest) = self.rest.split_at(end);
        if text.is_empty() || text.starts_with('_') || text.ends_with('_') || text.contains("__") {
            return None;
        }
        let text = text.replace('_', "");
        let unsigned = if radix_prefixed { radix_integer(&text)? } else { decimal(&text)? };
        self.rest = rest;
        Some(if negative && unsigned != "0" { format!("-{unsigned}") } else { unsigned })
    }

    /// Adjacent string literals are one string.
    fn strings(&mut self) -> Option<String> {
        let mut text = self.string(false)?;
        loop {
            self.space();
            if !matches!(self.peek(), Some('"' | '\'')) {
                return Some(quote(&text));
            }
            text.push_str(&self.string(false)?);
        }
    }

    fn string(&mut self, raw: bool) -> Option<String> {
        let delimiter = self.peek().filter(|c| matches!(c, '"' | '\''))?;
        let triple: String = std::iter::repeat_n(delimiter, 3).collect();
        let (closing, long) =
            if self.rest.starts_with(&triple) { (triple, true) } else { (delimiter.to_string(), false) };
        self.rest = &self.rest[closing.len()..];
        let mut text = String::new();
        loop {
            if let Some(rest) = self.rest.strip_prefix(closing.as_str()) {
                self.rest = rest;
                return Some(text);
            }
            match self.bump()? {
                '\n' if !long => return None,
                '\\' if raw => {
                    text.push('\\');
                    text.push(self.bump()?);
                }
                '\\' => self.escape(&mut text)?,
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Option<()> {
        let c = self.bump()?;
        let plain = match c {
            '\n' => return Some(()),
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            'a' => '\u{7}',
            '\\' | '\'' | '"' => c,
            '0'..='7' => self.octal(c)?,
            'x' => self.hex(2)?,
            'u' => self.hex(4)?,
            'U' => self.hex(8)?,
            // Python keeps the backslash of an unknown escape.
            other => {
                text.push('\\');
                other
            }
        };
        text.push(plain);
        Some(())
    }

    /// Up to three octal digits, of which the first has been read.
    fn octal(&mut self, first: char) -> Option<char> {
        let mut value = first.to_digit(8)?;
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else { break };
            value = value * 8 + digit;
            self.bump();
        }
        char::from_u32(value)
    }

    fn hex(&mut self, digits: usize) -> Option<char> {
        let mut value = 0_u32;
        for _ in 0..digits {
            value = value.checked_mul(16)?.checked_add(self.bump()?.to_digit(16)?)?;
        }
        char::from_u32(value)
    }
}

fn decimal(text: &str) -> Option<String> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let trimmed = text.trim_start_matches('0');
        return match (trimmed.is_empty(), trimmed.len() == text.len()) {
            (true, _) => Some("0".to_owned()),
            (false, true) => Some(text.to_owned()),
            // Python refuses leading zeros.
            (false, false) => None,
        };
    }
    if !text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    float_repr(text.parse().ok()?)
}

fn radix_integer(text: &str) -> Option<String> {
    let radix = match text.get(1..2)? {
        "x" | "X" => 16,
        "o" | "O" => 8,
        _ => 2,
    };
    u128::from_str_radix(text.get(2..)?, radix).ok().map(|n| n.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_become_the_json_that_python_would_dump() {
        let cases = [
            ("{'a': [1, 2.50, -3], \"b\": (True, None)}", r#"{"a": [1, 2.5, -3], "b": [true, null]}"#),
            ("'it\\'s' \" two\"", "\"it's two\""),
            ("r'\\d+'", r#""\\d+""#),
            ("'\\d\\x41\\n'", r#""\\dA\n""#),
            ("\"\"\"a\nb\"\"\"", r#""a\nb""#),
            ("0x1F", "31"),
            ("1_000", "1000"),
            ("(1)", "1"),
            ("(1,)", "[1]"),
            ("{1: 2, None: 3}", r#"{"1": 2, "null": 3}"#),
            ("1e3", "1000.0"),
        ];
        for (text, want) in cases {
            assert_eq!(literal_to_json(text).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_literal_is_refused() {
        for bad in ["", "x", "f()", "{1", "'a", "[1 2]", "1e999", "012", "{[1]: 2}", "'a\nb'", "1 +"] {
            assert_eq!(literal_to_json(bad), None, "{bad:?}");
        }
        assert_eq!(literal_to_json(&"[".repeat(10_000)), None);
    }

    #[test]
    fn a_call_with_an_unconvertible_argument_leaves_its_siblings_alone() {
        let calls = parse_call_list("[f(a=x + g(1, ')'), b=2), g(c='[)')]").unwrap();
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[0], PythonCall { name: "f".into(), arguments: None });
        assert_eq!(calls[1], PythonCall { name: "g".into(), arguments: Some(r#"{"c": "[)"}"#.into()) });
    }

    #[test]
    fn a_list_of_anything_else_is_no_call_list() {
        for text in ["[]", "[1]", "[f]", "[a.b()]", "[f()", "[f() g()]", "[f()] x"] {
            assert_eq!(parse_call_list(text), None, "{text}");
        }
    }
}
