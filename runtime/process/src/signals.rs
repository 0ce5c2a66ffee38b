//! Termination signals for the processes that do not run an async runtime.

use nix::sys::signal::{SigSet, Signal};

/// Why a process is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Termination {
    /// SIGTERM: finish what is running first.
    Graceful,
    /// SIGINT or SIGQUIT: now.
    Now,
}

/// SIGTERM, SIGINT and SIGQUIT, blocked in this thread and in those it starts afterwards.
#[derive(Debug)]
pub struct TerminationSignals {
    set: SigSet,
}

impl TerminationSignals {
    /// Blocks the signals. Call it in `main` before any thread starts, since a thread that does not block them would
    /// take the default action for the whole process.
    ///
    /// # Errors
    /// When the kernel refuses the mask.
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
    /// When the thread cannot be started.
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
