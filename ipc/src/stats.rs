//! Counters of a link, readable from any thread.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of a link since its start.
#[derive(Debug, Default)]
pub struct LinkStats {
    /// Frames received or sent.
    pub frames: AtomicU64,
    /// Frames dropped because they were too large, malformed or of an unknown class.
    pub dropped: AtomicU64,
    /// Frames dropped because they came from an earlier life of their sender, or were received before.
    pub stale: AtomicU64,
    /// Sequence numbers that never arrived.
    pub lost: AtomicU64,
    /// Times the link was connected.
    pub connects: AtomicU64,
}

impl LinkStats {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// Reads one counter.
    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
