//! The readiness and health of the server, for the health routes and for the admission of requests.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sglang_process::peer::{Peer, PeerNews};
use sglang_proto::wire::Role;
use tokio::sync::watch;

/// The processes that must say hello, as bits.
const SCHEDULER: u64 = 1;
const DETOKENIZER: u64 = 2;
/// Set until the launcher reports that the warm-up passed.
const LAUNCHER: u64 = 4;

/// The state of the server.
#[derive(Debug)]
pub struct Status {
    /// The bits that must be cleared before start-up is complete.
    needed: u64,
    /// The bits that are still set.
    missing: AtomicU64,
    /// Processes that have ended and not restarted yet, as reported by the launcher.
    down: watch::Sender<u64>,
    /// Processes that show no sign of life, as reported by the launcher.
    silent: AtomicU64,
    /// The current lives of scheduler and detokenizer, from their hellos.
    lives: Mutex<[u64; 2]>,
    /// Whether start-up was ever complete.
    started: AtomicBool,
    /// How long a request waits for a restart.
    restart_wait: Duration,
    unhealthy: AtomicBool,
    draining: AtomicBool,
    released: AtomicBool,
    paused: watch::Sender<bool>,
}

impl Status {
    /// The state of a server that is starting. `launched`: a launcher will report when the warm-up has passed.
    /// `detokenizer`: there is a detokenizer. A request waits up to `restart_wait` for a restart.
    pub fn new(launched: bool, detokenizer: bool, restart_wait: Duration) -> Self {
        let needed =
            SCHEDULER | if detokenizer { DETOKENIZER } else { 0 } | if launched { LAUNCHER } else { 0 };
        Self {
            needed,
            missing: AtomicU64::new(needed),
            down: watch::Sender::new(0),
            silent: AtomicU64::new(0),
            lives: Mutex::new([0; 2]),
            started: AtomicBool::new(false),
            restart_wait,
            unhealthy: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            released: AtomicBool::new(false),
            paused: watch::Sender::new(false),
        }
    }

    /// A process said hello with this life.
    pub fn said_hello(&self, role: Role, life: u64) {
        let bit = match role {
            Role::Scheduler => SCHEDULER,
            Role::Detokenizer => DETOKENIZER,
            Role::TokenizerManager => return,
        };
        self.with_life(bit, |known| *known = life);
        self.silent.fetch_and(!bit, Ordering::Relaxed);
        self.found(bit);
        self.down.send_modify(|down| *down &= !bit);
    }

    /// The launcher reported something about another process.
    pub fn heard_of(&self, peer: Peer, news: PeerNews) {
        let bit = match peer {
            Peer::Scheduler => SCHEDULER,
            Peer::Detokenizer => DETOKENIZER,
            Peer::TokenizerManager => return,
        };
        match news {
            PeerNews::Up(_) => {
                self.silent.fetch_and(!bit, Ordering::Relaxed);
            }
            PeerNews::Silent(_) => {
                self.silent.fetch_or(bit, Ordering::Relaxed);
            }
            // The next life may have said hello before this message arrived.
            PeerNews::Down(life) if self.with_life(bit, |known| *known > life) => {}
            PeerNews::Down(_) => {
                self.missing.fetch_or(bit & self.needed, Ordering::Relaxed);
                self.silent.fetch_and(!bit, Ordering::Relaxed);
                self.down.send_modify(|down| *down |= bit & self.needed);
            }
        }
    }

    fn with_life<R>(&self, bit: u64, look: impl FnOnce(&mut u64) -> R) -> R {
        let [scheduler, detokenizer] = &mut *self.lives.lock();
        look(if bit == SCHEDULER { scheduler } else { detokenizer })
    }

    /// The launcher reported that the warm-up passed.
    pub fn launcher_up(&self) {
        self.found(LAUNCHER);
    }

    fn found(&self, bit: u64) {
        let missing = self.missing.fetch_and(!bit, Ordering::Relaxed) & !bit;
        // The launcher's report stands for the whole start-up, even for a tokenizer manager that started later.
        if missing == 0 || bit == LAUNCHER {
            self.started.store(true, Ordering::Relaxed);
        }
    }

    /// Whether start-up was ever complete. From then on, a process that ends is restarted.
    pub fn has_started(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }

    /// Whether every process is up.
    pub fn is_up(&self) -> bool {
        self.missing.load(Ordering::Relaxed) == 0
    }

    /// Whether every process is up and shows signs of life.
    pub fn is_fresh(&self) -> bool {
        self.is_up() && self.silent.load(Ordering::Relaxed) == 0
    }

    /// Waits until no process is restarting. Returns `false` if that takes too long.
    pub async fn while_restarting(&self) -> bool {
        let mut down = self.down.subscribe();
        // The sender lives as long as `self`.
        tokio::time::timeout(self.restart_wait, down.wait_for(|down| *down == 0)).await.is_ok()
    }

    /// Sets the result of the last health check.
    pub fn set_healthy(&self, healthy: bool) {
        self.unhealthy.store(!healthy, Ordering::Relaxed);
    }

    /// Whether the last health check passed. True before the first one.
    pub fn is_healthy(&self) -> bool {
        self.is_fresh() && !self.unhealthy.load(Ordering::Relaxed)
    }

    /// Takes the server out of service: health checks fail from now on. Requests are still answered.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the server is about to end.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Sets whether the scheduler has released memory that requests need.
    pub fn set_released(&self, released: bool) {
        self.released.store(released, Ordering::Relaxed);
    }

    /// Whether requests wait until released memory is allocated again.
    pub fn is_released(&self) -> bool {
        self.released.load(Ordering::Relaxed)
    }

    /// Stops or continues the admission of requests.
    pub fn set_paused(&self, paused: bool) {
        self.paused.send_replace(paused);
    }

    /// Whether the admission of requests is stopped.
    pub fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Waits until admission is not stopped.
    pub async fn while_paused(&self) {
        let mut paused = self.paused.subscribe();
        // The sender lives as long as `self`.
        let _ = paused.wait_for(|paused| !paused).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(30);

    fn started() -> Status {
        let status = Status::new(true, true, WAIT);
        status.said_hello(Role::Scheduler, 1);
        status.said_hello(Role::Detokenizer, 2);
        status.launcher_up();
        status
    }

    #[test]
    fn a_server_is_up_when_all_have_spoken() {
        let status = Status::new(true, true, WAIT);
        for role in [Role::Scheduler, Role::Detokenizer, Role::TokenizerManager] {
            assert!(!status.is_up());
            status.said_hello(role, 1);
        }
        assert!(!status.is_up() && !status.has_started());
        status.launcher_up();
        assert!(status.is_up() && status.has_started() && status.is_healthy());
        status.set_healthy(false);
        assert!(status.is_up() && !status.is_healthy());
    }

    #[test]
    fn without_launcher_and_detokenizer_the_scheduler_is_enough() {
        let status = Status::new(false, false, WAIT);
        assert!(!status.has_started());
        status.said_hello(Role::Scheduler, 1);
        assert!(status.is_up() && status.has_started());
        status.heard_of(Peer::Detokenizer, PeerNews::Down(1));
        assert!(status.is_up(), "nobody needs it");
    }

    #[tokio::test]
    async fn requests_wait_for_a_process_that_is_started_again() {
        let status = started();
        assert!(status.while_restarting().await);
        status.heard_of(Peer::Scheduler, PeerNews::Down(1));
        assert!(!status.is_up() && !status.is_healthy() && status.has_started());
        assert!(!status.while_restarting().await, "for so long and no longer");
        let waiting = status.while_restarting();
        let back = async {
            tokio::task::yield_now().await;
            // A sign of life is not enough: requests are sent again only after the hello.
            status.heard_of(Peer::Scheduler, PeerNews::Up(4));
            status.said_hello(Role::Scheduler, 4);
        };
        assert!(tokio::join!(waiting, back).0);
        assert!(status.is_healthy());
    }

    #[test]
    fn news_of_an_earlier_life_changes_nothing() {
        let status = started();
        status.said_hello(Role::Scheduler, 4);
        status.heard_of(Peer::Scheduler, PeerNews::Down(1));
        assert!(status.is_up());
    }

    #[test]
    fn a_silent_process_is_not_fresh() {
        let status = started();
        status.heard_of(Peer::Detokenizer, PeerNews::Silent(2));
        assert!(status.is_up() && !status.is_fresh() && !status.is_healthy());
        status.heard_of(Peer::Detokenizer, PeerNews::Up(2));
        assert!(status.is_healthy());
    }
}
