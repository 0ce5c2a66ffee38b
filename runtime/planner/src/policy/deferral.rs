//! In-batch prefix deferral: if several waiting requests share an uncached prefix, one computes it and the others wait
//! until they can take it from the cache.

use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;

use ahash::RandomState;

use crate::radix_cache::Namespace;

/// Minimum number of shared tokens for which a request waits (reference:
/// `IN_BATCH_PREFIX_CACHING_DEPRIORITIZE_THRESHOLD`).
const SHARED_TOKENS: usize = 32;

/// Fixed keys make runs reproducible.
static HASHER: LazyLock<RandomState> = LazyLock::new(|| RandomState::with_seeds(1, 2, 3, 4));

/// Hash of a namespace and the first tokens of a prompt.
pub type PrefixKey = u64;

/// Tokens that a [`PrefixKey`] covers: 32, rounded up to whole pages.
pub fn prefix_key_len(page_size: usize) -> usize {
    SHARED_TOKENS.next_multiple_of(page_size)
}

/// The key of a prompt; `None` if the prompt is not longer than the tokens that a key covers.
pub fn prefix_key(namespace: &Namespace, tokens: &[u32], page_size: usize) -> Option<PrefixKey> {
    let len = prefix_key_len(page_size);
    let head = tokens.get(..len).filter(|_| tokens.len() > len)?;
    let mut hasher = HASHER.build_hasher();
    hasher.write_u64(HASHER.hash_one(namespace));
    hasher.write_u64(HASHER.hash_one(head));
    Some(hasher.finish())
}
