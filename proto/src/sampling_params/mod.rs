//! Sampling parameters as the scheduler sees them (reference: `sampling/sampling_params.py`).
//!
//! The front end builds them from a request, calls [`SamplingParams::normalize`] and [`SamplingParams::verify`], and
//! only then sends them on: a `SamplingParams` inside a message is always in range.

use std::collections::BTreeMap;

use crate::wire::{StringList, positional};

/// `top_k` value that means the whole vocabulary.
pub const TOP_K_ALL: i64 = 1 << 30;
/// Temperatures below this are greedy.
const SAMPLING_EPS: f64 = 1e-6;
/// Most stop strings a request may have.
pub const MAX_STOP_COUNT: usize = 32;
/// Most `stop_regex` patterns a request may have.
pub const MAX_STOP_REGEX_COUNT: usize = 32;
/// Longest `stop_regex` pattern in bytes.
pub const MAX_STOP_REGEX_LEN: usize = 256;

positional! {
    /// How to choose tokens and when to stop. Field order is the wire order of the reference.
    #[derive(Clone, Debug, PartialEq)]
    pub struct SamplingParams {
        /// Most tokens to generate; `None` is up to the context's end.
        pub max_new_tokens: Option<i64> = Some(128),
        /// API alias of `stop_strs`; empty once normalised.
        pub stop: StringList = StringList::default(),
        /// Ids that end the output besides the model's end-of-sequence ids.
        pub stop_token_ids: Option<Vec<i64>> = None,
        /// API alias of `stop_regex_strs`; empty once normalised.
        pub stop_regex: StringList = StringList::default(),
        /// Divides the logits; a value below 1e-6 means greedy.
        pub temperature: f64 = 1.0,
        /// Nucleus mass in (0, 1].
        pub top_p: f64 = 1.0,
        /// Number of best tokens kept; [`TOP_K_ALL`] keeps all.
        pub top_k: i64 = TOP_K_ALL,
        /// Tokens below `min_p` times the best probability are dropped.
        pub min_p: f64 = 0.0,
        /// Subtracted per occurrence in the output, in [-2, 2].
        pub frequency_penalty: f64 = 0.0,
        /// Subtracted once when present in the output, in [-2, 2].
        pub presence_penalty: f64 = 0.0,
        /// Divides positive and multiplies negative logits of tokens in the output, in (0, 2].
        pub repetition_penalty: f64 = 1.0,
        /// End-of-sequence and stop ids are suppressed until this many tokens exist.
        pub min_new_tokens: i64 = 0,
        /// Samples per prompt.
        pub n: i64 = 1,
        /// Beam width; only `None` or 1 are supported.
        pub beam_width: Option<i64> = None,
        /// JSON schema the output must follow.
        pub json_schema: Option<String> = None,
        /// Regular expression the output must match.
        pub regex: Option<String> = None,
        /// Grammar the output must follow.
        pub ebnf: Option<String> = None,
        /// Structural tags (JSON text).
        pub structural_tag: Option<String> = None,
        /// Keep going at end-of-sequence ids and `stop_token_ids`.
        pub ignore_eos: bool = false,
        /// Leave special tokens out of the text.
        pub skip_special_tokens: bool = true,
        /// Put spaces between special tokens (slow tokenizers only).
        pub spaces_between_special_tokens: bool = true,
        /// Keep the matched stop string or token in the text.
        pub no_stop_trim: bool = false,
        /// Tokens per streamed chunk; `None` is the server's `--stream-interval`.
        pub stream_interval: Option<i64> = None,
        /// Added to the logits of the given ids (decimal text).
        pub logit_bias: Option<BTreeMap<String, f64>> = None,
        /// Seed of the request's random draws.
        pub sampling_seed: Option<i64> = None,
        /// Values for custom processors.
        pub custom_params: Option<serde_json::Value> = None,
        /// Watermark configuration; not supported, always empty.
        pub watermark: Option<serde_json::Value> = None,
        /// Stop strings.
        pub stop_strs: StringList = StringList::default(),
        /// Stop patterns.
        pub stop_regex_strs: StringList = StringList::default(),
        /// Length in tokens of the longest stop string.
        pub stop_str_max_len: i64 = 0,
        /// Upper bound in characters of a `stop_regex` match.
        pub stop_regex_max_len: i64 = 0,
        /// Whether [`SamplingParams::normalize`] has run.
        pub is_normalized: bool = false,
        /// Whether the grammar describes the whole assistant turn.
        pub ebnf_full_assistant: bool = false,
    }
}

/// A parameter out of range. The text is the reference's and names the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SamplingParamsError(pub String);

fn fail<T>(message: String) -> Result<T, SamplingParamsError> {
    Err(SamplingParamsError(message))
}

/// Prints a float as Python does: `1` as `1.0`, so that messages equal the reference's.
pub fn python_float(x: f64) -> String {
    if x.is_nan() {
        "nan".into()
    } else if x.is_infinite() {
        if x > 0.0 { "inf".into() } else { "-inf".into() }
    } else {
        format!("{x:?}")
    }
}

/// Takes the texts out of `list`, without empty ones: those would be found in any output.
fn without_empty(list: &mut StringList) -> StringList {
    StringList(std::mem::take(list).0.into_iter().filter(|text| !text.is_empty()).collect())
}

impl SamplingParams {
    /// Whether the choice is the most likely token.
    pub fn is_greedy(&self) -> bool {
        self.top_k <= 1
    }

    /// Resolves aliases and special values: greedy temperatures, `top_k` -1, empty grammars, stop lists without their
    /// empty texts.
    /// `stop_token_len` gives the length in tokens of a stop string (its length in characters without a tokenizer).
    ///
    /// # Errors
    /// Too many stop strings or patterns, or a pattern that is too long.
    pub fn normalize(&mut self, stop_token_len: impl Fn(&str) -> usize) -> Result<(), SamplingParamsError> {
        if self.is_normalized {
            return Ok(());
        }
        for grammar in [&mut self.json_schema, &mut self.regex, &mut self.ebnf, &mut self.structural_tag] {
            if grammar.as_deref() == Some("") {
                *grammar = None;
            }
        }
        if (0.0..SAMPLING_EPS).contains(&self.temperature) {
            self.temperature = 1.0;
            self.top_k = 1;
        }
        if self.top_k == -1 {
            self.top_k = TOP_K_ALL;
        }
        if self.stop_token_ids.as_ref().is_some_and(Vec::is_empty) {
            self.stop_token_ids = None;
        }
        self.stop_strs = without_empty(&mut self.stop);
        self.stop_regex_strs = without_empty(&mut self.stop_regex);
        let stops = self.stop_strs.0.len();
        if stops > MAX_STOP_COUNT {
            return fail(format!("at most {MAX_STOP_COUNT} stop strings are allowed, got {stops}"));
        }
        self.stop_str_max_len = self.stop_strs.0.iter().map(|s| stop_token_len(s)).max().unwrap_or(0) as i64;
        let patterns = self.stop_regex_strs.0.len();
        if patterns > MAX_STOP_REGEX_COUNT {
            return fail(format!(
                "at most {MAX_STOP_REGEX_COUNT} stop_regex patterns are allowed, got {patterns}"
            ));
        }
        for pattern in &self.stop_regex_strs.0 {
            if pattern.len() > MAX_STOP_REGEX_LEN {
                return fail(format!(
                    "stop_regex is {} bytes, over the {MAX_STOP_REGEX_LEN}-byte limit",
                    pattern.len()
                ));
            }
        }
        self.is_normalized = true;
        Ok(())
    }

    /// Checks every range against a vocabulary of `vocab_size` ids. Call after [`SamplingParams::normalize`].
    ///
    /// # Errors
    /// The first value out of range, with the reference's text.
    pub fn verify(&self, vocab_size: u32) -> Result<(), SamplingParamsError> {
        let float = python_float;
        if let Some(width) = self.beam_width
            && width < 1
        {
            return fail(format!("beam_width must be at least 1, got {width}."));
        }
        if !self.temperature.is_finite() || self.temperature < 0.0 {
            return fail(format!(
                "temperature must be a non-negative finite number, got {}.",
                float(self.temperature)
            ));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return fail(format!("top_p must be in (0, 1], got {}.", float(self.top_p)));
        }
        if !(0.0..=1.0).contains(&self.min_p) {
            return fail(format!("min_p must be in [0, 1], got {}.", float(self.min_p)));
        }
        if self.top_k < 1 {
            return fail(format!("top_k must be -1 (disable) or at least 1, got {}.", self.top_k));
        }
        for (name, value) in
            [("frequency_penalty", self.frequency_penalty), ("presence_penalty", self.presence_penalty)]
        {
            if !(-2.0..=2.0).contains(&value) {
                return fail(format!("{name} must be in [-2, 2], got {}.", float(value)));
            }
        }
        if !(self.repetition_penalty > 0.0 && self.repetition_penalty <= 2.0) {
            return fail(format!(
                "repetition_penalty must be in (0, 2] (1.0 = no penalty), got {}.",
                float(self.repetition_penalty)
            ));
        }
        if self.min_new_tokens < 0 {
            return fail(format!(
                "min_new_tokens must be in [0, max_new_tokens], got {}.",
                self.min_new_tokens
            ));
        }
        if let Some(max) = self.max_new_tokens {
            if max < 0 {
                return fail(format!("max_new_tokens must be at least 0, got {max}."));
            }
            if self.min_new_tokens > max {
                return fail(format!(
                    "min_new_tokens must be in [0, max_new_tokens({max})], got {}.",
                    self.min_new_tokens
                ));
            }
        }
        for key in self.logit_bias.iter().flat_map(|map| map.keys()) {
            if !key.trim().parse::<u32>().is_ok_and(|id| id < vocab_size) {
                return fail(format!(
                    "logit_bias must has keys in [0, {}], got {key}.",
                    vocab_size.saturating_sub(1)
                ));
            }
        }
        let grammars = [&self.json_schema, &self.regex, &self.ebnf, &self.structural_tag];
        if grammars.iter().filter(|g| g.is_some()).count() > 1 {
            return fail("Only one of json_schema, regex, ebnf, or structural_tag can be set.".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalized(change: impl FnOnce(&mut SamplingParams)) -> SamplingParams {
        let mut p = SamplingParams::default();
        change(&mut p);
        p.normalize(|s| s.len()).unwrap();
        p
    }

    #[test]
    fn zero_temperature_is_greedy() {
        let p = normalized(|p| p.temperature = 0.0);
        assert!(p.is_greedy());
        assert_eq!(p.temperature, 1.0);
    }

    #[test]
    fn top_k_minus_one_is_the_whole_vocabulary() {
        assert_eq!(normalized(|p| p.top_k = -1).top_k, TOP_K_ALL);
    }

    #[test]
    fn ranges_are_checked_with_the_references_words() {
        type Change = fn(&mut SamplingParams);
        let cases: [(Change, &str); 6] = [
            (|p| p.temperature = -1.0, "temperature must be a non-negative finite number, got -1.0."),
            (|p| p.top_p = 0.0, "top_p must be in (0, 1], got 0.0."),
            (|p| p.top_k = 0, "top_k must be -1 (disable) or at least 1, got 0."),
            (|p| p.max_new_tokens = Some(-1), "max_new_tokens must be at least 0, got -1."),
            (
                |p| p.repetition_penalty = 0.0,
                "repetition_penalty must be in (0, 2] (1.0 = no penalty), got 0.0.",
            ),
            (
                |p| p.logit_bias = Some([("100".to_string(), 1.0)].into()),
                "logit_bias must has keys in [0, 99], got 100.",
            ),
        ];
        for (change, text) in cases {
            assert_eq!(normalized(change).verify(100).unwrap_err().0, text);
        }
        normalized(|_| {}).verify(100).unwrap();
    }

    #[test]
    fn empty_stop_texts_are_left_out() {
        let p = normalized(|p| {
            p.stop = StringList(vec!["".into(), "a".into()]);
            p.stop_regex = StringList(vec!["".into()]);
        });
        assert_eq!((p.stop_strs.0, p.stop_str_max_len), (vec!["a".to_owned()], 1));
        assert!(p.stop_regex_strs.0.is_empty());
    }

    #[test]
    fn more_than_32_stop_strings_are_refused() {
        let mut p = SamplingParams { stop: StringList(vec!["x".into(); 33]), ..Default::default() };
        assert_eq!(p.normalize(|s| s.len()).unwrap_err().0, "at most 32 stop strings are allowed, got 33");
    }
}
