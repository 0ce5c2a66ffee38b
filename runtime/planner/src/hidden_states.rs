//! Hidden states of a request on their way from the steps to the client (reference: `_append_prefill_hidden_states` and
//! `_append_decode_hidden_states` of `scheduler_components/batch_result_processor.py`).

use sglang_proto::{CaptureHiddenMode, HiddenStateChunk};

/// Most numbers of one prompt. A number has five bytes in a message, and a message 256 MiB at most.
const MAX_PROMPT_NUMBERS: usize = 48 << 20;

/// What has come back and has not gone out.
#[derive(Clone, Debug)]
pub struct HiddenStateCollector {
    all: bool,
    /// Of the prompt, from the first position that was computed on; empty once they are in `unsent`.
    prompt: Vec<Vec<f32>>,
    unsent: Vec<HiddenStateChunk>,
}

impl HiddenStateCollector {
    /// A collector for a request that wants hidden states.
    pub fn new(mode: CaptureHiddenMode) -> Option<Box<Self>> {
        let all = mode == CaptureHiddenMode::Full;
        mode.need_capture().then(|| Box::new(Self { all, prompt: Vec::new(), unsent: Vec::new() }))
    }

    /// Whether every computed position of the prompt is wanted.
    pub fn wants_prompt(&self) -> bool {
        self.all
    }

    /// Position up to which the prompt's are there, when its first `cached` ones were not computed; `None` when they
    /// are not wanted.
    pub fn collected_to(&self, cached: usize) -> Option<usize> {
        self.all.then_some(cached + self.prompt.len())
    }

    /// Takes those of prompt positions, the first of which is `at` positions behind the first computed one. What was
    /// there from `at` on is replaced: a request that was stopped may compute a position again.
    ///
    /// # Errors
    /// There are more than a message holds; the text is for the client.
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

    /// The prompt has come to its end: its hidden states belong to the first output token.
    pub fn end_prompt(&mut self) {
        self.unsent.push(HiddenStateChunk::List(std::mem::take(&mut self.prompt)));
    }

    /// Takes the one behind which an output token was sampled.
    pub fn add_step(&mut self, row: Vec<f32>) {
        if !self.all {
            self.unsent.clear();
        }
        self.unsent.push(HiddenStateChunk::Vector(row));
    }

    /// What belongs to the `new_ids` output tokens that go out now.
    pub fn take_unsent(&mut self, new_ids: usize) -> Vec<HiddenStateChunk> {
        if self.all {
            // Without output (`max_new_tokens` 0) there are none either.
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
    fn the_last_one_replaces_those_before() {
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
