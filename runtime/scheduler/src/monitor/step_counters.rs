//! Totals over all steps, from which a router estimates the speed of this server (reference:
//! `Scheduler._record_step_counters`).

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sglang_proto::forward::ForwardMode;

use crate::step::StepInfo;

/// Longest time between two decode steps that counts; longer gaps were not spent waiting for the model.
const LONGEST_CADENCE: Duration = Duration::from_secs(2);

/// The previous step.
#[derive(Clone, Copy, Debug)]
struct Previous {
    forward_id: u64,
    is_prefill: bool,
    started: Instant,
}

/// Totals since the process started.
#[derive(Clone, Debug, Default)]
pub struct StepCounters {
    previous: Option<Previous>,
    prefill_ended: Option<Instant>,
    prefill_tokens: u64,
    prefill_busy: Duration,
    /// For consecutive decode steps: their number, and the sums of requests, microseconds, requests squared, requests
    /// times microseconds, and tokens.
    decode_moments: [f64; 6],
}

impl StepCounters {
    /// Counts a finished step.
    pub fn count(&mut self, step: StepInfo, started: Instant, ended: Instant) {
        let is_prefill = step.mode != ForwardMode::Decode;
        let previous = self.previous.replace(Previous { forward_id: step.forward_id, is_prefill, started });
        let follows = previous.filter(|previous| {
            previous.forward_id + 1 == step.forward_id && previous.is_prefill == is_prefill
        });
        if is_prefill {
            // The scheduler's time between two prefill steps of a burst counts too.
            let began = match (follows, self.prefill_ended.replace(ended)) {
                (Some(_), Some(end)) => end,
                (None, Some(end)) => started.max(end),
                (_, None) => started,
            };
            self.prefill_busy += ended.saturating_duration_since(began);
            self.prefill_tokens += step.num_tokens as u64;
        } else if let Some(previous) = follows {
            let cadence = started.saturating_duration_since(previous.started);
            if cadence.is_zero() || cadence >= LONGEST_CADENCE {
                return;
            }
            let (requests, time) = (step.num_reqs as f64, cadence.as_secs_f64() * 1e6);
            let terms = [1.0, requests, time, requests * requests, requests * time, step.num_tokens as f64];
            for (sum, term) in self.decode_moments.iter_mut().zip(terms) {
                *sum += term;
            }
        }
    }

    /// Records that the loop was idle, so the next step has no predecessor.
    pub fn idle(&mut self) {
        self.previous = None;
    }

    /// The reference's keys of `/v1/loads`.
    pub fn to_json(&self) -> Value {
        let [steps, ..] = self.decode_moments;
        json!({
            "total_prefill_uncached_tokens": self.prefill_tokens,
            "total_prefill_busy_us": u64::try_from(self.prefill_busy.as_micros()).unwrap_or(u64::MAX),
            "decode_moments": (steps > 0.0).then(|| self.decode_moments.map(f64::round)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_of_prefills_and_rows_of_decodes_are_summed() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut counters = StepCounters::default();
        let mut step = |id: u64, mode, (num_reqs, num_tokens), from: u64, to: u64| {
            counters.count(StepInfo { forward_id: id, mode, num_reqs, num_tokens }, at(from), at(to));
            counters.to_json()
        };
        step(0, ForwardMode::Extend, (1, 100), 0, 10);
        // The gap within a burst counts.
        let prefills = step(1, ForwardMode::Mixed, (3, 50), 12, 20);
        assert_eq!(prefills["total_prefill_uncached_tokens"], 150);
        assert_eq!(
            (&prefills["total_prefill_busy_us"], &prefills["decode_moments"]),
            (&20_000.into(), &Value::Null)
        );
        // The first decode step has no predecessor.
        step(2, ForwardMode::Decode, (2, 2), 20, 25);
        step(3, ForwardMode::Decode, (2, 2), 26, 30);
        let decodes = step(4, ForwardMode::Decode, (3, 3), 30, 35);
        assert_eq!(decodes["decode_moments"], json!([2.0, 5.0, 10_000.0, 13.0, 24_000.0, 5.0]));
        // A later prefill starts a new burst, and a step after a long gap does not count.
        let later = step(5, ForwardMode::Extend, (1, 10), 40, 45);
        assert_eq!(later["total_prefill_busy_us"], 25_000);
        step(6, ForwardMode::Decode, (1, 1), 45, 46);
        assert_eq!(step(7, ForwardMode::Decode, (1, 1), 2045, 2050)["decode_moments"][0], 2.0);
        counters.idle();
        assert!(counters.previous.is_none());
    }
}
