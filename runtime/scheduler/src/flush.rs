//! `/flush_cache`: flushes at once if the server is idle, or when it becomes idle within the caller's time limit.

use std::time::{Duration, Instant};

use sglang_planner::Planner;
use sglang_proto::messages::{CallId, FlushCacheReqInput, FlushCacheReqOutput};

use crate::grammar::GrammarManager;

/// Longest wait that a caller may request.
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// The caches that [`Flush`] empties.
pub struct Access<'a> {
    /// Has the radix cache.
    pub planner: &'a mut Planner,
    /// Has the compiled grammars.
    pub grammars: &'a GrammarManager,
}

impl Access<'_> {
    /// Empties the caches if the server is idle. A request that waits for its grammar counts as work.
    fn flush(&mut self) -> bool {
        let done = self.grammars.is_empty() && self.planner.flush_cache();
        if done {
            self.grammars.clear_cache();
        }
        done
    }
}

/// A flush that waits for the server to become idle; at most one at a time.
///
/// No state must survive a restart: a new process starts with empty caches, and the caller learns of the restart.
#[derive(Debug, Default)]
pub struct Flush {
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    rid: CallId,
    /// When to give up.
    deadline: Instant,
}

impl Flush {
    /// Flushes now, or stores a flush that waits. Returns the answer if it is ready.
    pub fn handle(
        &mut self,
        request: FlushCacheReqInput,
        on: &mut Access<'_>,
    ) -> Option<FlushCacheReqOutput> {
        if self.pending.is_some() {
            return Some(answer(request.rid, false, "Another flush_cache is already in progress."));
        }
        if on.flush() {
            return Some(answer(request.rid, true, ""));
        }
        match request.timeout_s.filter(|s| *s > 0.0) {
            None => Some(answer(request.rid, false, "")),
            Some(seconds) => {
                let wait = Duration::try_from_secs_f64(seconds).map_or(MAX_WAIT, |w| w.min(MAX_WAIT));
                self.pending = Some(Pending { rid: request.rid, deadline: Instant::now() + wait });
                None
            }
        }
    }

    /// Answers the waiting flush if it is possible now or has timed out.
    pub fn advance(&mut self, on: &mut Access<'_>) -> Option<FlushCacheReqOutput> {
        let deadline = self.deadline()?;
        let done = on.flush();
        if !done && deadline > Instant::now() {
            return None;
        }
        let pending = self.pending.take()?;
        Some(answer(pending.rid, done, if done { "" } else { "Timed out waiting for idle state." }))
    }

    /// When the waiting flush times out.
    pub fn deadline(&self) -> Option<Instant> {
        self.pending.as_ref().map(|pending| pending.deadline)
    }
}

fn answer(rid: CallId, success: bool, message: &str) -> FlushCacheReqOutput {
    if success {
        tracing::info!("Cache flushed successfully!");
    }
    FlushCacheReqOutput { rid, success, message: message.into() }
}
