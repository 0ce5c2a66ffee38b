//! Adds computed KV to the tree.

use super::matching::common_len;
use super::node::Node;
use super::{NodeId, RadixCache};

/// Result of [`RadixCache::insert`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// Number of first tokens that were already stored. Their slots still belong to the caller, who frees them.
    pub duplicates: usize,
    /// Number of following tokens that now belong to the tree. The rest (less than a page, or all if the cache is
    /// disabled) still belongs to the caller.
    pub taken: usize,
}

impl RadixCache {
    /// Adds `tokens` (whole pages only) and their `slots` as a new leaf below the pinned `node`, for a request that
    /// keeps using them. Returns the leaf and the number of tokens added.
    ///
    /// Returns `None` and changes nothing if there is no whole page, if the cache is disabled, or if another request
    /// has stored the same page meanwhile. In the last case both copies would be pinned, so the caller keeps its own
    /// copy until it ends.
    pub fn append(
        &mut self,
        node: NodeId,
        tokens: &[u32],
        slots: &[u32],
        priority: i64,
    ) -> Option<(NodeId, usize)> {
        let len = tokens.len().min(slots.len()) / self.page_size * self.page_size;
        if self.disabled || len == 0 || self.child(node, tokens).is_some() {
            return None;
        }
        Some((self.add_leaf(node, &tokens[..len], &slots[..len], priority), len))
    }

    /// Stores `tokens` (whole pages only) below `node`, for a request that ends. Tokens already stored stay unchanged.
    pub fn insert(&mut self, node: NodeId, tokens: &[u32], slots: &[u32], priority: i64) -> Inserted {
        let len = tokens.len().min(slots.len()) / self.page_size * self.page_size;
        if self.disabled || len == 0 {
            return Inserted::default();
        }
        let now = self.tick();
        let (mut at, mut done) = (node, 0);
        while let Some(child) = self.child(at, &tokens[done..len]) {
            let run = self.nodes[child.index()].tokens.len();
            let same = common_len(&self.nodes[child.index()].tokens, &tokens[done..len], self.page_size);
            done += same;
            at = if same < run { self.split(child, same) } else { child };
            let node = &mut self.nodes[at.index()];
            node.last_access = now;
            node.hit_count += 1;
            node.priority = node.priority.max(priority);
            self.refresh(at);
            if same < run {
                break;
            }
        }
        if done < len {
            self.add_leaf(at, &tokens[done..len], &slots[done..len], priority);
        }
        Inserted { duplicates: done, taken: len - done }
    }

    fn add_leaf(&mut self, parent: NodeId, tokens: &[u32], slots: &[u32], priority: i64) -> NodeId {
        let now = self.tick();
        let leaf = self.add_node(Node::leaf(parent, tokens, slots, now, priority));
        self.nodes[parent.index()].children.insert(tokens[..self.page_size].into(), leaf);
        self.evictable_size += tokens.len();
        self.refresh(parent);
        self.refresh(leaf);
        leaf
    }
}
