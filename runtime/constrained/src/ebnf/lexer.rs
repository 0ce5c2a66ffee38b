//! Splits EBNF text into tokens.

/// Where a token starts. Both numbers count from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name before `::=`.
    RuleName(String),
    Name(String),
    Literal(String),
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    Integer(String),
    Assign,
    /// `(=`, the start of a lookahead assertion.
    Lookahead,
    /// One of `( ) { } | * + ? ,`.
    Symbol(char),
    End,
}

impl Token {
    /// The token as error messages show it.
    pub(super) fn show(&self) -> String {
        match self {
            Self::RuleName(name) | Self::Name(name) | Self::Integer(name) => name.clone(),
            Self::Literal(text) => format!("{text:?}"),
            Self::Class { .. } => "a character class".into(),
            Self::Assign => "::=".into(),
            Self::Lookahead => "(=".into(),
            Self::Symbol(c) => c.to_string(),
            Self::End => "end of input".into(),
        }
    }
}

/// Splits `text`; the last token is [`Token::End`].
pub(super) fn lex(text: &str) -> Result<Vec<(Token, Place)>, String> {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0, place: Place { line: 1, column: 1 } };
    let mut tokens: Vec<(Token, Place)> = Vec::new();
    loop {
        lexer.skip();
        let place = lexer.place;
        let token = lexer.token()?;
        if token == Token::Assign {
            let line_before = tokens.len().checked_sub(2).and_then(|i| tokens.get(i)).map(|(_, p)| p.line);
            match tokens.last_mut() {
                Some((Token::Name(_), at)) if line_before == Some(at.line) => {
                    return Err(error(*at, "The rule name should be at the beginning of the line"));
                }
                Some((last @ Token::Name(_), _)) => *last = Token::RuleName(last.show()),
                _ => return Err(error(place, "Assign should be preceded by an identifier")),
            }
        }
        let end = token == Token::End;
        tokens.push((token, place));
        if end {
            return Ok(tokens);
        }
    }
}

fn error(place: Place, message: &str) -> String {
    format!("EBNF lexer error at line {}, column {}: {message}", place.line, place.column)
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    place: Place,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        if c == '\n' {
            self.place = Place { line: self.place.line + 1, column: 1 };
        } else {
            self.place.column += 1;
        }
        Some(c)
    }

    fn fail<T>(&self, message: &str) -> Result<T, String> {
        Err(error(self.place, message))
    }

    /// Skips white space and comments.
    fn skip(&mut self) {
        while let Some(c) = self.peek(0) {
            if c == '#' {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.next();
                }
            } else if c.is_ascii_whitespace() {
                self.next();
            } else {
                return;
            }
        }
    }

    fn take_while(&mut self, test: impl Fn(char) -> bool) -> String {
        let mut out = String::new();
        while let Some(c) = self.peek(0).filter(|&c| test(c)) {
            out.push(c);
            self.next();
        }
        out
    }

    fn token(&mut self) -> Result<Token, String> {
        let Some(c) = self.peek(0) else { return Ok(Token::End) };
        match c {
            '"' => self.literal(),
            '[' => self.class(),
            '(' if self.peek(1) == Some('=') => {
                self.next();
                self.next();
                Ok(Token::Lookahead)
            }
            '(' | ')' | '{' | '}' | '|' | '*' | '+' | '?' | ',' => {
                self.next();
                Ok(Token::Symbol(c))
            }
            ':' if self.peek(1) == Some(':') && self.peek(2) == Some('=') => {
                (0..3).for_each(|_| {
                    self.next();
                });
                Ok(Token::Assign)
            }
            c if c.is_ascii_digit() => Ok(Token::Integer(self.take_while(|c| c.is_ascii_digit()))),
            c if is_name(c) => Ok(Token::Name(self.take_while(|c| is_name(c) || c.is_ascii_digit()))),
            c => self.fail(&format!("Unexpected character: {c:?}")),
        }
    }

    fn literal(&mut self) -> Result<Token, String> {
        self.next();
        let mut out = String::new();
        loop {
            match self.peek(0) {
                None | Some('\n' | '\r') => return self.fail("Expect \" in string literal"),
                Some('"') => {
                    self.next();
                    return Ok(Token::Literal(out));
                }
                Some('\\') => out.push(self.escape()?),
                Some(c) => {
                    out.push(c);
                    self.next();
                }
            }
        }
    }

    /// Reads a character class. Ranges are kept as written; the parser checks their order.
    fn class(&mut self) -> Result<Token, String> {
        self.next();
        let negated = self.peek(0) == Some('^');
        if negated {
            self.next();
        }
        let mut ranges: Vec<(char, char)> = Vec::new();
        loop {
            match self.peek(0) {
                None | Some('\n' | '\r') => return self.fail("Unterminated character class"),
                Some(']') => {
                    self.next();
                    return Ok(Token::Class { negated, ranges });
                }
                Some('\\') if matches!(self.peek(1), Some('d' | 'w' | 's')) => {
                    self.next();
                    match self.next() {
                        Some('d') => ranges.push(('0', '9')),
                        Some('w') => ranges.extend([('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
                        _ => ranges.extend([('\t', '\r'), (' ', ' ')]),
                    }
                }
                Some(_) => {
                    let first = self.class_char()?;
                    let range = self.peek(0) == Some('-') && self.peek(1).is_some_and(|c| c != ']');
                    if range {
                        self.next();
                    }
                    let last = if range { self.class_char()? } else { first };
                    ranges.push((first, last));
                }
            }
        }
    }

    fn class_char(&mut self) -> Result<char, String> {
        match self.peek(0) {
            Some('\\') => self.escape(),
            Some(c) if c != '\n' && c != '\r' => {
                self.next();
                Ok(c)
            }
            _ => self.fail("Unterminated character class"),
        }
    }

    /// Reads an escape in a literal or a class; error messages point at its backslash.
    fn escape(&mut self) -> Result<char, String> {
        let start = self.place;
        let invalid = || error(start, "Invalid escape sequence");
        self.next();
        let digits = match self.next().ok_or_else(invalid)? {
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            'a' => return Ok('\u{7}'),
            'b' => return Ok('\u{8}'),
            'v' => return Ok('\u{b}'),
            'f' => return Ok('\u{c}'),
            'e' => return Ok('\u{1b}'),
            '0' => return Ok('\0'),
            c @ ('\\' | '"' | '\'' | '?' | ']' | '[' | '-' | '^' | '/') => return Ok(c),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => return Err(invalid()),
        };
        let mut value = 0u32;
        for _ in 0..digits {
            let digit = self.peek(0).and_then(|c| c.to_digit(16)).ok_or_else(invalid)?;
            value = value.checked_mul(16).ok_or_else(invalid)? + digit;
            self.next();
        }
        char::from_u32(value).ok_or_else(invalid)
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '_' | '-' | '.')
}
