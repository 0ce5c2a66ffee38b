//! The prefix cache: a radix tree over token ids whose nodes own KV slots (reference: `mem_cache/radix_cache.py`;
//! RadixAttention, Zheng et al., arXiv:2312.07104).
//!
//! Every path from a root is a token sequence with valid KV. Nodes hold whole pages. A running request pins the path it
//! reads ([`RadixCache::lock`]); unpinned nodes can be evicted leaf by leaf.

mod evict;
mod insert;
mod matching;
mod node;
mod order;
mod verify;

use std::collections::BTreeSet;
use std::sync::Arc;

use ahash::AHashMap;

pub use evict::EvictionPolicy;
pub use insert::Inserted;
pub use matching::PrefixMatch;
pub use node::NodeId;

use node::{EvictKey, Node};

/// A cache namespace. Requests share prefixes only within a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Namespace {
    /// Namespace chosen by the caller.
    pub extra_key: Option<String>,
    /// Salt chosen by the caller to isolate equal prefixes.
    pub cache_salt: Option<String>,
    /// LoRA adapter, whose KV differs from that of the base model.
    pub lora_id: Option<String>,
}

/// One radix tree per [`Namespace`], with a common order of eviction.
#[derive(Debug)]
pub struct RadixCache {
    page_size: usize,
    policy: EvictionPolicy,
    disabled: bool,
    nodes: Vec<Node>,
    free_nodes: Vec<NodeId>,
    roots: AHashMap<Arc<Namespace>, NodeId>,
    evictable_leaves: BTreeSet<(EvictKey, NodeId)>,
    evictable_size: usize,
    protected_size: usize,
    /// Logical time: grows with every operation that uses a node.
    clock: u64,
}

impl RadixCache {
    /// An empty tree with pages of `page_size` tokens. A `disabled` tree stays empty.
    pub fn new(page_size: usize, policy: EvictionPolicy, disabled: bool) -> Self {
        Self {
            page_size: page_size.max(1),
            policy,
            disabled,
            nodes: Vec::new(),
            free_nodes: Vec::new(),
            roots: AHashMap::new(),
            evictable_leaves: BTreeSet::new(),
            evictable_size: 0,
            protected_size: 0,
            clock: 0,
        }
    }

    /// Whether prefix caching is off (`--disable-radix-cache`).
    pub fn is_disabled(&self) -> bool {
        self.disabled
    }

    /// Number of unpinned tokens.
    pub fn evictable_size(&self) -> usize {
        self.evictable_size
    }

    /// Number of tokens that running requests pin.
    pub fn protected_size(&self) -> usize {
        self.protected_size
    }

    /// Number of nodes, roots included.
    pub fn num_nodes(&self) -> usize {
        self.nodes.len() - self.free_nodes.len()
    }

    /// Removes all nodes. The caller frees the slots; nothing may be pinned.
    pub fn reset(&mut self) {
        *self = Self::new(self.page_size, self.policy, self.disabled);
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn add_node(&mut self, node: Node) -> NodeId {
        match self.free_nodes.pop() {
            Some(id) => {
                self.nodes[id.index()] = node;
                id
            }
            None => {
                let id = NodeId::from_index(self.nodes.len());
                self.nodes.push(node);
                id
            }
        }
    }

    fn root(&mut self, namespace: &Arc<Namespace>) -> NodeId {
        if let Some(root) = self.roots.get(namespace) {
            return *root;
        }
        let root = self.add_node(Node::root(Arc::clone(namespace)));
        self.roots.insert(Arc::clone(namespace), root);
        root
    }

    /// Pins the path from `node` to its root.
    pub fn lock(&mut self, node: NodeId) {
        let mut next = Some(node);
        while let Some(id) = next {
            let node = &mut self.nodes[id.index()];
            node.lock_ref += 1;
            let first = node.lock_ref == 1;
            let len = node.tokens.len();
            next = node.parent;
            if first {
                self.evictable_size -= len;
                self.protected_size += len;
                self.refresh(id);
            }
        }
    }

    /// Releases one [`RadixCache::lock`] of `node`.
    pub fn unlock(&mut self, node: NodeId) {
        let mut next = Some(node);
        while let Some(id) = next {
            let node = &mut self.nodes[id.index()];
            debug_assert!(node.lock_ref > 0, "unlock without lock");
            node.lock_ref = node.lock_ref.saturating_sub(1);
            let last = node.lock_ref == 0;
            let len = node.tokens.len();
            next = node.parent;
            if last {
                self.evictable_size += len;
                self.protected_size -= len;
                self.refresh(id);
            }
        }
    }

    /// Number of tokens on the path to `node` that only one request pins, i.e. that unlocking it would make evictable.
    pub fn exclusive_len(&self, node: NodeId) -> usize {
        let mut len = 0;
        let mut next = Some(node);
        while let Some(id) = next {
            let node = &self.nodes[id.index()];
            if node.lock_ref > 1 {
                break;
            }
            len += node.tokens.len();
            next = node.parent;
        }
        len
    }

    /// Counts one more use of every node on the path to `node`, and raises their priority to at least `priority`.
    /// Called once per request, when it is first admitted.
    pub fn count_hit(&mut self, node: NodeId, priority: i64) {
        let mut next = Some(node);
        while let Some(id) = next {
            let node = &mut self.nodes[id.index()];
            node.hit_count += 1;
            node.priority = node.priority.max(priority);
            next = node.parent;
            self.refresh(id);
        }
    }

    /// Updates the order of evictable leaves after `id` changed, and removes a root that is no longer used.
    fn refresh(&mut self, id: NodeId) {
        let node = &self.nodes[id.index()];
        let is_free_leaf = node.lock_ref == 0 && node.children.is_empty();
        let wanted = (is_free_leaf && !node.is_root()).then(|| self.policy.key(node));
        if wanted != node.evict_key {
            if let Some(old) = node.evict_key {
                self.evictable_leaves.remove(&(old, id));
            }
            if let Some(new) = wanted {
                self.evictable_leaves.insert((new, id));
            }
            self.nodes[id.index()].evict_key = wanted;
        }
        let node = &self.nodes[id.index()];
        if is_free_leaf && let Some(namespace) = node.namespace.clone() {
            self.roots.remove(&namespace);
            self.nodes[id.index()] = Node::vacant();
            self.free_nodes.push(id);
        }
    }
}

#[cfg(test)]
mod tests;
