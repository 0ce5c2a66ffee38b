//! Rewrites patterns so that the library can read them.
//!
//! Schemas contain patterns in the dialects of ECMA-262 and Python. The library's expressions have no look-around, word
//! boundaries or back-references, and anchors only at the ends. Look-aheads at the start become separate patterns; an
//! anchor inside an alternative is moved to the ends of the pattern; everything else is removed, which allows more than
//! the pattern does.

use regex_syntax::ast::{AssertionKind, Ast, parse::Parser};

use super::scan::{Scan, top_level_bar};
use super::words::{Forbid, all_but};

/// The result of reading a pattern.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// Patterns that must all match.
    pub(super) patterns: Vec<String>,
    /// Parts that are not enforced.
    pub(super) dropped: Vec<String>,
}

/// Reads a pattern. An invalid one is returned unchanged, so that the library reports what is wrong.
pub(super) fn read(pattern: &str) -> Read {
    let scanned = Scan::new(pattern).run();
    if scanned.back_reference {
        return Read { patterns: vec![], dropped: vec![format!("{pattern:?} has a back-reference")] };
    }
    let mut read = Read::default();
    for ahead in &scanned.ahead {
        let body = if scanned.anchored { format!("^(?:{})", ahead.body) } else { ahead.body.clone() };
        let said = match ahead.negative {
            false if scanned.anchored => Some(body),
            true if scanned.anchored => none_at_start(&ahead.body),
            _ => None,
        };
        match said {
            Some(pattern) => read.patterns.push(anchored(&pattern).unwrap_or(pattern)),
            None => read.dropped.push(format!("the look-ahead {:?} in {pattern:?}", ahead.whole)),
        }
    }
    read.dropped.extend(scanned.inner.iter().map(|inner| format!("{inner:?} in {pattern:?}")));
    let rest = scanned.rest;
    match Parser::new().parse(&rest) {
        Ok(ast) if needs_anchoring(&ast) => match anchored(&rest) {
            Some(whole) => read.patterns.push(whole),
            None => {
                let (text, lost) = without_assertions(&rest, &ast);
                read.dropped.extend(lost.iter().map(|lost| format!("{lost:?} in {pattern:?}")));
                read.patterns.push(anchored(&text).unwrap_or(text));
            }
        },
        _ => read.patterns.push(rest),
    }
    read
}

/// A pattern for the texts that `pattern` does not match; `None` if that cannot be expressed.
pub(super) fn complement(pattern: &str) -> Option<String> {
    let inner = pattern.strip_prefix('^');
    match inner {
        // The anchor belongs to the first alternative only.
        Some(inner) if top_level_bar(inner) => None,
        Some(inner) => none_at_start(inner),
        // "No match anywhere": no character is in the class.
        None => Some(format!("^{}*$", flipped(pattern)?)),
    }
}

/// A pattern for the texts that do not start with a match of `body`.
fn none_at_start(body: &str) -> Option<String> {
    if top_level_bar(body) && (body.starts_with('^') || body.ends_with('$')) {
        return None;
    }
    let body = body.strip_prefix('^').unwrap_or(body);
    let (whole, core) = match body.strip_suffix('$').filter(|core| !core.ends_with('\\')) {
        Some(core) => (true, core),
        None => (false, body),
    };
    for any in [".*?", ".*", "(?:.*)"] {
        if let Some(class) = core.strip_prefix(any).filter(|_| !whole) {
            let one = |class: &str| flipped(class).map(|other| format!("^{other}*$"));
            return one(class).or_else(|| never_doubled(class));
        }
    }
    if whole {
        if let Some(other) = core.strip_suffix('*').and_then(flipped) {
            return Some(other);
        }
        if let Some(other) = core.strip_suffix('+').and_then(flipped) {
            return Some(format!("^(?:$|(?s:.*){other}(?s:.*)$)"));
        }
    } else if let Some(other) = flipped(core) {
        return Some(format!("^(?:{other}(?s:.*))?$"));
    }
    let words = literals(&Parser::new().parse(core).ok()?)?;
    all_but(words.iter().map(String::as_str), if whole { Forbid::Whole } else { Forbid::Start })
}

/// A pattern for the texts in which a character never occurs twice in a row; `twice` is that character, doubled.
fn never_doubled(twice: &str) -> Option<String> {
    let once = twice.get(..twice.len() / 2).filter(|once| twice.strip_prefix(once) == Some(once))?;
    let other = flipped(once)?;
    Some(format!("^(?:{once}?{other})*{once}?$"))
}

/// The complement of a character class.
fn flipped(class: &str) -> Option<String> {
    match &Parser::new().parse(class).ok()? {
        Ast::ClassBracketed(bracketed) => Some(match bracketed.negated {
            true => format!("[{}", class.get(2..)?),
            false => format!("[^{}", class.get(1..)?),
        }),
        Ast::Literal(_) => Some(format!("[^{class}]")),
        Ast::ClassPerl(_) => Some(class.chars().map(swap_case).collect()),
        _ => None,
    }
}

fn swap_case(c: char) -> char {
    if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
}

/// The words of a pattern that is only a list of words.
fn literals(ast: &Ast) -> Option<Vec<String>> {
    match ast {
        Ast::Empty(_) => Some(vec![String::new()]),
        Ast::Literal(literal) => Some(vec![literal.c.to_string()]),
        Ast::Group(group) => literals(&group.ast),
        Ast::Alternation(list) => {
            let lists: Option<Vec<_>> = list.asts.iter().map(literals).collect();
            Some(lists?.concat())
        }
        Ast::Concat(list) => list.asts.iter().try_fold(vec![String::new()], |words, part| {
            let ends = literals(part)?;
            if words.len() * ends.len() > 64 {
                return None;
            }
            Some(words.iter().flat_map(|word| ends.iter().map(move |end| format!("{word}{end}"))).collect())
        }),
        _ => None,
    }
}

/// Whether the expression has assertions anywhere except at its very ends.
fn needs_anchoring(ast: &Ast) -> bool {
    match ast {
        Ast::Concat(list) => list.asts.iter().enumerate().any(|(i, part)| match part {
            Ast::Assertion(assertion) => match assertion.kind {
                AssertionKind::StartLine => i != 0,
                AssertionKind::EndLine => i + 1 != list.asts.len(),
                _ => true,
            },
            other => has_assertion(other),
        }),
        Ast::Assertion(assertion) => {
            !matches!(assertion.kind, AssertionKind::StartLine | AssertionKind::EndLine)
        }
        other => has_assertion(other),
    }
}

fn has_assertion(ast: &Ast) -> bool {
    match ast {
        Ast::Assertion(_) => true,
        Ast::Group(group) => has_assertion(&group.ast),
        Ast::Repetition(repetition) => has_assertion(&repetition.ast),
        Ast::Concat(list) => list.asts.iter().any(has_assertion),
        Ast::Alternation(list) => list.asts.iter().any(has_assertion),
        _ => false,
    }
}

/// The pattern with its anchors moved to its ends; `None` if one must stay inside.
fn anchored(pattern: &str) -> Option<String> {
    let ast = Parser::new().parse(pattern).ok()?;
    let body = whole(pattern, &ast, true, true)?;
    Some(format!("^(?:{body})$"))
}

/// An expression for the whole texts that contain a match of `ast`; an open end may be any text.
fn whole(pattern: &str, ast: &Ast, open_start: bool, open_end: bool) -> Option<String> {
    const ANY: &str = "(?s:.*)";
    let edges = |text: &str| {
        let (start, end) = (if open_start { ANY } else { "" }, if open_end { ANY } else { "" });
        format!("{start}(?:{text}){end}")
    };
    let is =
        |ast: &Ast, kinds: [AssertionKind; 2]| matches!(ast, Ast::Assertion(a) if kinds.contains(&a.kind));
    let start = |ast: &Ast| is(ast, [AssertionKind::StartLine, AssertionKind::StartText]);
    let end = |ast: &Ast| is(ast, [AssertionKind::EndLine, AssertionKind::EndText]);
    match ast {
        Ast::Alternation(list) => {
            let parts: Option<Vec<_>> =
                list.asts.iter().map(|part| whole(pattern, part, open_start, open_end)).collect();
            Some(format!("(?:{})", parts?.join("|")))
        }
        Ast::Group(group) if has_assertion(&group.ast) => whole(pattern, &group.ast, open_start, open_end),
        Ast::Assertion(_) if start(ast) => Some(if open_end { ANY.into() } else { String::new() }),
        Ast::Assertion(_) if end(ast) => Some(if open_start { ANY.into() } else { String::new() }),
        Ast::Concat(list) => {
            let (mut parts, mut open) = (list.asts.as_slice(), (open_start, open_end));
            while let Some((_, rest)) = parts.split_first().filter(|(first, _)| start(first)) {
                (parts, open.0) = (rest, false);
            }
            while let Some((_, rest)) = parts.split_last().filter(|(last, _)| end(last)) {
                (parts, open.1) = (rest, false);
            }
            if let [one] = parts {
                return whole(pattern, one, open.0, open.1);
            }
            // A group at either end may contain the anchor of that end.
            let (mut start, mut end) = (
                if open.0 { ANY.to_owned() } else { String::new() },
                if open.1 { ANY.to_owned() } else { String::new() },
            );
            if let Some((first, rest)) = parts.split_first().filter(|(first, _)| has_assertion(first)) {
                (start, parts) = (whole(pattern, first, open.0, false)?, rest);
            }
            if let Some((last, rest)) = parts.split_last().filter(|(last, _)| has_assertion(last)) {
                (end, parts) = (whole(pattern, last, false, open.1)?, rest);
            }
            if parts.iter().any(has_assertion) {
                return None;
            }
            let text = match (parts.first(), parts.last()) {
                (Some(first), Some(last)) => {
                    pattern.get(first.span().start.offset..last.span().end.offset)?
                }
                _ => "",
            };
            Some(format!("{start}(?:{text}){end}"))
        }
        other if has_assertion(other) => None,
        other => Some(edges(pattern.get(other.span().start.offset..other.span().end.offset)?)),
    }
}

/// The pattern without the assertions inside it, and a list of those.
fn without_assertions(pattern: &str, ast: &Ast) -> (String, Vec<String>) {
    let mut spans = Vec::new();
    collect(ast, &mut spans);
    let last = pattern.len();
    spans.retain(|&(start, end)| {
        let text = pattern.get(start..end).unwrap_or_default();
        !((text == "^" && start == 0) || (text == "$" && end == last))
    });
    spans.sort_unstable();
    let (mut out, mut lost, mut at) = (String::new(), Vec::new(), 0);
    for (start, end) in spans {
        out.push_str(pattern.get(at..start).unwrap_or_default());
        out.push_str("(?:)");
        lost.push(pattern.get(start..end).unwrap_or_default().to_owned());
        at = end;
    }
    out.push_str(pattern.get(at..).unwrap_or_default());
    (out, lost)
}

fn collect(ast: &Ast, spans: &mut Vec<(usize, usize)>) {
    match ast {
        Ast::Assertion(assertion) => spans.push((assertion.span.start.offset, assertion.span.end.offset)),
        Ast::Group(group) => collect(&group.ast, spans),
        Ast::Repetition(repetition) => collect(&repetition.ast, spans),
        Ast::Concat(list) => list.asts.iter().for_each(|part| collect(part, spans)),
        Ast::Alternation(list) => list.asts.iter().for_each(|part| collect(part, spans)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
