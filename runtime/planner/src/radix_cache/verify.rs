//! Self-check of the tree.

use ahash::AHashSet;

use super::{NodeId, RadixCache};

impl RadixCache {
    /// Slots of all nodes, pinned or not.
    pub fn all_slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.nodes.iter().flat_map(|node| node.slots.iter().copied())
    }

    /// Sum of the pins of the roots: the number of requests that pin anything.
    pub fn num_locks(&self) -> usize {
        self.roots.values().map(|root| self.nodes[root.index()].lock_ref as usize).sum()
    }

    /// Checks links, sizes, pins and the list of evictable leaves.
    ///
    /// # Errors
    /// A description of the first violation.
    pub fn verify(&self) -> Result<(), String> {
        let vacant: AHashSet<NodeId> = self.free_nodes.iter().copied().collect();
        let (mut evictable, mut protected, mut leaves) = (0, 0, 0);
        for (index, node) in self.nodes.iter().enumerate() {
            let id = NodeId::from_index(index);
            if vacant.contains(&id) {
                continue;
            }
            if node.tokens.len() != node.slots.len() || !node.tokens.len().is_multiple_of(self.page_size) {
                return Err(format!("{id:?} has {} tokens, {} slots", node.tokens.len(), node.slots.len()));
            }
            if let Some(parent) = node.parent {
                let up = &self.nodes[parent.index()];
                if up.children.get(&node.tokens[..self.page_size]) != Some(&id) {
                    return Err(format!("{id:?} is not among the children of {parent:?}"));
                }
                if up.lock_ref < node.lock_ref {
                    return Err(format!("{parent:?} is pinned less than its child {id:?}"));
                }
            } else if node.namespace.is_none() {
                return Err(format!("{id:?} has neither parent nor namespace"));
            }
            let size = if node.lock_ref > 0 { &mut protected } else { &mut evictable };
            *size += node.tokens.len();
            let is_leaf = !node.is_root() && node.lock_ref == 0 && node.children.is_empty();
            let listed = node.evict_key.is_some_and(|key| self.evictable_leaves.contains(&(key, id)));
            if is_leaf != listed || node.evict_key.is_some_and(|key| key != self.policy.key(node)) {
                return Err(format!("{id:?}: evictable leaf {is_leaf}, listed {:?}", node.evict_key));
            }
            leaves += usize::from(is_leaf);
        }
        if leaves != self.evictable_leaves.len() {
            return Err(format!("{leaves} evictable leaves, {} listed", self.evictable_leaves.len()));
        }
        if (evictable, protected) != (self.evictable_size, self.protected_size) {
            return Err(format!(
                "counted {evictable} evictable and {protected} protected tokens, kept {} and {}",
                self.evictable_size, self.protected_size
            ));
        }
        Ok(())
    }
}
