//! Collects the hidden states of a request until they are sent to the client (reference:
//! `_append_prefill_hidden_states` and `_append_decode_hidden_states` of
//! `scheduler_components/batch_result_processor.py`).

use sglang_proto::{CaptureHiddenMode, HiddenStateChunk};

/// Most numbers for one prompt. A number takes five bytes in a message, and a message at most 256 MiB.
const MAX_PROMPT_NUMBERS: usize = 48 << 20;

/// Hidden states that have been computed but not sent.
#[derive(Clone, Debug)]
pub struct HiddenStateCollector {
    all: bool,
    /// Hidden states of the prompt, from the first computed position on; empty once they are in `unsent`.
    prompt: Vec<Vec<f32>>,
    unsent: Vec<HiddenStateChunk>,
}

impl HiddenStateCollector {
    /// A collector; `None` if the request wants no hidden states.
    pub fn new(mode: CaptureHiddenMode) -> Option<Box<Self>> {
        let all = mode == CaptureHiddenMode::Full;
        mode.need_capture().then(|| Box::new(Self { all, prompt: Vec::new(), unsent: Vec::new() }))
    }

    /// Whether every computed position of the prompt is wanted.
    pub fn wants_prompt(&self) -> bool {
        self.all
    }

    /// Prompt position up to which hidden states are collected, if the first `cached` ones were not computed; `None` if
    /// the prompt's are not wanted.
    pub fn collected_to(&self, cached: usize) -> Option<usize> {
        self.all.then_some(cached + self.prompt.len())
    }

    /// Adds hidden states of prompt positions that begin `at` positions after the first computed one. They replace
    /// those from `at` on: a retracted request may compute positions again.
    ///
    /// # Errors
    /// The prompt has more hidden states than a message can hold; the text is for the client.
    pub fn add_prompt(&mut self, at: usize, rows: Vec<Vec<f32>>) -> Result<(), String> {
        self.prompt.truncate(at);
        self.prompt.extend(rows);
        let numbers = self.prompt.len() * self.prompt.first().map_or(0, Vec::len);
        if numbers > MAX_PROMPT_NUMBERS {
            self.prompt = Vec::new();
            return Err(format!(
                "The hidden states of the prompt are more than {MAX_PROMPT_NUMBERS} numbers. Please send a shorter \
                 prompt, or ask for \"last\"."
            ));
        }
        Ok(())
    }

    /// Ends the prompt. Its hidden states are sent with the first output token.
    pub fn end_prompt(&mut self) {
        self.unsent.push(HiddenStateChunk::List(std::mem::take(&mut self.prompt)));
    }

    /// Adds the hidden state from which an output token was sampled.
    pub fn add_step(&mut self, row: Vec<f32>) {
        if !self.all {
            self.unsent.clear();
        }
        self.unsent.push(HiddenStateChunk::Vector(row));
    }

    /// Takes the hidden states to send with `new_ids` new output tokens.
    pub fn take_unsent(&mut self, new_ids: usize) -> Vec<HiddenStateChunk> {
        if self.all {
            // Without output (`max_new_tokens` 0) no hidden states are sent.
            self.unsent.truncate(new_ids);
        }
        std::mem::take(&mut self.unsent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_that_are_computed_again_replace_the_old_ones() {
        let mut collector = HiddenStateCollector::new(CaptureHiddenMode::Full).unwrap();
        collector.add_prompt(0, vec![vec![0.0], vec![1.0], vec![2.0]]).unwrap();
        assert_eq!(collector.collected_to(5), Some(8));
        collector.add_prompt(1, vec![vec![1.5], vec![2.5]]).unwrap();
        collector.end_prompt();
        let expected = HiddenStateChunk::List(vec![vec![0.0], vec![1.5], vec![2.5]]);
        assert_eq!(collector.take_unsent(1), [expected]);
    }

    #[test]
    fn in_last_mode_only_the_newest_is_kept() {
        let mut collector = HiddenStateCollector::new(CaptureHiddenMode::Last).unwrap();
        collector.add_step(vec![1.0]);
        collector.add_step(vec![2.0]);
        assert_eq!(collector.take_unsent(2), [HiddenStateChunk::Vector(vec![2.0])]);
        assert!(collector.take_unsent(0).is_empty());
    }

    #[test]
    fn a_prompt_that_no_message_can_hold_is_refused() {
        let mut collector = HiddenStateCollector::new(CaptureHiddenMode::Full).unwrap();
        collector.add_prompt(0, vec![vec![0.0; MAX_PROMPT_NUMBERS]]).unwrap();
        assert!(collector.add_prompt(1, vec![Vec::new()]).unwrap_err().contains("shorter prompt"));
    }
}
