//! Translates regular expressions (reference: `dispatch_regex`).

use llguidance::regex_to_lark;
use regex_syntax::ast::parse::Parser;

/// The expression as it is written between slashes in a Lark grammar. It matches whole outputs, so anchors at its ends
/// have no effect. As in the reference, `\d` and `\w` are ECMAScript's and `.` is any character.
///
/// # Errors
/// The error and its position, in characters from 1.
pub(crate) fn to_lark(pattern: &str) -> Result<String, String> {
    if pattern.contains('\0') {
        return Err("Invalid regex: NUL bytes (\\u0000) are not allowed".into());
    }
    Parser::new().parse(pattern).map_err(|error| {
        let start = error.span().start;
        format!("Regex parsing error at position {}: {}", start.offset_chars(pattern), error.kind())
    })?;
    let body = pattern.strip_prefix('^').unwrap_or(pattern);
    let body = match body.strip_suffix('$') {
        Some(rest) if rest.chars().rev().take_while(|&c| c == '\\').count() % 2 == 0 => rest,
        _ => body,
    };
    Ok(format!("(?s:{})", regex_to_lark(body, "dw")))
}

trait OffsetChars {
    fn offset_chars(&self, text: &str) -> usize;
}

impl OffsetChars for regex_syntax::ast::Position {
    fn offset_chars(&self, text: &str) -> usize {
        text.get(..self.offset).map_or(self.offset, |before| before.chars().count()) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::to_lark;

    #[test]
    fn anchors_at_the_ends_are_dropped() {
        assert_eq!(to_lark("^ab$").unwrap(), "(?s:ab)");
        assert_eq!(to_lark(r"a\$").unwrap(), r"(?s:a\$)");
        assert_eq!(to_lark(r"a\\$").unwrap(), r"(?s:a\\)");
        assert_eq!(to_lark("^$").unwrap(), "(?s:)");
        assert_eq!(to_lark("a/b").unwrap(), r"(?s:a\/b)");
    }

    #[test]
    fn mistakes_have_a_place() {
        assert_eq!(to_lark("aé(b").unwrap_err(), "Regex parsing error at position 3: unclosed group");
        assert!(to_lark("a{2,1}").unwrap_err().starts_with("Regex parsing error at position 2: "));
        assert!(to_lark("a(?=b)").unwrap_err().contains("look-around"));
        assert!(to_lark("a\0").unwrap_err().contains("NUL"));
    }
}
