//! What the launcher stores about a process across its lives.

use std::time::{Duration, Instant};

use crate::policy::{Lives, Policy};
use crate::pulse::Pulse;
use crate::role::Role;

/// One process of the server.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) role: Role,
    pub(crate) lives: Lives,
    /// Heartbeats of the current life.
    pub(crate) pulse: Pulse,
    /// Whether the other processes were told that the current life is silent.
    pub(crate) silent: bool,
    /// Why the current life ends, if this is known before it has ended.
    pub(crate) cause: Option<String>,
    /// When the last life ended; `None` after the next one is ready.
    pub(crate) down_since: Option<Instant>,
}

impl Record {
    /// The record of a process whose first life starts at time 0.
    pub(crate) fn new(role: Role, policy: Policy) -> Self {
        Record {
            role,
            lives: Lives::new(policy, Duration::ZERO),
            pulse: Pulse::default(),
            silent: false,
            cause: None,
            down_since: None,
        }
    }

    /// Resets the state for a new life.
    pub(crate) fn begin_life(&mut self) {
        self.pulse = Pulse::default();
        self.silent = false;
        self.cause = None;
    }
}
