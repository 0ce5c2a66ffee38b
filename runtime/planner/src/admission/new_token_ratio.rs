//! The fraction of `max_new_tokens` that requests are expected to use (reference:
//! `managers/scheduler_components/new_token_ratio_tracker.py`).

use crate::Tuning;

/// The estimated ratio. It starts high, falls with every decode step that fits in memory, and rises after a retraction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewTokenRatio {
    init: f64,
    min: f64,
    decay: f64,
    current: f64,
    retract_decode_steps: usize,
}

impl NewTokenRatio {
    /// The initial ratio for `--schedule-conservativeness`.
    pub fn new(conservativeness: f64, tuning: &Tuning) -> Self {
        let init = (tuning.init_new_token_ratio * conservativeness).min(1.0);
        let min = (init * tuning.min_new_token_ratio_factor).min(1.0);
        let decay = (init - min) / tuning.new_token_ratio_decay_steps.max(1) as f64;
        Self { init, min, decay, current: init, retract_decode_steps: tuning.retract_decode_steps }
    }

    /// The current ratio.
    pub fn current(&self) -> f64 {
        self.current
    }

    /// Lowers the ratio after a decode step that fitted in memory.
    pub fn decay_step(&mut self) {
        self.current = (self.current - self.decay).max(self.min);
    }

    /// Resets the ratio when nothing runs.
    pub fn reset(&mut self) {
        self.current = self.init;
    }

    /// Raises the ratio after a retraction. `kept` gives output tokens and `max_new_tokens` of the requests that keep
    /// running.
    pub fn after_retract(&mut self, kept: impl Iterator<Item = (usize, usize)>) {
        let (mut decoded, mut max_new, mut requests) = (0, 0, 0);
        for (output, max) in kept {
            decoded += output;
            max_new += max;
            requests += 1;
        }
        let estimate = (decoded + self.retract_decode_steps * requests) as f64 / (max_new + 1) as f64;
        self.current = estimate.min(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_falls_from_0_7_to_0_098_in_600_steps() {
        let mut ratio = NewTokenRatio::new(1.0, &Tuning::default());
        assert!((ratio.current() - 0.7).abs() < 1e-12);
        for _ in 0..600 {
            ratio.decay_step();
        }
        assert!((ratio.current() - 0.098).abs() < 1e-9);
        ratio.decay_step();
        assert!((ratio.current() - 0.098).abs() < 1e-9);
        ratio.reset();
        assert!((ratio.current() - 0.7).abs() < 1e-12);
    }

    #[test]
    fn after_a_retraction_the_ratio_leaves_room_for_20_steps_each() {
        let mut ratio = NewTokenRatio::new(1.0, &Tuning::default());
        ratio.after_retract([(10, 100), (30, 100)].into_iter());
        assert!((ratio.current() - 80.0 / 201.0).abs() < 1e-12);
        ratio.after_retract([(100, 10)].into_iter());
        assert!((ratio.current() - 1.0).abs() < 1e-12);
    }
}
