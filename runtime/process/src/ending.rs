//! Decides when a process behind the tokenizer manager ends (scheduler, detokenizer).
//!
//! A supervisor may send SIGTERM to all processes of a server at once. Running requests need these processes until the
//! tokenizer manager has answered them. Therefore, under a launcher, they ignore SIGTERM and wait for its word.

use std::io;
use std::sync::Arc;

use crate::control::{self, ControlEvent};
use crate::signals::{Termination, TerminationSignals};

/// Calls `on_end` when the process must end: on the launcher's word, on its end, on SIGINT and SIGQUIT, and without a
/// launcher on SIGTERM. `on_end` may be called more than once. Call this function once.
///
/// # Errors
/// A thread cannot be started.
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
