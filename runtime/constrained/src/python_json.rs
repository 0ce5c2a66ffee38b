//! Explains where a text is not valid JSON, in the words of Python's `json.loads`, which the reference's messages use.

/// Deeper nesting is not examined.
const MAX_DEPTH: usize = 512;

/// Explains why `text` is not JSON, as `MESSAGE: line L column C (char N)`; `None` if Python would accept it.
pub(crate) fn explain(text: &str) -> Option<String> {
    let mut scanner = Scanner { chars: text.chars().collect(), at: 0 };
    scanner.document().err().map(|(message, at)| scanner.describe(message, at))
}

struct Scanner {
    chars: Vec<char>,
    at: usize,
}

type Mistake = (&'static str, usize);

const PROPERTY: &str = "Expecting property name enclosed in double quotes";
const VALUE: &str = "Expecting value";

impl Scanner {
    fn describe(&self, message: &str, at: usize) -> String {
        let before = self.chars.get(..at).unwrap_or(&self.chars);
        let line = before.iter().filter(|&&c| c == '\n').count() + 1;
        let column = before.iter().rev().take_while(|&&c| c != '\n').count() + 1;
        format!("{message}: line {line} column {column} (char {at})")
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn document(&mut self) -> Result<(), Mistake> {
        self.space();
        self.value(0)?;
        self.space();
        if self.at < self.chars.len() { Err(("Extra data", self.at)) } else { Ok(()) }
    }

    fn value(&mut self, depth: usize) -> Result<(), Mistake> {
        let start = self.at;
        if depth > MAX_DEPTH {
            return Err(("Too deeply nested", start));
        }
        match self.peek() {
            Some('"') => self.string(),
            Some('{') => self.members(depth),
            Some('[') => self.elements(depth),
            Some('-' | '0'..='9') => self.number(start),
            _ => {
                for word in ["true", "false", "null", "NaN", "Infinity"] {
                    if self
                        .chars
                        .get(start..start + word.len())
                        .is_some_and(|c| c.iter().copied().eq(word.chars()))
                    {
                        self.at += word.len();
                        return Ok(());
                    }
                }
                Err((VALUE, start))
            }
        }
    }

    fn members(&mut self, depth: usize) -> Result<(), Mistake> {
        self.at += 1;
        self.space();
        if self.eat('}') {
            return Ok(());
        }
        loop {
            if self.peek() != Some('"') {
                return Err((PROPERTY, self.at));
            }
            self.string()?;
            self.space();
            if !self.eat(':') {
                return Err(("Expecting ':' delimiter", self.at));
            }
            self.space();
            self.value(depth + 1)?;
            self.space();
            if self.eat('}') {
                return Ok(());
            }
            if !self.eat(',') {
                return Err(("Expecting ',' delimiter", self.at));
            }
            self.space();
        }
    }

    fn elements(&mut self, depth: usize) -> Result<(), Mistake> {
        self.at += 1;
        self.space();
        if self.eat(']') {
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            self.space();
            if self.eat(']') {
                return Ok(());
            }
            if !self.eat(',') {
                return Err(("Expecting ',' delimiter", self.at));
            }
            self.space();
        }
    }

    fn string(&mut self) -> Result<(), Mistake> {
        let start = self.at;
        self.at += 1;
        loop {
            let Some(c) = self.peek() else { return Err(("Unterminated string starting at", start)) };
            match c {
                '"' => {
                    self.at += 1;
                    return Ok(());
                }
                '\\' => {
                    let escape = self.at;
                    self.at += 1;
                    match self.peek() {
                        None => return Err(("Unterminated string starting at", start)),
                        Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => self.at += 1,
                        Some('u') => {
                            let digits = self.chars.get(self.at + 1..self.at + 5);
                            if !digits.is_some_and(|d| d.iter().all(char::is_ascii_hexdigit)) {
                                return Err(("Invalid \\uXXXX escape", self.at + 1));
                            }
                            self.at += 5;
                        }
                        Some(_) => return Err(("Invalid \\escape", escape)),
                    }
                }
                c if c < ' ' => return Err(("Invalid control character at", self.at)),
                _ => self.at += 1,
            }
        }
    }

    fn digits(&mut self) -> bool {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        self.at > start
    }

    /// Reads a number. As in Python, an error after its longest valid prefix is reported by whoever reads on.
    fn number(&mut self, start: usize) -> Result<(), Mistake> {
        self.eat('-');
        if !self.eat('0') && !self.digits() {
            return Err((VALUE, start));
        }
        let integer = self.at;
        if self.eat('.') && !self.digits() {
            self.at = integer;
            return Ok(());
        }
        let mantissa = self.at;
        if self.eat('e') || self.eat('E') {
            if !self.eat('+') {
                self.eat('-');
            }
            if !self.digits() {
                self.at = mantissa;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::explain;

    #[test]
    fn mistakes_are_told_as_python_tells_them() {
        let cases = [
            ("{not json", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
            ("", "Expecting value: line 1 column 1 (char 0)"),
            ("[1 2]", "Expecting ',' delimiter: line 1 column 4 (char 3)"),
            ("{\"a\" 1}", "Expecting ':' delimiter: line 1 column 6 (char 5)"),
            (
                "{\"a\":\n 1, }",
                "Expecting property name enclosed in double quotes: line 2 column 5 (char 10)",
            ),
            ("{} x", "Extra data: line 1 column 4 (char 3)"),
            ("\"ab", "Unterminated string starting at: line 1 column 1 (char 0)"),
            ("\"\\q\"", "Invalid \\escape: line 1 column 2 (char 1)"),
            ("\"\\u12g4\"", "Invalid \\uXXXX escape: line 1 column 4 (char 3)"),
            ("\"a\nb\"", "Invalid control character at: line 1 column 3 (char 2)"),
            ("[1.]", "Expecting ',' delimiter: line 1 column 3 (char 2)"),
        ];
        for (text, message) in cases {
            assert_eq!(explain(text).as_deref(), Some(message), "{text}");
        }
    }

    #[test]
    fn what_python_reads_has_no_mistake() {
        for text in ["{}", " [1, -2.5e+3, \"\\u00e9\", null, true] ", "NaN", "{\"a\": {\"b\": []}}"] {
            assert_eq!(explain(text), None, "{text}");
        }
    }
}
