//! Addresses of the links: fixed names in one directory, so that processes can start in any order.

use std::path::{Path, PathBuf};

/// ZeroMQ addresses of one run's links (names as in the reference's `PortArgs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Tokenizer manager → scheduler rank 0.
    pub scheduler_input: String,
    /// Scheduler rank 0 → detokenizer.
    pub detokenizer: String,
    /// Detokenizer and scheduler → tokenizer manager.
    pub tokenizer: String,
}

impl Endpoints {
    /// The links of the run whose sockets are in `dir`.
    pub fn in_dir(dir: &Path) -> Self {
        let address = |name: &str| format!("ipc://{}", dir.join(name).display());
        Self {
            scheduler_input: address("scheduler_input.sock"),
            detokenizer: address("detokenizer.sock"),
            tokenizer: address("tokenizer.sock"),
        }
    }

    /// The file behind an `ipc://` address.
    pub fn socket_path(endpoint: &str) -> Option<PathBuf> {
        endpoint.strip_prefix("ipc://").map(PathBuf::from)
    }
}
