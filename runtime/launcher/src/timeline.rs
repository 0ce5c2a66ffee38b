//! Durations of the parts of a start-up, which add up to the total.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::role::Role;

/// The parts of a start-up that have ended so far.
#[derive(Debug)]
pub(crate) struct Timeline {
    started: Instant,
    spawned: Instant,
    /// Duration of the download from the hub.
    fetching: Option<Duration>,
    parts: Vec<(Role, String, f64)>,
    /// The processes that are ready, in the order in which they became ready.
    ready: Vec<(Role, Instant)>,
}

impl Timeline {
    /// `started` is the start of the launcher; at `spawned` it had started all processes.
    pub(crate) fn new(started: Instant, spawned: Instant, fetching: Option<Duration>) -> Self {
        Timeline { started, spawned, fetching, parts: Vec::new(), ready: Vec::new() }
    }

    /// Stores that a phase of a process took `seconds`.
    pub(crate) fn phase(&mut self, role: Role, name: String, seconds: f64) {
        self.parts.push((role, name, seconds));
    }

    /// The last phase that a process finished.
    pub(crate) fn last_phase(&self, role: Role) -> Option<String> {
        self.parts.iter().rev().find(|(r, ..)| *r == role).map(|(_, name, _)| name.clone())
    }

    /// Stores that a process is ready.
    pub(crate) fn ready(&mut self, role: Role, at: Instant) {
        if !self.is_ready(role) {
            self.ready.push((role, at));
        }
    }

    /// Whether a process is ready.
    pub(crate) fn is_ready(&self, role: Role) -> bool {
        self.ready.iter().any(|(r, _)| *r == role)
    }

    /// The line for the log. The processes start in parallel, so it contains the one that was ready last, with its
    /// reported phases and the rest of its time as `other`.
    pub(crate) fn line(&self, warmed_up: Option<Instant>) -> String {
        let own = (self.spawned - self.started).saturating_sub(self.fetching.unwrap_or_default());
        let mut line = format!("startup timeline: launcher {}", seconds(own));
        if let Some(fetching) = self.fetching {
            let _ = write!(line, " | hub {}", seconds(fetching));
        }
        let mut end = self.spawned;
        if let Some((role, at)) = self.ready.last() {
            let _ = write!(line, " | {}: ", role.name());
            let mut other = (*at - self.spawned).as_secs_f64();
            for (_, name, taken) in self.parts.iter().filter(|(r, ..)| r == role) {
                let _ = write!(line, "{name} {taken:.3} s + ");
                other -= taken;
            }
            let _ = write!(line, "other {:.3} s", other.max(0.0));
            end = *at;
        }
        if let Some(at) = warmed_up {
            let _ = write!(line, " | warm-up {}", seconds(at.saturating_duration_since(end)));
            end = at;
        }
        let _ = write!(line, " | total {}", seconds(end - self.started));
        line
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.3} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_the_slowest_process_add_up_to_the_total() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timeline = Timeline::new(start, at(10), None);
        timeline.phase(Role::TokenizerManager, "load tokenizer".into(), 0.02);
        timeline.phase(Role::Scheduler, "load weights".into(), 0.3);
        timeline.ready(Role::Detokenizer, at(30));
        timeline.ready(Role::TokenizerManager, at(50));
        assert!(!timeline.is_ready(Role::Scheduler));
        timeline.phase(Role::Scheduler, "KV pool".into(), 0.02);
        assert_eq!(timeline.last_phase(Role::Scheduler).as_deref(), Some("KV pool"));
        timeline.ready(Role::Scheduler, at(360));
        assert_eq!(
            timeline.line(Some(at(480))),
            "startup timeline: launcher 0.010 s | scheduler: load weights 0.300 s + KV pool 0.020 s + other 0.030 s \
             | warm-up 0.120 s | total 0.480 s"
        );
        assert!(timeline.line(None).ends_with("other 0.030 s | total 0.360 s"));
        let fetched = Timeline::new(start, at(70), Some(Duration::from_millis(60)));
        assert_eq!(fetched.line(None), "startup timeline: launcher 0.010 s | hub 0.060 s | total 0.070 s");
    }
}
