//! `/flush_cache`: at once when idle, or when the server becomes idle within the time the caller gives.

use std::time::{Duration, Instant};

use sglang_planner::Planner;
use sglang_proto::messages::{FlushCacheReqInput, FlushCacheReqOutput};

use crate::grammar::GrammarManager;

/// Longest wait a caller may ask for.
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// What [`Flush`] may reach: the caches that it empties.
pub struct Access<'a> {
    /// Has the radix cache.
    pub planner: &'a mut Planner,
    /// Has the compiled grammars.
    pub grammars: &'a GrammarManager,
}

impl Access<'_> {
    /// Empties the caches if nothing is under way; a request that waits for its grammar is.
    fn flush(&mut self) -> bool {
        let done = self.grammars.is_empty() && self.planner.flush_cache();
        if done {
            self.grammars.clear_cache();
        }
        done
    }
}

/// The one flush that may wait for the server to become idle.
///
/// Nothing here must survive a restart: a new process starts with empty caches, and the caller is told of it.
#[derive(Debug, Default)]
pub struct Flush {
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    rid: Option<String>,
    /// When to give up.
    deadline: Instant,
}

impl Flush {
    /// Flushes now, or takes note of a flush that waits. Gives the answer when it is due.
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

    /// Answers the waiting flush if it can be done or has waited long enough.
    pub fn advance(&mut self, on: &mut Access<'_>) -> Option<FlushCacheReqOutput> {
        let deadline = self.deadline()?;
        let done = on.flush();
        if !done && deadline > Instant::now() {
            return None;
        }
        let pending = self.pending.take()?;
        Some(answer(pending.rid, done, if done { "" } else { "Timed out waiting for idle state." }))
    }

    /// When the waiting flush gives up.
    pub fn deadline(&self) -> Option<Instant> {
        self.pending.as_ref().map(|pending| pending.deadline)
    }
}

fn answer(rid: Option<String>, success: bool, message: &str) -> FlushCacheReqOutput {
    if success {
        tracing::info!("Cache flushed successfully!");
    }
    FlushCacheReqOutput { rid, http_worker_ipc: None, success, message: message.into() }
}
