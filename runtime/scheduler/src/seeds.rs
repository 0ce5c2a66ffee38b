//! Seeds of requests that have none.

use sha2::{Digest, Sha256};

/// Derives the seed of a request from the server's seed and the request's id. It stays the same if the request is sent
/// again after a restart, and on every machine and version of the server.
#[derive(Clone, Copy, Debug)]
pub struct Seeds {
    server: u64,
}

impl Seeds {
    /// The seeds of a server with this `--random-seed`.
    pub fn new(server: u64) -> Self {
        Self { server }
    }

    /// The seed of a request: the first eight bytes of a SHA-256 digest.
    pub fn of(self, rid: &str) -> u64 {
        let digest = Sha256::new().chain_update(self.server.to_le_bytes()).chain_update(rid).finalize();
        digest.iter().take(8).rev().fold(0, |seed, byte| seed << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_depends_on_the_server_and_the_request_and_on_nothing_else() {
        // echo -ne '\x2a\0\0\0\0\0\0\0abc' | sha256sum
        assert_eq!(Seeds::new(42).of("abc"), u64::from_le_bytes(EXPECTED));
        assert_ne!(Seeds::new(42).of("abc"), Seeds::new(43).of("abc"));
        assert_ne!(Seeds::new(42).of("abc"), Seeds::new(42).of("abd"));
    }

    const EXPECTED: [u8; 8] = [0x64, 0x88, 0xc6, 0x45, 0x08, 0xed, 0x76, 0x29];
}
