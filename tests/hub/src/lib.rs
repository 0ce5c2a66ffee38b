//! A small server that speaks the Hugging Face hub's API on loopback, for tests of downloads and their failures.
//!
//! Two addresses: the hub, and a storage server that large files are redirected to, as on the real hub. What it answers
//! was taken from `huggingface_hub` 2.4, whose `snapshot_download` works with it.

mod http;
mod repo;
mod routes;

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use http::Request;
pub use repo::TestRepo;

/// What goes wrong with a file.
#[derive(Debug, Clone, Default)]
pub struct Fault {
    /// The connection is closed after so many bytes of a body …
    pub break_after: Option<usize>,
    /// … or the server falls silent there.
    pub stall_after: Option<usize>,
    /// An answer with this status instead.
    pub status: Option<u16>,
    /// How many requests are hit.
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

/// A running hub. Dropping it ends it.
#[derive(Debug)]
pub struct TestHub {
    shared: Arc<Shared>,
}

impl TestHub {
    /// Starts on free ports.
    ///
    /// # Errors
    /// The system's.
    pub fn start() -> std::io::Result<Self> {
        Self::start_on(0)
    }

    /// Starts on a port.
    ///
    /// # Errors
    /// The system's.
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

    /// For `HF_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.shared.hub)
    }

    /// Adds a repository, or replaces the one of the same name.
    pub fn add(&self, repo: TestRepo) {
        let mut state = self.shared.state();
        state.repos.retain(|r| r.name != repo.name);
        state.repos.push(repo);
    }

    /// Lets requests for a file (or, with an empty name, for descriptions of repositories) go wrong.
    pub fn fail(&self, file: &str, fault: Fault) {
        self.shared.state().faults.push((file.to_owned(), fault));
    }

    /// Answers every request for a part of a file with all of it.
    pub fn ignore_ranges(&self) {
        self.shared.state().ignore_ranges = true;
    }

    /// Leaves sizes and contents out of the lists, as simple mirrors do.
    pub fn hide_blobs(&self) {
        self.shared.state().hide_blobs = true;
    }

    /// The requests so far, of both addresses.
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
