//! Times of a request in this process (reference: `APIServerReqTimeStats` in `observability/req_time_stats.py`).

use std::sync::OnceLock;
use std::time::{Instant, SystemTime};

use parking_lot::Mutex;

/// Seconds since 1970.
pub fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// The arrival time of tokens, relative to what came before them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TokenTiming {
    /// There were no tokens.
    None,
    /// The first tokens, in seconds after the request.
    First(f64),
    /// Further tokens, in seconds after the previous ones.
    Next(f64),
}

/// The outputs so far, in seconds after the request.
#[derive(Clone, Copy, Debug)]
struct Outputs {
    first: f64,
    last: f64,
    /// Whether they contained tokens.
    tokens: bool,
}

/// The times of one request.
#[derive(Debug)]
pub struct Timing {
    created: Instant,
    /// Arrival in seconds since 1970.
    received_ts: f64,
    dispatched: OnceLock<f64>,
    sent: OnceLock<f64>,
    outputs: Mutex<Option<Outputs>>,
}

impl Timing {
    /// For a request that arrived at `created`.
    pub fn new(created: Instant) -> Self {
        let received_ts = unix_seconds() - created.elapsed().as_secs_f64();
        Self {
            created,
            received_ts,
            dispatched: OnceLock::new(),
            sent: OnceLock::new(),
            outputs: Mutex::default(),
        }
    }

    /// Seconds since the request arrived.
    pub fn elapsed(&self) -> f64 {
        self.created.elapsed().as_secs_f64()
    }

    /// Arrival in seconds since 1970.
    pub fn received_ts(&self) -> f64 {
        self.received_ts
    }

    /// Notes that the request is now sent to the scheduler.
    pub fn note_dispatch(&self) {
        self.dispatched.get_or_init(|| self.received_ts + self.elapsed());
    }

    /// When the request was sent to the scheduler, in seconds since 1970.
    pub fn dispatched_ts(&self) -> Option<f64> {
        self.dispatched.get().copied()
    }

    /// When its first answer was sent to the client, in seconds since 1970; the first call sets it to now.
    pub fn sent_ts(&self) -> f64 {
        *self.sent.get_or_init(|| self.received_ts + self.elapsed())
    }

    /// Notes an output of `new_tokens` that arrives now. If given, `made_ts` (seconds since 1970) is when its first
    /// token was generated, and is used instead.
    pub fn note_output(&self, new_tokens: usize, made_ts: Option<f64>) -> TokenTiming {
        let now = self.elapsed();
        let mut outputs = self.outputs.lock();
        let before = outputs.filter(|outputs| outputs.tokens || new_tokens == 0);
        let first = before.map_or_else(
            || {
                made_ts
                    .map(|ts| ts - self.received_ts)
                    .filter(|made| (0.0..=now).contains(made))
                    .unwrap_or(now)
            },
            |outputs| outputs.first,
        );
        if new_tokens == 0 {
            outputs.get_or_insert(Outputs { first, last: now, tokens: false });
            return TokenTiming::None;
        }
        *outputs = Some(Outputs { first, last: now, tokens: true });
        match before {
            None => TokenTiming::First(first),
            Some(before) => TokenTiming::Next(now - before.last),
        }
    }

    /// Seconds from the request to its first output, if outputs are noted.
    pub fn first_token_latency(&self) -> Option<f64> {
        self.outputs.lock().map(|outputs| outputs.first)
    }

    /// Seconds from the first to the last noted tokens; `None` if all arrived at once.
    pub fn decoding_seconds(&self) -> Option<f64> {
        let outputs = (*self.outputs.lock())?;
        (outputs.last > outputs.first).then_some(outputs.last - outputs.first)
    }

    /// Tokens per second after the first one; `completion_tokens` is their total number.
    pub fn decode_throughput(&self, completion_tokens: u64) -> Option<f64> {
        let more = completion_tokens.saturating_sub(1);
        self.decoding_seconds().filter(|_| more > 0).map(|seconds| more as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn tokens_are_timed_from_what_came_before_them() {
        let timing = Timing::new(Instant::now());
        assert_eq!(timing.first_token_latency(), None);
        assert_eq!(timing.note_output(0, None), TokenTiming::None);
        let TokenTiming::First(first) = timing.note_output(1, None) else { panic!("the first tokens") };
        assert_eq!(timing.first_token_latency(), Some(first));
        assert_eq!(timing.decode_throughput(1), None);
        std::thread::sleep(Duration::from_millis(2));
        let TokenTiming::Next(next) = timing.note_output(3, None) else { panic!("further tokens") };
        assert!(next >= 2e-3);
        assert_eq!(timing.decoding_seconds(), Some(next));
        assert_eq!(timing.decode_throughput(4), Some(3.0 / next));
    }

    #[test]
    fn the_moment_a_token_was_made_counts_when_it_can_be_true() {
        let created = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        let made = |seconds: f64| {
            let timing = Timing::new(created);
            timing.note_output(2, Some(timing.received_ts() + seconds));
            timing.first_token_latency().unwrap()
        };
        assert!((made(4.0) - 4.0).abs() < 1e-3);
        assert!(made(-1.0) >= 10.0 && made(60.0) < 60.0, "a clock that was set must not make nonsense");
    }

    #[test]
    fn moments_are_noted_once() {
        let timing = Timing::new(Instant::now());
        assert_eq!(timing.dispatched_ts(), None);
        timing.note_dispatch();
        let (dispatched, sent) = (timing.dispatched_ts().unwrap(), timing.sent_ts());
        std::thread::sleep(Duration::from_millis(2));
        timing.note_dispatch();
        assert_eq!((timing.dispatched_ts(), timing.sent_ts()), (Some(dispatched), sent));
        assert!(timing.received_ts() <= dispatched && dispatched <= sent);
    }
}
