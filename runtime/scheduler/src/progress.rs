//! What the scheduler loop is doing, readable while it is busy; health checks use it.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

/// Phase of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LoopPhase {
    /// Nothing to do; waiting for messages.
    Idle = 0,
    /// Planning, or handling messages and results.
    Scheduling = 1,
    /// Waiting for the model.
    Forward = 2,
}

impl LoopPhase {
    fn name(raw: u8) -> &'static str {
        match raw {
            0 => "idle",
            1 => "scheduling",
            _ => "forward",
        }
    }
}

/// Shared between the loop, which writes, and the I/O thread, which answers queries.
#[derive(Debug)]
pub struct Progress {
    born: Instant,
    step: AtomicU64,
    phase: AtomicU8,
    /// Milliseconds after `born` at which the phase or step last changed.
    changed_ms: AtomicU64,
    /// The planner's own figures after the last step.
    snapshot: Mutex<Value>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            born: Instant::now(),
            step: AtomicU64::new(0),
            phase: AtomicU8::new(LoopPhase::Scheduling as u8),
            changed_ms: AtomicU64::new(0),
            snapshot: Mutex::new(Value::Null),
        }
    }
}

impl Progress {
    /// Records that the loop has entered a phase.
    pub fn enter(&self, phase: LoopPhase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.changed_ms.store(self.born.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Counts a finished step.
    pub fn step_done(&self) {
        self.step.fetch_add(1, Ordering::Relaxed);
    }

    /// Stores the planner's figures for queries.
    pub fn publish(&self, snapshot: Value) {
        *self.snapshot.lock() = snapshot;
    }

    /// Time since the phase or step last changed.
    pub fn age(&self) -> Duration {
        self.born.elapsed().saturating_sub(Duration::from_millis(self.changed_ms.load(Ordering::Relaxed)))
    }

    /// One JSON object with the published figures and, under `loop`, the step counter, phase and age.
    pub fn to_json(&self) -> Value {
        let mut state = match &*self.snapshot.lock() {
            Value::Object(map) => map.clone(),
            _ => serde_json::Map::new(),
        };
        state.insert(
            "loop".into(),
            json!({
                "step": self.step.load(Ordering::Relaxed),
                "phase": LoopPhase::name(self.phase.load(Ordering::Relaxed)),
                "age_s": self.age().as_secs_f64(),
                "uptime_s": self.born.elapsed().as_secs_f64(),
            }),
        );
        Value::Object(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_phases_are_visible_from_outside() {
        let progress = Progress::default();
        progress.enter(LoopPhase::Forward);
        progress.step_done();
        progress.publish(json!({"running": 3}));
        let state = progress.to_json();
        assert_eq!(state["running"], 3);
        assert_eq!(state["loop"]["step"], 1);
        assert_eq!(state["loop"]["phase"], "forward");
        assert!(state["loop"]["age_s"].as_f64().unwrap() < 5.0);
    }
}
