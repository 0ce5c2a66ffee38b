//! Ctrl-C and SIGTERM end the run early, and its results so far are printed. A second signal ends the program at once.

use std::sync::OnceLock;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// The exit code of a run that was ended early: what a shell expects after ctrl-C.
pub const EXIT_CODE: u8 = 130;

/// Tells whether the user wants to stop.
#[derive(Clone, Debug)]
pub struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Starts to handle the signals; all callers share one handler.
    ///
    /// # Errors
    /// If the system does not allow handling the signals.
    pub fn watch() -> Result<Self> {
        static WATCHED: OnceLock<Interrupt> = OnceLock::new();
        if let Some(watched) = WATCHED.get() {
            return Ok(watched.clone());
        }
        let watch = |kind| signal(kind).context("cannot watch for signals");
        let signals = (watch(SignalKind::interrupt())?, watch(SignalKind::terminate())?);
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(wait_for(signals, sender));
        Ok(WATCHED.get_or_init(|| Self(receiver)).clone())
    }

    /// Returns once there was a signal.
    pub async fn wait(&self) {
        if self.0.clone().wait_for(|seen| *seen).await.is_err() {
            std::future::pending().await
        }
    }

    /// Whether there was a signal.
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }
}

async fn wait_for((mut interrupt, mut terminate): (Signal, Signal), sender: watch::Sender<bool>) {
    let mut next = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    next().await;
    eprintln!("Stopping; results of what is finished follow. A second signal ends at once.");
    // The receiver exists as long as the program.
    let _ = sender.send(true);
    next().await;
    std::process::exit(i32::from(EXIT_CODE));
}
