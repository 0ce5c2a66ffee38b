//! What one run of the checker explores.

use crate::faults::Faults;
use crate::frames::{OPS, REQUESTS};

/// A process that may die. The launcher does not; when it ends, all ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Talks to clients and keeps the ledger.
    TokenizerManager,
    /// Runs requests.
    Scheduler,
    /// Makes text of ids.
    Detokenizer,
}

/// All roles, in the order in which they index arrays.
pub const ROLES: [Role; 3] = [Role::TokenizerManager, Role::Scheduler, Role::Detokenizer];

/// What a control operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Other weights, an adapter more or less: changes what is computed.
    Change,
    /// Nothing runs from here on.
    Pause,
    /// Requests run again.
    Continue,
}

/// A request that kills every scheduler that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Poison {
    /// Which one.
    pub request: u8,
    /// The step that kills makes the frame at this position.
    pub position: u8,
}

/// Bounds of an exploration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Requests that clients bring, at most [`REQUESTS`].
    pub requests: u8,
    /// Frames that each request has.
    pub frames: u8,
    /// How often each role may be killed from outside, in the order of [`ROLES`].
    pub deaths: [u8; 3],
    /// How often a link may be cut with what is on it, while both its ends live.
    pub cuts: u8,
    /// How often a frame may be doubled.
    pub repeats: u8,
    /// How many requests may be aborted by their clients.
    pub aborts: u8,
    /// Control operations that clients ask for, in this order.
    pub ops: Vec<Op>,
    /// Both requests have the same id: the second comes when the first has ended.
    pub same_rid: bool,
    /// The request that kills schedulers, if there is one.
    pub poison: Option<Poison>,
    /// After a death the new life's hello may overtake what the old one still has on the same way.
    pub overtaking: bool,
    /// What is wrong with the protocol.
    pub faults: Faults,
}

impl Setup {
    /// Two requests of three frames and nothing that goes wrong.
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

    /// Whether the two requests are alike, so that states that differ in their names alone are one.
    pub fn is_symmetric(&self) -> bool {
        self.requests == 2 && !self.same_rid && self.poison.is_none()
    }

    /// Operations in the log at its end.
    pub fn log_len(&self) -> u8 {
        self.ops.len().min(OPS) as u8
    }

    /// Whether nothing may run after the first `count` operations.
    pub fn is_paused(&self, count: u8) -> bool {
        count > 0 && self.ops.get(usize::from(count) - 1) == Some(&Op::Pause)
    }
}
