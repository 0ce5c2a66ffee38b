//! A small server that speaks the Hugging Face hub's API on loopback, for tests of downloads and their failures.
//!
//! It has two addresses: the hub, and a storage server to which large files are redirected, as on the real hub. Its
//! answers follow `huggingface_hub` 2.4, whose `snapshot_download` works with it.

mod http;
mod repo;
mod routes;

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use http::Request;
pub use repo::TestRepo;

/// A fault when a file is requested.
#[derive(Debug, Clone, Default)]
pub struct Fault {
    /// The connection is closed after this many bytes of a body …
    pub break_after: Option<usize>,
    /// … or nothing more is sent after them.
    pub stall_after: Option<usize>,
    /// Answer with this status instead.
    pub status: Option<u16>,
    /// How many requests are affected.
    pub times: usize,
}

#[derive(Debug, Default)]
struct State {
    repos: Vec<TestRepo>,
    faults: Vec<(String, Fault)>,
    ignore_ranges: bool,
    hide_blobs: bool,
    log: Vec<Request>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    hub: SocketAddr,
    storage: SocketAddr,
    ended: AtomicBool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running hub; dropping it stops it.
#[derive(Debug)]
pub struct TestHub {
    shared: Arc<Shared>,
}

impl TestHub {
    /// Starts on free ports.
    ///
    /// # Errors
    /// The system's errors.
    pub fn start() -> std::io::Result<Self> {
        Self::start_on(0)
    }

    /// Starts on this port.
    ///
    /// # Errors
    /// The system's errors.
    pub fn start_on(port: u16) -> std::io::Result<Self> {
        let hub = TcpListener::bind(("127.0.0.1", port))?;
        let storage = TcpListener::bind(("127.0.0.1", 0))?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            hub: hub.local_addr()?,
            storage: storage.local_addr()?,
            ended: AtomicBool::new(false),
        });
        for (listener, is_storage) in [(hub, false), (storage, true)] {
            let shared = shared.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if shared.ended.load(Ordering::Acquire) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    let shared = shared.clone();
                    std::thread::spawn(move || routes::serve(&shared, stream, is_storage));
                }
            });
        }
        Ok(Self { shared })
    }

    /// The value for `HF_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.shared.hub)
    }

    /// Adds a repository, or replaces the one of the same name.
    pub fn add(&self, repo: TestRepo) {
        let mut state = self.shared.state();
        state.repos.retain(|r| r.name != repo.name);
        state.repos.push(repo);
    }

    /// Makes requests for a file fail (or, with an empty name, requests for descriptions of repositories).
    pub fn fail(&self, file: &str, fault: Fault) {
        self.shared.state().faults.push((file.to_owned(), fault));
    }

    /// Answers requests for part of a file with the whole file.
    pub fn ignore_ranges(&self) {
        self.shared.state().ignore_ranges = true;
    }

    /// Leaves sizes and hashes out of listings, like simple mirrors.
    pub fn hide_blobs(&self) {
        self.shared.state().hide_blobs = true;
    }

    /// The requests so far, to both addresses.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().log.clone()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.shared.state().log.clear();
    }
}

impl Drop for TestHub {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        // Wakes the two threads that wait for connections.
        for address in [self.shared.hub, self.shared.storage] {
            let _ = std::net::TcpStream::connect(address);
        }
    }
}
