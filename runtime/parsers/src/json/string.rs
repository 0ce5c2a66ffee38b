//! Reads the inside of a JSON string one character at a time.

use super::style::JsonStyle;

/// Appends `c` as `json.dumps(ensure_ascii=False)` writes it inside a string.
pub(crate) fn push_escaped(c: char, out: &mut String) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        c if c < ' ' => push_unit(c as u32, out),
        c => out.push(c),
    }
}

fn push_unit(unit: u32, out: &mut String) {
    out.push_str(&format!("\\u{unit:04x}"));
}

/// Reads the text after an opening quote and writes it with fresh escapes.
#[derive(Debug)]
pub(crate) struct StringReader {
    quote: char,
    style: JsonStyle,
    escape: Escape,
    /// A high surrogate that waits for its low one.
    high: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
enum Escape {
    None,
    Backslash,
    Hex { value: u32, left: u8 },
}

pub(crate) enum StringStatus {
    More,
    Done,
    Malformed,
}

impl StringReader {
    pub(crate) fn new(quote: char, style: JsonStyle) -> Self {
        Self { quote, style, escape: Escape::None, high: None }
    }

    pub(crate) fn feed(&mut self, c: char, out: &mut String) -> StringStatus {
        match self.escape {
            Escape::None if c == '\\' => self.escape = Escape::Backslash,
            Escape::None if c == self.quote => {
                self.flush_high(out);
                return StringStatus::Done;
            }
            // Python's reader is strict here too; a string in a dict literal may not contain a raw line break either.
            Escape::None if c < ' ' => return StringStatus::Malformed,
            Escape::None => self.push(c, out),
            Escape::Backslash => {
                self.escape = Escape::None;
                return self.escaped(c, out);
            }
            Escape::Hex { value, left } => {
                let Some(digit) = c.to_digit(16) else { return StringStatus::Malformed };
                let value = value * 16 + digit;
                if left > 1 {
                    self.escape = Escape::Hex { value, left: left - 1 };
                } else {
                    self.escape = Escape::None;
                    self.push_code_unit(value, out);
                }
            }
        }
        StringStatus::More
    }

    fn escaped(&mut self, c: char, out: &mut String) -> StringStatus {
        let python = self.style == JsonStyle::Python;
        match c {
            '"' | '\\' => self.push(c, out),
            '/' if !python => self.push('/', out),
            '\'' if python => self.push('\'', out),
            'b' => self.push('\u{8}', out),
            'f' => self.push('\u{c}', out),
            'n' => self.push('\n', out),
            'r' => self.push('\r', out),
            't' => self.push('\t', out),
            'u' => self.escape = Escape::Hex { value: 0, left: 4 },
            'x' if python => self.escape = Escape::Hex { value: 0, left: 2 },
            // Python keeps the backslash of an unknown escape.
            c if python && c >= ' ' => {
                self.push('\\', out);
                self.push(c, out);
            }
            _ => return StringStatus::Malformed,
        }
        StringStatus::More
    }

    fn push(&mut self, c: char, out: &mut String) {
        self.flush_high(out);
        push_escaped(c, out);
    }

    fn push_code_unit(&mut self, unit: u32, out: &mut String) {
        match (self.high, unit) {
            (Some(high), 0xDC00..=0xDFFF) => {
                self.high = None;
                let code = 0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00);
                if let Some(c) = char::from_u32(code) {
                    push_escaped(c, out);
                }
            }
            (_, 0xD800..=0xDBFF) => {
                self.flush_high(out);
                self.high = Some(unit);
            }
            _ => match char::from_u32(unit) {
                Some(c) => self.push(c, out),
                None => {
                    self.flush_high(out);
                    push_unit(unit, out);
                }
            },
        }
    }

    fn flush_high(&mut self, out: &mut String) {
        if let Some(high) = self.high.take() {
            push_unit(high, out);
        }
    }
}
