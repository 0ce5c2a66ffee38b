//! Counts reasoning tokens (reference: `Req.update_reasoning_tokens`).

/// Counts tokens up to the end of the reasoning.
#[derive(Clone, Debug)]
pub struct ReasoningCounter {
    /// The ids that end it; if empty, everything is counted.
    end: Vec<u32>,
    /// The last ids, at most as many as in `end`.
    tail: Vec<u32>,
    count: u64,
    over: bool,
}

impl ReasoningCounter {
    /// Counts from the start of the output to `end`, inclusive.
    pub fn new(end: Vec<u32>) -> Self {
        Self { end, tail: Vec::new(), count: 0, over: false }
    }

    /// Reads the next ids and returns the count so far.
    pub fn push(&mut self, ids: &[u32]) -> u64 {
        for id in ids {
            if self.over {
                break;
            }
            self.count += 1;
            if self.tail.len() == self.end.len() && !self.tail.is_empty() {
                self.tail.remove(0);
            }
            self.tail.push(*id);
            self.over = self.tail == self.end;
        }
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_counts_and_nothing_behind_it_however_the_output_is_cut() {
        let output = [5, 1, 1, 2, 9, 1, 2];
        for cut in 0..output.len() {
            let mut counter = ReasoningCounter::new(vec![1, 2]);
            counter.push(&output[..cut]);
            assert_eq!(counter.push(&output[cut..]), 4);
        }
        assert_eq!(ReasoningCounter::new(vec![7]).push(&output), 7);
    }
}
