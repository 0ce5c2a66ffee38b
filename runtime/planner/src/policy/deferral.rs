//! In-batch prefix deferral: of several waiting requests that share a prefix nobody has computed yet, one goes first
//! and the others follow when they can take the prefix from the cache.

use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;

use ahash::RandomState;

use crate::radix_cache::Namespace;

/// Least shared tokens for which a request waits for another (reference:
/// `IN_BATCH_PREFIX_CACHING_DEPRIORITIZE_THRESHOLD`).
const SHARED_TOKENS: usize = 32;

/// Fixed keys, so that runs can be repeated exactly.
static HASHER: LazyLock<RandomState> = LazyLock::new(|| RandomState::with_seeds(1, 2, 3, 4));

/// Stands for a namespace and the first tokens of a prompt.
pub type PrefixKey = u64;

/// Tokens that a [`PrefixKey`] covers: 32, rounded up to whole pages.
pub fn prefix_key_len(page_size: usize) -> usize {
    SHARED_TOKENS.next_multiple_of(page_size)
}

/// The key of a prompt; `None` if it is not longer than the key.
pub fn prefix_key(namespace: &Namespace, tokens: &[u32], page_size: usize) -> Option<PrefixKey> {
    let len = prefix_key_len(page_size);
    let head = tokens.get(..len).filter(|_| tokens.len() > len)?;
    let mut hasher = HASHER.build_hasher();
    hasher.write_u64(HASHER.hash_one(namespace));
    hasher.write_u64(HASHER.hash_one(head));
    Some(hasher.finish())
}
