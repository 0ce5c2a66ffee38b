//! Token counts of an answer (reference: `usage_processor.py`).

use std::collections::BTreeMap;

use serde::Serialize;
use sglang_tokenizer_manager::state::Counts;

use crate::request_fields::StreamOptions;

/// `prompt_tokens_details`.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
pub struct PromptTokensDetails {
    /// Prompt tokens from the cache.
    pub cached_tokens: u64,
}

/// `completion_tokens_details`.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
pub struct CompletionTokensDetails {
    /// Output tokens inside reasoning.
    pub reasoning_tokens: u64,
}

/// `usage`.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
pub struct UsageInfo {
    /// Prompt tokens; a prompt counts once, however many samples it has.
    pub prompt_tokens: u64,
    /// The sum of both.
    pub total_tokens: u64,
    /// Output tokens.
    pub completion_tokens: u64,
    /// Only with `--enable-cache-report`.
    pub prompt_tokens_details: Option<PromptTokensDetails>,
    /// Output tokens inside reasoning.
    pub reasoning_tokens: u64,
    /// Only if there was reasoning.
    pub completion_tokens_details: Option<CompletionTokensDetails>,
}

impl UsageInfo {
    /// Adds the counts of all choices; each prompt has `n` of them.
    pub fn of_choices(choices: impl Iterator<Item = (usize, Counts)>, n: usize, cache_report: bool) -> Self {
        let (mut prompt, mut completion, mut reasoning, mut cached) = (0, 0, 0, 0);
        for (index, counts) in choices {
            if index.is_multiple_of(n.max(1)) {
                prompt += counts.prompt_tokens;
                cached += counts.cached_tokens;
            }
            completion += counts.completion_tokens;
            reasoning += counts.reasoning_tokens;
        }
        Self {
            prompt_tokens: prompt,
            total_tokens: prompt + completion,
            completion_tokens: completion,
            prompt_tokens_details: cache_report.then_some(PromptTokensDetails { cached_tokens: cached }),
            reasoning_tokens: reasoning,
            completion_tokens_details: (reasoning > 0)
                .then_some(CompletionTokensDetails { reasoning_tokens: reasoning }),
        }
    }

    /// The counts of one choice, for `continuous_usage_stats`.
    pub fn of_choice(counts: Counts, cache_report: bool) -> Self {
        Self::of_choices(std::iter::once((0, counts)), 1, cache_report)
    }
}

/// Counts of the choices of a stream so far.
#[derive(Clone, Debug, Default)]
pub struct StreamCounts(pub BTreeMap<usize, Counts>);

impl StreamCounts {
    /// The sum over all choices.
    pub fn usage(&self, n: usize, cache_report: bool) -> UsageInfo {
        UsageInfo::of_choices(self.0.iter().map(|(i, c)| (*i, *c)), n, cache_report)
    }
}

/// The usage settings of a stream whose request does not set them.
pub fn stream_options(given: Option<StreamOptions>, default_include_usage: bool) -> StreamOptions {
    let mut options = given.unwrap_or_default();
    options.include_usage |= default_include_usage;
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_counts_once_for_all_its_samples() {
        let counts =
            Counts { prompt_tokens: 5, completion_tokens: 2, cached_tokens: 4, ..Default::default() };
        let usage = UsageInfo::of_choices((0..4).map(|i| (i, counts)), 2, true);
        assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (10, 8, 18));
        assert_eq!(usage.prompt_tokens_details, Some(PromptTokensDetails { cached_tokens: 8 }));
        assert_eq!(
            serde_json::to_string(&UsageInfo::of_choice(counts, false)).unwrap(),
            r#"{"prompt_tokens":5,"total_tokens":7,"completion_tokens":2,"prompt_tokens_details":null,"reasoning_tokens":0,"completion_tokens_details":null}"#
        );
    }
}
