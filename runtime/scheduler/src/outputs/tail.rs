//! Decodes output tails, for stop strings and patterns.

use std::collections::HashMap;

use regex::Regex;
use sglang_planner::TailDecoder;
use sglang_tokenizer::Tokenizer;

/// Most compiled patterns in the cache.
const PATTERNS: usize = 256;
/// Largest compiled size of one pattern, in bytes.
const PATTERN_BYTES: usize = 1 << 20;

/// Decodes with the model's tokenizer and matches patterns with `regex`.
pub struct TokenizerTail<'a> {
    tokenizer: Option<&'a Tokenizer>,
    patterns: HashMap<String, Regex>,
}

impl<'a> TokenizerTail<'a> {
    /// Without a tokenizer (`--skip-tokenizer-init`) every tail is empty.
    pub fn new(tokenizer: Option<&'a Tokenizer>) -> Self {
        Self { tokenizer, patterns: HashMap::new() }
    }

    fn compile(&mut self, pattern: &str) -> Result<&Regex, String> {
        if !self.patterns.contains_key(pattern) {
            let compiled = regex::RegexBuilder::new(pattern)
                .size_limit(PATTERN_BYTES)
                .build()
                .map_err(|e| format!("stop_regex `{pattern}` cannot be compiled: {e}"))?;
            if self.patterns.len() >= PATTERNS {
                self.patterns.clear();
            }
            self.patterns.insert(pattern.to_owned(), compiled);
        }
        self.patterns.get(pattern).ok_or_else(|| "pattern cache".to_owned())
    }
}

impl TailDecoder for TokenizerTail<'_> {
    fn decode_tail(&mut self, ids: &[u32]) -> String {
        match self.tokenizer {
            Some(tokenizer) => tokenizer.decode(ids, false),
            None => String::new(),
        }
    }

    /// Empty matches do not count: a pattern such as `a*` would end every output at its first token.
    fn regex_matches(&mut self, pattern: &str, text: &str) -> Result<bool, String> {
        Ok(self.compile(pattern)?.find_iter(text).any(|found| !found.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_ends_the_output_only_where_it_matches_some_text() {
        let mut tail = TokenizerTail::new(None);
        let mut matches = |pattern: &str, text: &str| tail.regex_matches(pattern, text).unwrap();
        assert!(matches("1[0-9],", "9, 10, 11"));
        assert!(!matches("a*", "bcd") && matches("a*", "bad"));
        assert!(!matches("(stop)?", "go on") && matches("(stop)?", "now stop"));
        assert!(!matches("", "x") && !matches("$", "x"));
    }
}
