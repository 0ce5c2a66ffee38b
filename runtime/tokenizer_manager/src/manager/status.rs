//! Whether the server takes requests, as the health routes tell it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sglang_proto::wire::Role;
use tokio::sync::watch;

/// The processes that must have said hello.
const SCHEDULER: u64 = 1;
const DETOKENIZER: u64 = 2;
/// The launcher has said that the warm-up passed.
const LAUNCHER: u64 = 4;

/// State of the server.
#[derive(Debug)]
pub struct Status {
    /// Which of the three are still missing.
    missing: AtomicU64,
    unhealthy: AtomicBool,
    draining: AtomicBool,
    released: AtomicBool,
    paused: watch::Sender<bool>,
}

impl Status {
    /// A server that starts. `launched`: a launcher will say when the warm-up has passed; `detokenizer`: there is one.
    pub fn new(launched: bool, detokenizer: bool) -> Self {
        let missing =
            SCHEDULER | if detokenizer { DETOKENIZER } else { 0 } | if launched { LAUNCHER } else { 0 };
        Self {
            missing: AtomicU64::new(missing),
            unhealthy: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            released: AtomicBool::new(false),
            paused: watch::Sender::new(false),
        }
    }

    /// A process has said hello.
    pub fn said_hello(&self, role: Role) {
        let bit = match role {
            Role::Scheduler => SCHEDULER,
            Role::Detokenizer => DETOKENIZER,
            Role::TokenizerManager => 0,
        };
        self.missing.fetch_and(!bit, Ordering::Relaxed);
    }

    /// The launcher's warm-up has passed.
    pub fn launcher_up(&self) {
        self.missing.fetch_and(!LAUNCHER, Ordering::Relaxed);
    }

    /// Whether start-up is over.
    pub fn is_up(&self) -> bool {
        self.missing.load(Ordering::Relaxed) == 0
    }

    /// Result of a health check.
    pub fn set_healthy(&self, healthy: bool) {
        self.unhealthy.store(!healthy, Ordering::Relaxed);
    }

    /// Whether the last health check passed, or there was none.
    pub fn is_healthy(&self) -> bool {
        self.is_up() && !self.unhealthy.load(Ordering::Relaxed)
    }

    /// Takes the server out of service; requests are still answered.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the server is about to end.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether the scheduler has given memory back that requests need.
    pub fn set_released(&self, released: bool) {
        self.released.store(released, Ordering::Relaxed);
    }

    /// Whether requests wait for memory to be taken again.
    pub fn is_released(&self) -> bool {
        self.released.load(Ordering::Relaxed)
    }

    /// Stops or continues the admission of requests.
    pub fn set_paused(&self, paused: bool) {
        self.paused.send_replace(paused);
    }

    /// Whether admission is stopped.
    pub fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Waits while admission is stopped.
    pub async fn while_paused(&self) {
        let mut paused = self.paused.subscribe();
        // The sender lives as long as `self`.
        let _ = paused.wait_for(|paused| !paused).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_up_when_all_have_spoken() {
        let status = Status::new(true, true);
        for role in [Role::Scheduler, Role::Detokenizer, Role::TokenizerManager] {
            assert!(!status.is_up());
            status.said_hello(role);
        }
        assert!(!status.is_up());
        status.launcher_up();
        assert!(status.is_up() && status.is_healthy());
        status.set_healthy(false);
        assert!(status.is_up() && !status.is_healthy());
    }

    #[test]
    fn without_launcher_and_detokenizer_the_scheduler_is_enough() {
        let status = Status::new(false, false);
        status.said_hello(Role::Scheduler);
        assert!(status.is_up());
    }
}
