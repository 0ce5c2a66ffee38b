//! When a process that serves others ends (scheduler, detokenizer).
//!
//! A supervisor may send SIGTERM to every process of a server at once. Requests that run need these processes until the
//! tokenizer manager has answered them, so under a launcher they wait for its word.

use std::io;
use std::sync::Arc;

use crate::control::{self, ControlEvent};
use crate::signals::{Termination, TerminationSignals};

/// Calls `on_end` when the process is to end: on the launcher's word or end, on SIGINT and SIGQUIT, and without a
/// launcher on SIGTERM. It may be called more than once. Call this once.
///
/// # Errors
/// When a thread cannot be started.
pub fn watch(signals: TerminationSignals, on_end: impl Fn() + Send + Sync + 'static) -> io::Result<()> {
    let on_end = Arc::new(on_end);
    let told = Arc::clone(&on_end);
    let launched = control::watch(move |event| {
        if matches!(event, ControlEvent::End | ControlEvent::ParentGone) {
            told();
        }
    })?;
    signals.watch(move |signal| {
        if signal == Termination::Graceful && launched {
            tracing::debug!("SIGTERM: the launcher says when this process ends");
        } else {
            on_end();
        }
    })
}
