//! Giving computed KV to the tree.

use super::matching::common_len;
use super::node::Node;
use super::{NodeId, RadixCache};

/// What became of the tokens given to [`RadixCache::insert`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// The first so many were there already: their slots stay the caller's, to be freed.
    pub duplicates: usize,
    /// The next so many now belong to the tree. What follows (less than a page, or all of it when the cache is
    /// disabled) stays the caller's.
    pub taken: usize,
}

impl RadixCache {
    /// Hangs `tokens` (cut to whole pages) with their `slots` under the pinned `node`, as a new leaf, for a request
    /// that goes on using them. Returns the leaf and the tokens taken.
    ///
    /// `None`, with nothing changed, if there is not a whole page, if the cache is disabled, or if another request has
    /// stored the same page in the meantime: taking over would mean to keep both copies pinned, so the caller keeps
    /// its copy to itself until it ends.
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

    /// Stores `tokens` (cut to whole pages) below `node`, for a request that ends. What is there already is left as it
    /// is.
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
