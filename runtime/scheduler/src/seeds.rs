//! Seeds of requests that bring none.

use std::hash::{BuildHasher, Hasher};

/// Fixes the seed of a request by the server's seed and the request's id, so that it stays the same when the request is
/// sent again after a restart.
#[derive(Clone, Copy, Debug)]
pub struct Seeds {
    server: u64,
}

impl Seeds {
    /// The seeds of a server with this `--random-seed`.
    pub fn new(server: u64) -> Self {
        Self { server }
    }

    /// The seed of a request.
    pub fn of(self, rid: &str) -> u64 {
        let mut hasher = ahash::RandomState::with_seeds(self.server, 1, 2, 3).build_hasher();
        hasher.write(rid.as_bytes());
        hasher.finish()
    }
}
