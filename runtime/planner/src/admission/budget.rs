//! Budgets of one prefill step (reference: `PrefillAdder` in `managers/schedule_policy.py` and
//! `mem_cache/prefill_budget.py`).

/// Tokens per request that the exact simulation keeps free for corner cases.
const IGNORE_EOS_RESERVE_TOKENS: f64 = 1.0;

/// Why no more requests are admitted to the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopAdmission {
    /// The KV pool has no room for the request until another one ends.
    NoToken,
    /// No row is free.
    NoRow,
    /// A budget of this step is exhausted.
    StepFull,
}

/// The remaining budget of a prefill step. Each decision reads the free memory from the pool; `total_offset` tokens of
/// it must stay free.
#[derive(Clone, Debug)]
pub struct PrefillBudget {
    page_size: usize,
    clip_max_new_tokens: usize,
    /// Tokens that running and admitted requests are expected to need.
    pub total_offset: f64,
    /// Prompt tokens that still fit into the step (`--max-prefill-tokens`).
    pub rem_input_tokens: i64,
    /// Prompt tokens that still fit into the chunk (`--chunked-prefill-size`).
    pub rem_chunk_tokens: Option<usize>,
    /// Requests in the step.
    pub admitted: usize,
}

impl PrefillBudget {
    /// The budget of a step that also has `mixed_decode_tokens` decode rows. They shorten the chunk, but never below a
    /// page, so that prompts always make progress. For `clip_max_new_tokens` see [`crate::Tuning`].
    pub fn new(
        page_size: usize,
        clip_max_new_tokens: usize,
        max_prefill_tokens: usize,
        chunked_prefill_size: Option<usize>,
        mixed_decode_tokens: usize,
    ) -> Self {
        Self {
            page_size,
            clip_max_new_tokens,
            total_offset: mixed_decode_tokens as f64,
            rem_input_tokens: max_prefill_tokens as i64 - mixed_decode_tokens as i64,
            rem_chunk_tokens: chunked_prefill_size
                .map(|chunk| chunk.saturating_sub(mixed_decode_tokens).max(page_size)),
            admitted: 0,
        }
    }

    fn ceil_pages(&self, tokens: usize) -> usize {
        tokens.div_ceil(self.page_size) * self.page_size
    }

    /// Checks whether the step takes more requests at all, with `available` tokens free or evictable.
    ///
    /// # Errors
    /// The exhausted budget.
    pub fn check(&self, available: usize) -> Result<(), StopAdmission> {
        if available as f64 - self.total_offset <= 0.0 {
            return Err(StopAdmission::NoToken);
        }
        if (self.admitted > 0 && self.rem_input_tokens <= 0) || self.rem_chunk_tokens == Some(0) {
            return Err(StopAdmission::StepFull);
        }
        Ok(())
    }

    /// How many of the `extend_len` uncached tokens of a request go into this step; fewer than all if the request is
    /// split. `max_new_tokens` is the number it may still generate, `prefix_len` the length of its cached prefix (which
    /// is pinned and therefore not part of `available`).
    ///
    /// # Errors
    /// Why the request cannot be admitted.
    pub fn select(
        &self,
        available: usize,
        prefix_len: usize,
        extend_len: usize,
        max_new_tokens: usize,
    ) -> Result<usize, StopAdmission> {
        let total = extend_len + max_new_tokens.min(self.clip_max_new_tokens) + self.page_size;
        if total as f64 >= available as f64 - self.total_offset {
            return Err(StopAdmission::NoToken);
        }
        self.split(prefix_len, extend_len)
    }

    /// The part of [`PrefillBudget::select`] that ignores memory.
    ///
    /// # Errors
    /// The step is full.
    pub fn split(&self, prefix_len: usize, extend_len: usize) -> Result<usize, StopAdmission> {
        match self.rem_chunk_tokens {
            // A whole prompt may exceed the input budget if it is alone in the step.
            None if self.admitted > 0 && self.ceil_pages(extend_len) as i64 >= self.rem_input_tokens => {
                Err(StopAdmission::StepFull)
            }
            None => Ok(extend_len),
            Some(chunk) if extend_len <= chunk => Ok(extend_len),
            Some(chunk) => {
                let end = (prefix_len + chunk) / self.page_size * self.page_size;
                let part = end.saturating_sub(prefix_len);
                if part == 0 { Err(StopAdmission::StepFull) } else { Ok(part) }
            }
        }
    }

    /// Charges an admitted request: `extend_len` tokens are already allocated, `max_new_tokens` are still to be
    /// generated (0 if the prompt is not finished in this step).
    pub fn reserve(&mut self, extend_len: usize, max_new_tokens: usize) {
        let charge = self.ceil_pages(extend_len);
        self.total_offset += (max_new_tokens.min(self.clip_max_new_tokens) + self.page_size) as f64;
        self.rem_input_tokens -= charge as i64;
        self.rem_chunk_tokens = self.rem_chunk_tokens.map(|chunk| chunk.saturating_sub(charge));
        self.admitted += 1;
    }
}

/// Exact check for requests that ignore the end of sequence, if nothing is cached. Requests end in the order of their
/// remaining tokens and free their slots; checks that the others always have room to decode. `requests` holds (tokens
/// left, tokens occupied) of all running and admitted requests and the candidate.
pub fn fits_to_the_end(free_tokens: f64, requests: &mut [(f64, usize)]) -> bool {
    requests.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut freed = 0.0;
    for (i, (left, occupied)) in requests.iter().enumerate() {
        let rest = (requests.len() - i) as f64;
        if free_tokens + freed - left * rest <= IGNORE_EOS_RESERVE_TOKENS * rest {
            return false;
        }
        freed += *occupied as f64;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIP: usize = 4096;

    #[test]
    fn a_prompt_longer_than_the_chunk_is_cut_at_a_page() {
        let budget = PrefillBudget::new(4, CLIP, 1000, Some(16), 0);
        assert_eq!(budget.select(1000, 0, 50, 10), Ok(16));
        assert_eq!(budget.select(1000, 8, 15, 10), Ok(15));
        let mixed = PrefillBudget::new(4, CLIP, 1000, Some(16), 3);
        assert_eq!(mixed.select(1000, 0, 50, 10), Ok(12));
    }

    #[test]
    fn decode_rows_never_shorten_the_chunk_below_a_page() {
        let budget = PrefillBudget::new(4, CLIP, 1000, Some(16), 100);
        assert_eq!(budget.rem_chunk_tokens, Some(4));
    }

    #[test]
    fn only_the_first_whole_prompt_may_exceed_the_input_budget() {
        let mut budget = PrefillBudget::new(1, CLIP, 10, None, 0);
        assert_eq!(budget.select(1000, 0, 50, 10), Ok(50));
        budget.reserve(50, 10);
        assert_eq!(budget.check(1000), Err(StopAdmission::StepFull));
    }

    #[test]
    fn very_long_generations_count_4096_tokens() {
        let budget = PrefillBudget::new(1, CLIP, 10_000, None, 0);
        assert_eq!(budget.select(4200, 0, 100, 1_000_000), Ok(100));
        assert_eq!(budget.select(4197, 0, 100, 1_000_000), Err(StopAdmission::NoToken));
    }

    #[test]
    fn the_exact_check_sees_memory_that_ending_requests_give_back() {
        assert!(fits_to_the_end(25.0, &mut [(5.0, 40), (30.0, 10)]));
        assert!(!fits_to_the_end(25.0, &mut [(5.0, 10), (40.0, 10)]));
    }
}
