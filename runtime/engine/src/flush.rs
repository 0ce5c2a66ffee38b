//! `/flush_cache`: at once when idle, or when the server becomes idle within the time the caller gives.

use std::time::{Duration, Instant};

use sglang_proto::messages::{FlushCacheReqInput, FlushCacheReqOutput};

use crate::event_loop::EventLoop;

/// Longest wait a caller may ask for.
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// A flush that waits for the server to become idle.
#[derive(Debug)]
pub struct PendingFlush {
    rid: Option<String>,
    /// When to give up.
    pub(crate) deadline: Instant,
}

impl EventLoop<'_> {
    pub(crate) fn flush(&mut self, request: FlushCacheReqInput) {
        if !self.flushes.is_empty() {
            return self.flushed(request.rid, false, "Another flush_cache is already in progress.");
        }
        if self.flush_caches() {
            return self.flushed(request.rid, true, "");
        }
        match request.timeout_s.filter(|s| *s > 0.0) {
            None => self.flushed(request.rid, false, ""),
            Some(seconds) => {
                let wait = Duration::try_from_secs_f64(seconds).map_or(MAX_WAIT, |w| w.min(MAX_WAIT));
                self.flushes.push(PendingFlush { rid: request.rid, deadline: Instant::now() + wait });
            }
        }
    }

    /// Answers waiting flushes that can be done or have waited long enough.
    pub(crate) fn finish_flushes(&mut self) {
        let Some(pending) = self.flushes.pop() else { return };
        if self.flush_caches() {
            self.flushed(pending.rid, true, "");
        } else if pending.deadline <= Instant::now() {
            self.flushed(pending.rid, false, "Timed out waiting for idle state.");
        } else {
            self.flushes.push(pending);
        }
    }

    /// Empties the caches if nothing is under way; a request that waits for its grammar is.
    fn flush_caches(&mut self) -> bool {
        let done = self.grammars.is_empty() && self.scheduler.flush_cache();
        if done {
            self.grammars.clear_cache();
        }
        done
    }

    fn flushed(&self, rid: Option<String>, success: bool, message: &str) {
        if success {
            tracing::info!("Cache flushed successfully!");
        }
        self.reply(FlushCacheReqOutput { rid, http_worker_ipc: None, success, message: message.into() });
    }
}
