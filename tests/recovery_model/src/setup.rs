//! The bounds of one exploration.

use crate::faults::Faults;
use crate::frames::{OPS, REQUESTS};

/// A process that may die. The launcher's death is not modelled: it ends everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Talks to clients and keeps the ledger of requests.
    TokenizerManager,
    /// Runs requests.
    Scheduler,
    /// Turns ids into text.
    Detokenizer,
}

/// All roles, in the order of their array indices.
pub const ROLES: [Role; 3] = [Role::TokenizerManager, Role::Scheduler, Role::Detokenizer];

/// The kind of a control operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Changes what is computed: other weights, or an adapter added or removed.
    Change,
    /// From here on nothing runs.
    Pause,
    /// Requests run again.
    Continue,
}

/// A request that kills every scheduler in which it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Poison {
    /// Which request.
    pub request: u8,
    /// The fatal step computes the frame at this position.
    pub position: u8,
}

/// The bounds of an exploration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Number of requests, at most [`REQUESTS`].
    pub requests: u8,
    /// Number of frames of each request.
    pub frames: u8,
    /// How often each role may be killed from outside, in the order of [`ROLES`].
    pub deaths: [u8; 3],
    /// How often a link may be cut, losing its frames, while both its ends are alive.
    pub cuts: u8,
    /// How often a frame may be duplicated.
    pub repeats: u8,
    /// How many requests may be aborted by their clients.
    pub aborts: u8,
    /// The control operations that clients send, in this order.
    pub ops: Vec<Op>,
    /// Both requests have the same id: the second one comes when the first has ended.
    pub same_rid: bool,
    /// The request that kills schedulers, if any.
    pub poison: Option<Poison>,
    /// Whether a new life's hello may overtake what the old one has sent on the same link.
    pub overtaking: bool,
    /// Planted faults.
    pub faults: Faults,
}

impl Setup {
    /// Two requests of three frames, without failures.
    pub fn calm() -> Self {
        Self {
            requests: REQUESTS as u8,
            frames: 3,
            deaths: [0; 3],
            cuts: 0,
            repeats: 0,
            aborts: 0,
            ops: Vec::new(),
            same_rid: false,
            poison: None,
            overtaking: false,
            faults: Faults::NONE,
        }
    }

    /// The id of a request.
    pub fn rid(&self, request: u8) -> u8 {
        if self.same_rid { 0 } else { request }
    }

    /// Whether the two requests are identical, so that states that differ only in their names are one.
    pub fn is_symmetric(&self) -> bool {
        self.requests == 2 && !self.same_rid && self.poison.is_none()
    }

    /// Length of the complete log.
    pub fn log_len(&self) -> u8 {
        self.ops.len().min(OPS) as u8
    }

    /// Whether the server is paused after the first `count` operations.
    pub fn is_paused(&self, count: u8) -> bool {
        count > 0 && self.ops.get(usize::from(count) - 1) == Some(&Op::Pause)
    }
}
