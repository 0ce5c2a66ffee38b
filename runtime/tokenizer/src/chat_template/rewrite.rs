//! Supports two operators of Jinja2 that minijinja lacks: `%` on strings (Python's formatting) and the unary `+`.
//!
//! A template that uses them is rewritten before it is compiled: `a % b` becomes a call of [`MODULO`], and a unary `+`
//! is removed. Other templates, and malformed ones, stay unchanged.

/// The function that replaces `%`.
pub(super) const MODULO: &str = "__mod__";

/// What preceded a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The end of an operand, after which a sign is a binary operator.
    Operand,
    /// An operator, an opening bracket or the beginning of the expression.
    Operator,
    /// A dot, after which a word is an attribute.
    Dot,
    /// `is`, after which a word is the name of a test.
    Is,
}

/// The innermost bracket.
struct Level {
    before: Before,
    /// Where the operands of `*`, `/`, `//` and `%` begin in the output.
    chain: Option<usize>,
    /// Whether a call of [`MODULO`] is open.
    is_open: bool,
}

impl Level {
    fn new() -> Self {
        Self { before: Before::Operator, chain: None, is_open: false }
    }
}

/// Words that are operators or part of a statement.
const KEYWORDS: [&str; 10] = ["and", "or", "not", "in", "if", "else", "elif", "for", "recursive", "as"];

struct Rewriter<'a> {
    rest: &'a str,
    out: String,
    changed: bool,
}

/// The source with both operators replaced.
pub(super) fn operators(source: &str) -> String {
    let mut rewriter =
        Rewriter { rest: source, out: String::with_capacity(source.len() + 64), changed: false };
    match rewriter.template() {
        Some(()) if rewriter.changed => rewriter.out,
        _ => source.to_owned(),
    }
}

impl<'a> Rewriter<'a> {
    /// Copies the next `length` bytes.
    fn take(&mut self, length: usize) -> Option<&'a str> {
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.out.push_str(text);
        self.rest = rest;
        Some(text)
    }

    /// Copies up to and including `end`.
    fn take_through(&mut self, end: &str) -> Option<()> {
        let at = self.rest.find(end)?;
        self.take(at + end.len()).map(|_| ())
    }

    /// Copies the whole template; `None` if it is malformed.
    fn template(&mut self) -> Option<()> {
        while let Some(at) = self.rest.find('{') {
            self.take(at)?;
            if self.rest.starts_with("{#") {
                self.take_through("#}")?;
            } else if self.rest.starts_with("{{") {
                self.take(2)?;
                self.expression("}}")?;
            } else if self.rest.starts_with("{%") {
                let inner = self.rest.get(2..)?.trim_start_matches(['-', '+']).trim_start();
                let after =
                    inner.strip_prefix("raw").map(|tail| tail.trim_start().trim_start_matches(['-', '+']));
                if after.is_some_and(|tail| tail.starts_with("%}")) {
                    self.raw()?;
                } else {
                    self.take(2)?;
                    self.expression("%}")?;
                }
            } else {
                self.take(1)?;
            }
        }
        self.take(self.rest.len()).map(|_| ())
    }

    /// Copies a block whose content is plain text.
    fn raw(&mut self) -> Option<()> {
        loop {
            self.take_through("%}")?;
            let at = self.rest.find("{%")?;
            self.take(at)?;
            let inner = self.rest.get(2..)?.trim_start_matches(['-', '+']).trim_start();
            if inner.starts_with("endraw") {
                return self.take_through("%}");
            }
        }
    }

    /// Copies a statement or an expression up to its end mark.
    fn expression(&mut self, end: &str) -> Option<()> {
        let mut levels = vec![Level::new()];
        if self.rest.starts_with(['-', '+']) && !self.rest.starts_with("-}") {
            self.take(1)?;
        }
        // The first word of a statement is its name.
        let mut is_name = end == "%}";
        loop {
            let first = self.rest.chars().next()?;
            let depth = levels.len();
            let level = levels.last_mut()?;
            if depth == 1 {
                let unsigned = self.rest.strip_prefix(['-', '+']).unwrap_or(self.rest);
                if unsigned.starts_with(end) {
                    self.end_chain(level)?;
                    let length = self.rest.len() - unsigned.len() + end.len();
                    return self.take(length).map(|_| ());
                }
            }
            match first {
                c if c.is_whitespace() => {
                    self.take(c.len_utf8())?;
                }
                '\'' | '"' => {
                    let length = text_length(self.rest, first)?;
                    self.operand(level, length)?;
                }
                c if c.is_ascii_digit() => {
                    let length = number_length(self.rest, level.before == Before::Dot);
                    self.operand(level, length)?;
                }
                c if c.is_alphabetic() || c == '_' => {
                    let length = self
                        .rest
                        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                        .unwrap_or(self.rest.len());
                    let word = self.rest.get(..length)?;
                    let is_test = level.before == Before::Is && word != "not";
                    if is_name {
                        is_name = false;
                        self.operator(level, length)?;
                    } else if word == "is" && level.before == Before::Operand {
                        self.take(length)?;
                        level.before = Before::Is;
                    } else if level.before == Before::Is && word == "not" {
                        self.take(length)?;
                    } else if !is_test && level.before != Before::Dot && KEYWORDS.contains(&word) {
                        self.operator(level, length)?;
                    } else {
                        self.operand(level, length)?;
                    }
                }
                '(' | '[' | '{' => {
                    level.chain.get_or_insert(self.out.len());
                    level.before = Before::Operator;
                    self.take(1)?;
                    levels.push(Level::new());
                }
                ')' | ']' | '}' => {
                    self.end_chain(level)?;
                    levels.pop();
                    levels.last_mut()?.before = Before::Operand;
                    self.take(1)?;
                }
                '.' => {
                    self.take(1)?;
                    level.before = Before::Dot;
                }
                '|' => {
                    self.take(1)?;
                    level.before = Before::Operator;
                }
                '*' | '/' => {
                    let doubled = self.rest.starts_with("**") || self.rest.starts_with("//");
                    if !self.rest.starts_with("**") {
                        self.close(level)?;
                    }
                    self.take(1 + usize::from(doubled))?;
                    level.before = Before::Operator;
                }
                '%' => {
                    self.close(level)?;
                    let begin = level.chain.filter(|_| level.before == Before::Operand)?;
                    self.out.insert_str(begin, &format!("{MODULO}("));
                    self.out.push(',');
                    self.rest = self.rest.get(1..)?;
                    level.is_open = true;
                    level.before = Before::Operator;
                    self.changed = true;
                }
                '+' | '-' if level.before != Before::Operand => {
                    level.chain.get_or_insert(self.out.len());
                    if first == '+' {
                        self.rest = self.rest.get(1..)?;
                        self.changed = true;
                    } else {
                        self.take(1)?;
                    }
                }
                '=' | '!' | '<' | '>' => {
                    let doubled = self.rest.get(1..)?.starts_with('=');
                    self.operator(level, 1 + usize::from(doubled))?;
                }
                c => self.operator(level, c.len_utf8())?,
            }
        }
    }

    fn operand(&mut self, level: &mut Level, length: usize) -> Option<()> {
        level.chain.get_or_insert(self.out.len());
        level.before = Before::Operand;
        self.take(length).map(|_| ())
    }

    /// Copies an operator that binds less tightly than `%`, or a separator.
    fn operator(&mut self, level: &mut Level, length: usize) -> Option<()> {
        self.end_chain(level)?;
        level.before = Before::Operator;
        self.take(length).map(|_| ())
    }

    fn end_chain(&mut self, level: &mut Level) -> Option<()> {
        level.chain = None;
        self.close(level)
    }

    /// Closes a call of [`MODULO`]; `None` if its second argument is missing.
    fn close(&mut self, level: &mut Level) -> Option<()> {
        if std::mem::take(&mut level.is_open) {
            if level.before != Before::Operand {
                return None;
            }
            self.out.push(')');
        }
        Some(())
    }
}

/// Length of a quoted string, including its quotes.
fn text_length(rest: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Length of a number. After a dot it is an index, which has no fraction.
fn number_length(rest: &str, is_index: bool) -> usize {
    let digits = |text: &str| text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let whole = digits(rest);
    let fraction = rest.get(whole..).and_then(|tail| tail.strip_prefix('.')).unwrap_or_default();
    let mut length = whole;
    if !is_index && fraction.starts_with(|c: char| c.is_ascii_digit()) {
        length = whole + 1 + digits(fraction);
    }
    let exponent = rest.get(..length).is_some_and(|text| text.ends_with(['e', 'E']));
    match rest.get(length..).and_then(|tail| tail.strip_prefix(['-', '+'])) {
        Some(tail) if exponent && !is_index => length + 1 + digits(tail),
        _ => length,
    }
}

#[cfg(test)]
mod tests {
    use super::operators;

    #[test]
    fn remainders_become_calls_and_plus_signs_go() {
        for (source, expected) in [
            ("{{ '%s' % x }}", "{{ __mod__('%s' , x )}}"),
            ("{{ a + b * c % d - e }}", "{{ a + __mod__(b * c , d )- e }}"),
            ("{{ a % b * c % d }}", "{{ __mod__(__mod__(a , b )* c , d )}}"),
            ("{{ f(x % 2, -y|abs % 3) }}", "{{ f(__mod__(x , 2), __mod__(-y|abs , 3)) }}"),
            ("{% if i.x % 2 == 0 and j %}", "{% if __mod__(i.x , 2 )== 0 and j %}"),
            ("{% set y = '%d' % (n % 7,) -%}", "{% set y = __mod__('%d' , (__mod__(n , 7),) )-%}"),
            ("{{ {'a': {'b': n % 2}} }}", "{{ {'a': {'b': __mod__(n , 2)}} }}"),
            ("{{ +n }}{{ [+1, 2 + +3] }}", "{{ n }}{{ [1, 2 + 3] }}"),
            ("{{ a % b if c % 2 is odd else d }}", "{{ __mod__(a , b )if __mod__(c , 2 is odd )else d }}"),
            ("{{ a ** 2 % 1.5e-3 ~ l.0 % 2 }}", "{{ __mod__(a ** 2 , 1.5e-3 )~ __mod__(l.0 , 2 )}}"),
        ] {
            assert_eq!(operators(source), expected);
        }
    }

    #[test]
    fn everything_else_stays() {
        for source in [
            "100 % sure + more {% if a %}b{%- endif -%}",
            "{# a % b #}{% raw %}{{ a % b }}{% endraw %}{%- raw -%} {{ +1 }} {%- endraw %}",
            "{{ 'a % b' ~ \"+c\" ~ 'it\\'s % d' }}",
            "{{ a % }}",
            "{{ a % b",
            "{{ ) % b }}",
            "{{- a -}}{%+ if b +%}{% endif %}",
            "{{ a - b + c }}",
            "{",
        ] {
            assert_eq!(operators(source), source);
        }
    }
}
