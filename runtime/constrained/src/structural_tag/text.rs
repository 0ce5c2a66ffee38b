//! Free text that ends at certain strings.

use super::emit::Emitter;
use crate::lark::{ANY_TEXT, literal, tokens};

/// Text, or the name of a special token with its id.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Special(&'a str, u32),
}

/// Splits `text` at the names of special tokens (longest names first).
pub(super) fn pieces<'a>(text: &'a str, special: &[(String, u32)]) -> Vec<Piece<'a>> {
    let mut out = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let found = special
            .iter()
            .filter(|(name, _)| rest.starts_with(name.as_str()))
            .max_by_key(|(name, _)| name.len());
        match found {
            Some((name, id)) => {
                out.extend(text.get(start..at).filter(|t| !t.is_empty()).map(Piece::Text));
                let end = at + name.len();
                out.extend(text.get(at..end).map(|name| Piece::Special(name, *id)));
                (start, at) = (end, end);
            }
            None => at += rest.chars().next().map_or(1, char::len_utf8),
        }
    }
    out.extend(text.get(start..).filter(|t| !t.is_empty()).map(Piece::Text));
    out
}

impl Emitter<'_> {
    /// `text` as an expression; in place of a special token's name the token itself is accepted as well.
    pub(super) fn spelled(&mut self, text: &str) -> String {
        let words: Vec<String> = pieces(text, self.env.special())
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => literal(text),
                Piece::Special(name, id) => self.lark.rule(&format!("{} | {}", literal(name), tokens(&[id]))),
            })
            .collect();
        if words.is_empty() { literal("") } else { words.join(" ") }
    }

    /// Any text that does not contain any of `excludes`.
    pub(super) fn free(&mut self, excludes: &[&str]) -> String {
        if excludes.is_empty() {
            return ANY_TEXT.into();
        }
        let without = without(excludes);
        self.lark.terminal(&format!("{ANY_TEXT} & {without}"))
    }

    /// Any text up to and including the first of `stops`, as one item for each stop. The text contains none of
    /// `excludes`. All items must be possible at the same point: the first stop that completes wins.
    pub(super) fn free_until(&mut self, stops: &[&str], excludes: &[&str]) -> Vec<String> {
        let all: Vec<&str> = stops.iter().chain(excludes).copied().collect();
        stops
            .iter()
            .map(|stop| {
                let mut body = format!("{ANY_TEXT} {}", literal(stop));
                if !excludes.is_empty() {
                    body = format!("{body} & {}", without(excludes));
                }
                let spelled = self.lark.lazy(&body);
                match pieces(stop, self.env.special()).first() {
                    Some(&Piece::Special(name, id)) => {
                        let text = self.free(&all);
                        let rest = self.spelled(stop.get(name.len()..).unwrap_or_default());
                        self.lark.rule(&format!("{spelled} | {text} {} {rest}", tokens(&[id])))
                    }
                    _ => spelled,
                }
            })
            .collect()
    }
}

fn without(excludes: &[&str]) -> String {
    let list: Vec<String> = excludes.iter().map(|text| literal(text)).collect();
    format!("~({ANY_TEXT} ({}) {ANY_TEXT})", list.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_names_are_cut_out() {
        let special = [("<a>".to_owned(), 1), ("<a><b>".to_owned(), 2)];
        let cut = pieces("é<a>x<a><b>", &special);
        assert_eq!(
            cut,
            [Piece::Text("é"), Piece::Special("<a>", 1), Piece::Text("x"), Piece::Special("<a><b>", 2)]
        );
        assert_eq!(pieces("plain", &special), [Piece::Text("plain")]);
        assert!(pieces("", &special).is_empty());
    }
}
