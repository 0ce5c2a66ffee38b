//! Evicts cached prefixes (reference: `mem_cache/evict_policy.py`).

use std::str::FromStr;

use super::node::{EvictKey, Node};
use super::{NodeId, RadixCache};
use crate::PlannerError;
use crate::memory::{InvalidFree, TokenToKvPoolAllocator};

/// Order in which unpinned leaves are evicted (`--radix-eviction-policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictionPolicy {
    /// Least recently used first.
    Lru,
    /// Least often used first, then least recently.
    Lfu,
    /// Oldest first.
    Fifo,
    /// Most recently used first.
    Mru,
    /// Youngest first.
    Filo,
    /// Lowest request priority first, then least recently used.
    Priority,
    /// Nodes used once before nodes used at least twice, then least recently used.
    Slru,
}

/// Uses after which slru protects a node.
const SLRU_PROTECTED_THRESHOLD: u64 = 2;

impl EvictionPolicy {
    /// All policies with their names.
    pub const ALL: [(&'static str, Self); 7] = [
        ("lru", Self::Lru),
        ("lfu", Self::Lfu),
        ("fifo", Self::Fifo),
        ("mru", Self::Mru),
        ("filo", Self::Filo),
        ("priority", Self::Priority),
        ("slru", Self::Slru),
    ];

    pub(super) fn key(self, node: &Node) -> EvictKey {
        match self {
            Self::Lru => (0, node.last_access),
            Self::Lfu => (node.hit_count, node.last_access),
            Self::Fifo => (0, node.creation),
            Self::Mru => (0, u64::MAX - node.last_access),
            Self::Filo => (0, u64::MAX - node.creation),
            // Flipping the sign bit keeps the order of signed numbers.
            Self::Priority => (node.priority as u64 ^ (1 << 63), node.last_access),
            Self::Slru => (u64::from(node.hit_count >= SLRU_PROTECTED_THRESHOLD), node.last_access),
        }
    }
}

impl FromStr for EvictionPolicy {
    type Err = PlannerError;

    fn from_str(name: &str) -> Result<Self, PlannerError> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, policy)| *policy).ok_or_else(|| PlannerError::InvalidConfig {
            setting: "--radix-eviction-policy",
            value: name.to_owned(),
            valid: format!("expected one of {}", Self::ALL.map(|(known, _)| known).join(", ")),
        })
    }
}

impl RadixCache {
    /// Evicts leaves and frees their slots until at least `num_tokens` are freed or nothing is left to evict. Returns
    /// the number of freed tokens.
    ///
    /// # Errors
    /// A slot of the tree was not in use, so the bookkeeping of the pool is wrong.
    pub fn evict(
        &mut self,
        num_tokens: usize,
        allocator: &mut TokenToKvPoolAllocator,
    ) -> Result<usize, InvalidFree> {
        let mut freed = 0;
        while freed < num_tokens {
            let Some((_, id)) = self.evictable_leaves.pop_first() else { break };
            let slots = self.remove_leaf(id);
            freed += slots.len();
            allocator.free(&slots)?;
        }
        Ok(freed)
    }

    /// Removes an unpinned leaf from the tree and returns its slots.
    fn remove_leaf(&mut self, id: NodeId) -> Vec<u32> {
        let node = std::mem::replace(&mut self.nodes[id.index()], Node::vacant());
        self.free_nodes.push(id);
        self.evictable_size -= node.tokens.len();
        if let Some(parent) = node.parent {
            self.nodes[parent.index()].children.remove(&node.tokens[..self.page_size]);
            self.refresh(parent);
        }
        node.slots
    }
}
