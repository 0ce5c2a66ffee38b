//! Termination signals for the processes that do not run an async runtime.

use nix::sys::signal::{SigSet, Signal};

/// How a process must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Termination {
    /// SIGTERM: finish running requests first.
    Graceful,
    /// SIGINT or SIGQUIT: end at once.
    Now,
}

/// SIGTERM, SIGINT and SIGQUIT, blocked in this thread and in threads that it starts afterwards.
#[derive(Debug)]
pub struct TerminationSignals {
    set: SigSet,
}

impl TerminationSignals {
    /// Blocks the signals. Call it in `main` before any thread starts: in a thread that does not block them, they would
    /// end the whole process.
    ///
    /// # Errors
    /// The kernel rejects the signal mask.
    pub fn block() -> std::io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
            set.add(signal);
        }
        set.thread_block()?;
        Ok(TerminationSignals { set })
    }

    /// Starts a thread that calls `on_signal` for every signal that arrives.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn watch(self, mut on_signal: impl FnMut(Termination) + Send + 'static) -> std::io::Result<()> {
        std::thread::Builder::new().name("signals".to_owned()).stack_size(128 << 10).spawn(move || {
            while let Ok(signal) = self.set.wait() {
                on_signal(match signal {
                    Signal::SIGTERM => Termination::Graceful,
                    _ => Termination::Now,
                });
            }
        })?;
        Ok(())
    }
}
