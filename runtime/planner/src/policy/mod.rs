//! Orders the waiting queue (reference: `SchedulePolicy` in `managers/schedule_policy.py`).

mod deferral;
mod order;

use std::str::FromStr;

pub use deferral::{PrefixKey, prefix_key};
pub use order::{Candidate, SchedulePolicy};

use crate::PlannerError;

/// With more waiting requests than this, lpm skips the prefix lookup and keeps the order of arrival.
pub const WAITING_QUEUE_PREFIX_MATCH_MAX: usize = 128;

/// `--schedule-policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// First come, first served. With priority scheduling: by priority, then by arrival.
    Fcfs,
    /// Longest cached prefix first; requests that share an uncached prefix wait for the first of them.
    Lpm,
    /// Depth-first through the radix tree, subtrees with most requests first.
    DfsWeight,
    /// Longest `max_new_tokens` first.
    Lof,
    /// Shuffled at every step.
    Random,
}

impl PolicyKind {
    /// All policies with their names.
    pub const ALL: [(&'static str, Self); 5] = [
        ("fcfs", Self::Fcfs),
        ("lpm", Self::Lpm),
        ("dfs-weight", Self::DfsWeight),
        ("lof", Self::Lof),
        ("random", Self::Random),
    ];

    /// Whether the order depends on the prefix cache.
    pub fn is_cache_aware(self) -> bool {
        matches!(self, Self::Lpm | Self::DfsWeight)
    }
}

impl FromStr for PolicyKind {
    type Err = PlannerError;

    /// `priority` is first come, first served within each priority.
    fn from_str(name: &str) -> Result<Self, PlannerError> {
        if name == "priority" {
            return Ok(Self::Fcfs);
        }
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, policy)| *policy).ok_or_else(|| PlannerError::InvalidConfig {
            setting: "--schedule-policy",
            value: name.to_owned(),
            valid: format!("expected one of {}, priority", Self::ALL.map(|(known, _)| known).join(", ")),
        })
    }
}
