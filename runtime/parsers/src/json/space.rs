//! JSON white space.

/// The four characters that JSON allows between tokens.
pub(crate) fn is_json_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}
