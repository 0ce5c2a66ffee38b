//! Checks sampling parameters, and resolves their special values.

use super::table::{PARAMETERS, SamplingParams, SamplingRequest};
use super::value::TOP_K_ALL;
use super::{Parameter, SamplingParamsError};
use crate::wire::StringList;

/// Temperatures below this mean greedy sampling.
const SAMPLING_EPS: f64 = 1e-6;
/// Most stop strings a request may have.
pub const MAX_STOP_COUNT: usize = 32;
/// Most `stop_regex` patterns a request may have.
pub const MAX_STOP_REGEX_COUNT: usize = 32;
/// Longest `stop_regex` pattern in bytes.
pub const MAX_STOP_REGEX_LEN: usize = 256;

/// The reference checks these first, in this order. A request with several faults thus gets the reference's error. The
/// other rows follow in the table's order.
const CHECKED_FIRST: [&str; 9] = [
    "beam_width",
    "temperature",
    "top_p",
    "min_p",
    "top_k",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "min_new_tokens",
];

fn fail<T>(message: String) -> Result<T, SamplingParamsError> {
    Err(SamplingParamsError(message))
}

/// Takes the non-empty strings out of `list`. An empty stop string would match any output.
fn without_empty(list: &mut StringList) -> StringList {
    StringList(std::mem::take(list).0.into_iter().filter(|text| !text.is_empty()).collect())
}

impl SamplingParams {
    /// Resolves aliases and special values: greedy temperatures, `top_k` -1, empty grammars, empty stop strings.
    /// `stop_token_len` gives the length of a stop string in tokens (in characters without a tokenizer).
    ///
    /// # Errors
    /// If there are too many stop strings or patterns, or a pattern is too long.
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

    /// Checks every value against its row of the table, and logit biases against a vocabulary of `vocab_size` ids. Call
    /// it after [`SamplingParams::normalize`]. Errors quote values as `request` has them.
    ///
    /// # Errors
    /// The first value out of range, in the reference's words.
    pub fn verify(&self, vocab_size: u32, request: &SamplingRequest) -> Result<(), SamplingParamsError> {
        let first = CHECKED_FIRST.into_iter().filter_map(Parameter::by_name);
        let others = PARAMETERS.iter().filter(|row| !CHECKED_FIRST.contains(&row.name));
        for row in first.chain(others) {
            if !(row.fits)(self) {
                return fail(format!("{} must {}, got {}.", row.name, row.must, (row.quote)(self, request)));
            }
        }
        if let Some(max) = self.max_new_tokens
            && self.min_new_tokens > max
        {
            return fail(format!(
                "min_new_tokens must be in [0, max_new_tokens({max})], got {}.",
                self.min_new_tokens
            ));
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
    use crate::sampling_params::{Given, Number};

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
            assert_eq!(normalized(change).verify(100, &SamplingRequest::default()).unwrap_err().0, text);
        }
        normalized(|_| {}).verify(100, &SamplingRequest::default()).unwrap();
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

    #[test]
    fn numbers_are_quoted_as_they_were_written() {
        let written = |value, is_whole| {
            let temperature = Given::Value(Number { value, is_whole });
            let request = SamplingRequest { temperature, ..SamplingRequest::default() };
            request.to_params().verify(100, &request).unwrap_err().0
        };
        assert_eq!(written(-1.0, true), "temperature must be a non-negative finite number, got -1.");
        assert_eq!(written(-1.0, false), "temperature must be a non-negative finite number, got -1.0.");
    }

    #[test]
    fn of_several_faults_the_references_first_is_named() {
        let faulty = SamplingParams { max_new_tokens: Some(-1), top_k: 0, min_p: 2.0, ..Default::default() };
        let error = faulty.verify(100, &SamplingRequest::default()).unwrap_err();
        assert_eq!(error.0, "min_p must be in [0, 1], got 2.0.");
    }

    #[test]
    fn every_name_of_the_order_is_a_row() {
        assert!(CHECKED_FIRST.iter().all(|name| Parameter::by_name(name).is_some()));
    }
}
