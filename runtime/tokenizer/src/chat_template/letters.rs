//! Python's classification of characters, and case conversion.

use std::sync::LazyLock;

use regex::Regex;

use super::python;

/// What Python's `str.isspace` accepts: Unicode white space and the ASCII separators.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1C}'..='\u{1F}').contains(&c)
}

static LETTERS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\p{L}+$").ok());
static DECIMALS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\p{Nd}+$").ok());
/// Decimal digits, superscripts, subscripts, and digits in circles and brackets.
static DIGITS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^[\p{Nd}²³¹\u{1369}-\u{1371}\u{19DA}⁰⁴-⁹₀-₉\u{2460}-\u{2468}\u{2474}-\u{247C}\u{2488}-\u{2490}\u{24EA}\u{24F5}-\u{24FD}\u{24FF}\u{2776}-\u{277E}\u{2780}-\u{2788}\u{278A}-\u{2792}\u{1F100}-\u{1F10A}]+$",
    )
    .ok()
});
/// Numeric characters of every kind, including numeric ideographs.
static NUMBERS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^[\p{N}〇一二三四五六七八九十百千万萬亿億兆零壹贰貳叁參肆伍陆陸柒捌玖拾佰仟廿卅两兩]+$").ok()
});

fn matches(pattern: &LazyLock<Option<Regex>>, value: &str) -> bool {
    pattern.as_ref().is_some_and(|p| p.is_match(value))
}

/// The methods that test all characters of a text.
pub(super) fn is_method(value: &str, method: &str) -> Option<bool> {
    let each = |test: &dyn Fn(&str) -> bool| {
        !value.is_empty() && value.chars().all(|c| test(c.encode_utf8(&mut [0; 4])))
    };
    Some(match method {
        "isalpha" => matches(&LETTERS, value),
        "isalnum" => each(&|c| matches(&LETTERS, c) || matches(&NUMBERS, c)),
        "isdecimal" => matches(&DECIMALS, value),
        "isdigit" => matches(&DIGITS, value),
        "isnumeric" => matches(&NUMBERS, value),
        "isspace" => !value.is_empty() && value.chars().all(is_space),
        "isprintable" => value.chars().all(python::is_printable),
        "isidentifier" => {
            let first = value.chars().next();
            first.is_some_and(|c| c.is_alphabetic() || c == '_')
                && value.chars().all(|c| c.is_alphanumeric() || c == '_')
        }
        "istitle" => is_title(value),
        _ => return None,
    })
}

fn is_title(value: &str) -> bool {
    let (mut after_cased, mut any) = (false, false);
    for c in value.chars() {
        let (upper, lower) = (c.is_uppercase() || is_titlecase(c), c.is_lowercase());
        if (upper && after_cased) || (lower && !after_cased) {
            return false;
        }
        after_cased = upper || lower;
        any |= after_cased;
    }
    any
}

/// The four letters that are a digraph with a capital first letter.
fn is_titlecase(c: char) -> bool {
    matches!(c, '\u{1C5}' | '\u{1C8}' | '\u{1CB}' | '\u{1F2}')
}

/// The methods that change case.
pub(super) fn changed_case(value: &str, method: &str) -> Option<String> {
    Some(match method {
        "title" => title(value),
        "swapcase" => value
            .chars()
            .flat_map(|c| -> Vec<char> {
                if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
            })
            .collect(),
        "casefold" => value.to_uppercase().to_lowercase().replace('ς', "σ"),
        _ => return None,
    })
}

fn title(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut after_cased = false;
    for c in value.chars() {
        let is_cased = c.is_uppercase() || c.is_lowercase() || is_titlecase(c);
        if after_cased {
            out.extend(c.to_lowercase());
        } else {
            match c {
                '\u{1C4}'..='\u{1C6}' => out.push('\u{1C5}'),
                '\u{1C7}'..='\u{1C9}' => out.push('\u{1C8}'),
                '\u{1CA}'..='\u{1CC}' => out.push('\u{1CB}'),
                '\u{1F1}'..='\u{1F3}' => out.push('\u{1F2}'),
                c => {
                    // A ligature becomes several letters, of which the first is a capital.
                    let mut upper = c.to_uppercase();
                    let first = upper.next().unwrap_or(c);
                    out.push(first);
                    for next in upper {
                        if first.is_uppercase() { out.extend(next.to_lowercase()) } else { out.push(next) }
                    }
                }
            }
        }
        after_cased = is_cased;
    }
    out
}
