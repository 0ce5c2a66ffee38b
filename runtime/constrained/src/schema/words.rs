//! Patterns that exclude certain words.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Most characters of all words together; with more, the pattern would be too large.
const MAX_CHARS: usize = 4000;

#[derive(Default)]
struct Node {
    next: BTreeMap<char, Node>,
    word: bool,
}

/// Which texts a negated pattern excludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forbid {
    /// The words themselves.
    Whole,
    /// Every text that begins with one of the words.
    Start,
}

/// A pattern for the texts that are not, or do not begin with, one of `words`; `None` if it would be too large.
pub(super) fn all_but<'a>(words: impl IntoIterator<Item = &'a str>, forbid: Forbid) -> Option<String> {
    let (mut root, mut chars) = (Node::default(), 0);
    for word in words {
        let mut node = &mut root;
        for c in word.chars() {
            chars += 1;
            if chars > MAX_CHARS {
                return None;
            }
            node = node.next.entry(c).or_default();
        }
        node.word = true;
    }
    if forbid == Forbid::Start && root.word {
        return None;
    }
    let mut out = String::from("^(?:");
    write_node(&root, forbid, &mut out);
    out.push_str(")$");
    Some(out)
}

/// Writes what may follow a node of the prefix tree so that none of its words appears.
fn write_node(node: &Node, forbid: Forbid, out: &mut String) {
    let mut bar = "";
    if !node.word {
        bar = "|";
    }
    // Any character that does not lead on towards a word.
    out.push_str(bar);
    if node.next.is_empty() {
        out.push_str("(?s:.)");
    } else {
        out.push_str("[^");
        node.next.keys().for_each(|c| write_char(*c, out));
        out.push(']');
    }
    out.push_str("(?s:.*)");
    for (c, next) in &node.next {
        if forbid == Forbid::Start && next.word {
            continue;
        }
        out.push('|');
        write_char(*c, out);
        out.push_str("(?:");
        write_node(next, forbid, out);
        out.push(')');
    }
}

/// Writes a character for a pattern, inside a class or outside.
pub(super) fn write_char(c: char, out: &mut String) {
    if c.is_ascii_alphanumeric() {
        out.push(c);
    } else {
        let _ = write!(out, "\\x{{{:x}}}", c as u32);
    }
}

/// A text escaped for a pattern.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::new();
    text.chars().for_each(|c| write_char(c, &mut out));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let mut builder = llguidance::derivre::RegexBuilder::new();
        let expression = builder.mk_regex_for_serach(pattern).unwrap();
        builder.to_regex_limited(expression, 100_000).unwrap().is_match(text)
    }

    #[test]
    fn the_pattern_takes_everything_else() {
        let words = all_but(["a", "ab", "é\n"], Forbid::Whole).unwrap();
        for text in ["", "b", "abc", "aa", "é", "é\nx", "ba", "日本"] {
            assert!(matches(&words, text), "{text:?} {words}");
        }
        for text in ["a", "ab", "é\n"] {
            assert!(!matches(&words, text), "{text:?} {words}");
        }
        let starts = all_but(["ab", "c"], Forbid::Start).unwrap();
        for text in ["", "a", "b", "ax", "bab"] {
            assert!(matches(&starts, text), "{text:?} {starts}");
        }
        for text in ["ab", "abc", "c", "cc"] {
            assert!(!matches(&starts, text), "{text:?} {starts}");
        }
        assert_eq!(all_but([""], Forbid::Start), None);
        assert!(!matches(&all_but([""], Forbid::Whole).unwrap(), ""));
        assert!(matches(&format!("^{}$", quoted("a.b(é)-]")), "a.b(é)-]"));
    }
}
