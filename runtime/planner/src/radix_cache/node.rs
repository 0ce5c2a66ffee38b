//! Nodes of the radix tree.

use std::sync::Arc;

use ahash::AHashMap;

use super::Namespace;

/// Handle of a node; valid while the node is pinned or the tree does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    pub(super) fn from_index(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Position of a leaf in the order of eviction; smaller keys are evicted first.
pub(super) type EvictKey = (u64, u64);

/// A run of tokens and the slots of their KV. Lengths are whole pages.
#[derive(Debug)]
pub(super) struct Node {
    pub parent: Option<NodeId>,
    pub tokens: Vec<u32>,
    pub slots: Vec<u32>,
    /// Children by the tokens of their first page.
    pub children: AHashMap<Box<[u32]>, NodeId>,
    /// Number of pins of this node and of nodes below it.
    pub lock_ref: u32,
    pub last_access: u64,
    pub creation: u64,
    pub hit_count: u64,
    pub priority: i64,
    /// Its key among the evictable leaves, if it is one.
    pub evict_key: Option<EvictKey>,
    /// Set for roots.
    pub namespace: Option<Arc<Namespace>>,
}

impl Node {
    pub fn root(namespace: Arc<Namespace>) -> Self {
        Self { namespace: Some(namespace), ..Self::vacant() }
    }

    pub fn leaf(parent: NodeId, tokens: &[u32], slots: &[u32], time: u64, priority: i64) -> Self {
        Self {
            parent: Some(parent),
            tokens: tokens.to_vec(),
            slots: slots.to_vec(),
            last_access: time,
            creation: time,
            hit_count: 1,
            priority,
            ..Self::vacant()
        }
    }

    /// An unused place in the arena.
    pub fn vacant() -> Self {
        Self {
            parent: None,
            tokens: Vec::new(),
            slots: Vec::new(),
            children: AHashMap::new(),
            lock_ref: 0,
            last_access: 0,
            creation: 0,
            hit_count: 0,
            priority: i64::MIN,
            evict_key: None,
            namespace: None,
        }
    }

    pub fn is_root(&self) -> bool {
        self.parent.is_none()
    }
}
