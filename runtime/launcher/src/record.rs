//! What the launcher knows of a process over all of its lives.

use std::time::{Duration, Instant};

use crate::policy::{Lives, Policy};
use crate::pulse::Pulse;
use crate::role::Role;

/// One process of the server.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) role: Role,
    pub(crate) lives: Lives,
    /// Of the present life.
    pub(crate) pulse: Pulse,
    /// Whether the others were told that the present life is silent.
    pub(crate) silent: bool,
    /// Why the present life ends, where that is known before it has ended.
    pub(crate) cause: Option<String>,
    /// When the last life ended, until the next one works.
    pub(crate) down_since: Option<Instant>,
}

impl Record {
    /// Of a process whose first life starts at the beginning of time.
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

    /// A new life has begun.
    pub(crate) fn begin_life(&mut self) {
        self.pulse = Pulse::default();
        self.silent = false;
        self.cause = None;
    }
}
