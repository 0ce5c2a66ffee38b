//! Translates xgrammar's EBNF (reference: `dispatch_ebnf`).
//!
//! `root ::= …` with literals, character classes, groups, `|`, `*`, `+`, `?` and `{n,m}`. Every part that is a regular
//! language becomes a single terminal. The lexer is greedy, so it should decide only between parts that are truly
//! recursive.

mod ast;
mod emit;
mod lexer;
mod parser;
mod regular;

use crate::lark::Lark;

/// Writes `text` into `lark` and returns the expression for its root rule.
///
/// # Errors
/// The error with its line and column, in the reference's words.
pub(crate) fn to_lark(text: &str, lark: &mut Lark) -> Result<String, String> {
    let mut grammar = parser::parse(lexer::lex(text)?)?;
    let regular = regular::find(&mut grammar);
    Ok(emit::emit(&grammar, &regular, lark))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        to_lark(text, &mut Lark::default()).unwrap_err()
    }

    #[test]
    fn mistakes_are_told_with_line_and_column() {
        let cases = [
            ("root ::= (((", "EBNF parser error at line 1, column 13: Expect element, but got end of input"),
            (
                "root ::= \"a\" |",
                "EBNF parser error at line 1, column 15: Expect element, but got end of input",
            ),
            ("root ::= x", "EBNF parser error at line 1, column 10: Rule \"x\" is not defined"),
            (
                "x ::= \"a\"",
                "EBNF parser error at line 1, column 1: The root rule with name \"root\" is not found",
            ),
            ("root ::= \"a", "EBNF lexer error at line 1, column 12: Expect \" in string literal"),
            ("root ::= \"a\nb\"", "EBNF lexer error at line 1, column 12: Expect \" in string literal"),
            ("root ::= [a", "EBNF lexer error at line 1, column 12: Unterminated character class"),
            (
                "root ::= [z-a]",
                "EBNF parser error at line 1, column 11: Invalid character class: lower bound is larger than upper bound",
            ),
            (
                "root ::= \"a\"{3,2}",
                "EBNF parser error at line 1, column 16: Lower bound is larger than upper bound: 3 > 2",
            ),
            ("root ::= \"a\"{x}", "EBNF parser error at line 1, column 14: Expect integer, but got x"),
            ("root ::= \"\\q\"", "EBNF lexer error at line 1, column 11: Invalid escape sequence"),
            ("root ::= \"a\" )", "EBNF parser error at line 1, column 14: Expect rule name"),
            ("root : \"a\"", "EBNF lexer error at line 1, column 6: Unexpected character: ':'"),
            (
                "root ::= \"a\" root ::= \"b\"",
                "EBNF lexer error at line 1, column 14: The rule name should be at the beginning of the line",
            ),
            (
                "root ::= \"a\"\nroot ::= \"b\"",
                "EBNF parser error at line 2, column 1: Rule \"root\" is defined multiple times",
            ),
            ("root ::= \"a\"**", "EBNF parser error at line 1, column 14: Expect element, but got *"),
            (
                "root ::= \"a\" \"b\" ::= \"c\"",
                "EBNF lexer error at line 1, column 18: Assign should be preceded by an identifier",
            ),
            ("root ::= Token(3)", "EBNF parser error at line 1, column 10: Token(...) is not supported"),
            ("", "EBNF parser error at line 1, column 1: The root rule with name \"root\" is not found"),
            ("root ::= []", "EBNF parser error at line 1, column 10: Empty character class"),
        ];
        for (text, message) in cases {
            assert_eq!(error(text), message, "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_not_followed() {
        let text = format!("root ::= {}\"a\"{}", "(".repeat(100_000), ")".repeat(100_000));
        assert!(error(&text).contains("nested too deeply"));
    }
}
