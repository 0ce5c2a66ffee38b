//! Finds the parts of a pattern that the library's parser does not support.

/// A look-ahead at the start.
pub(super) struct Ahead {
    pub(super) negative: bool,
    pub(super) body: String,
    /// The look-ahead as written.
    pub(super) whole: String,
}

/// Scans a pattern for parts that the library's parser does not support.
pub(super) struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// The pattern without the removed parts.
    pub(super) rest: String,
    /// The pattern begins with an anchor.
    pub(super) anchored: bool,
    pub(super) ahead: Vec<Ahead>,
    /// Look-arounds that are not at the start, as written.
    pub(super) inner: Vec<String>,
    pub(super) back_reference: bool,
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            rest: String::new(),
            anchored: false,
            ahead: Vec::new(),
            inner: Vec::new(),
            back_reference: false,
        }
    }

    fn left(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn run(mut self) -> Self {
        let mut class = false;
        // A look-ahead at the start applies only up to the first alternation outside groups.
        let alternation = top_level_bar(self.text);
        while let Some(c) = self.left().chars().next() {
            if c == '\\' {
                self.escape();
                continue;
            }
            if class {
                class = c != ']';
                if c == '[' || "&-~".contains(c) && self.left().chars().nth(1) == Some(c) {
                    self.rest.push('\\');
                }
            } else if c == '[' {
                class = true;
                self.open_class();
                continue;
            } else if let Some(group) = self.look_around() {
                let (whole, body, negative, behind) = group;
                let first = matches!(self.rest.as_str(), "" | "^") && !alternation && !behind;
                self.at += whole.len();
                if first {
                    self.ahead.push(Ahead { negative, body: body.into(), whole: whole.into() });
                } else {
                    self.inner.push(whole.into());
                    self.rest.push_str("(?:)");
                }
                continue;
            } else if let Some(counter) = counter(self.left()) {
                self.rest.push_str(counter);
                self.at += counter.len();
                continue;
            } else if matches!(c, '{' | '}') {
                self.rest.push('\\');
            }
            self.rest.push(c);
            self.at += c.len_utf8();
        }
        self.anchored = self.rest.starts_with('^');
        self
    }

    /// Reads the bracket that opens a class, and the characters that may directly follow it.
    fn open_class(&mut self) {
        let open = if self.left().starts_with("[^") { "[^" } else { "[" };
        self.rest.push_str(open);
        self.at += open.len();
        // ECMA-262's empty class and its complement.
        if self.left().starts_with(']') && open == "[^" {
            self.rest.truncate(self.rest.len() - 2);
            self.rest.push_str("[\\s\\S");
        } else if self.left().starts_with('[') {
            self.rest.push_str("\\[");
            self.at += 1;
        }
    }

    fn escape(&mut self) {
        let mut chars = self.left().chars();
        let (_, next) = (chars.next(), chars.next());
        let Some(next) = next else {
            self.rest.push('\\');
            self.at += 1;
            return;
        };
        match next {
            '1'..='9' | 'k' => self.back_reference = true,
            'Z' => self.rest.push_str("\\z"),
            '0' => self.rest.push_str("\\x00"),
            // In Python and ECMA-262, any other escaped character stands for itself.
            c if !c.is_ascii_alphanumeric() && !regex_syntax::is_escapeable_character(c) => self.rest.push(c),
            c => {
                self.rest.push('\\');
                self.rest.push(c);
            }
        }
        self.at += 1 + next.len_utf8();
        // In `\p{…}`, `\u{…}` and `\x{…}` the braces belong to the escape.
        if matches!(next, 'p' | 'P' | 'u' | 'x')
            && self.left().starts_with('{')
            && let Some(end) = self.left().find('}')
        {
            self.rest.push_str(self.left().get(..=end).unwrap_or_default());
            self.at += end + 1;
        }
    }

    /// The look-around that begins here: its text, its body, whether it is negative, and whether it looks behind.
    fn look_around(&self) -> Option<(&'a str, &'a str, bool, bool)> {
        let left = self.left();
        let kinds =
            [("(?=", false, false), ("(?!", true, false), ("(?<=", false, true), ("(?<!", true, true)];
        let (open, negative, behind) = kinds.into_iter().find(|(open, ..)| left.starts_with(open))?;
        let end = group_end(left)?;
        Some((left.get(..=end)?, left.get(open.len()..end)?, negative, behind))
    }
}

/// The counter, such as `{2,5}`, with which the text begins.
fn counter(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('{')?.split_once('}')?.0;
    let (low, high) = inside.split_once(',').unwrap_or((inside, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    text.get(..inside.len() + 2).filter(|_| !low.is_empty() && digits(low) && digits(high))
}

/// Calls `visit` for each character outside classes and escapes, until it returns something.
fn outside<T>(text: &str, mut visit: impl FnMut(usize, char) -> Option<T>) -> Option<T> {
    let (mut class, mut skip) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if skip => skip = false,
            '\\' => skip = true,
            ']' if class => class = false,
            _ if class => {}
            '[' => class = true,
            c => {
                if let Some(found) = visit(at, c) {
                    return Some(found);
                }
            }
        }
    }
    None
}

/// The end of the group with which the text begins.
fn group_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    outside(text, |at, c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => return None,
        }
        (depth == 0).then_some(at)
    })
}

/// Whether there are alternatives outside groups.
pub(super) fn top_level_bar(text: &str) -> bool {
    let mut depth = 0_i32;
    outside(text, |_, c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            '|' if depth == 0 => return Some(()),
            _ => {}
        }
        None
    })
    .is_some()
}
