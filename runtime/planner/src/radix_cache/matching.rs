//! Finds the longest cached prefix.

use std::sync::Arc;

use super::node::Node;
use super::{Namespace, NodeId, RadixCache};

/// A cached prefix. Pin the node before keeping it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixMatch {
    /// Node that ends the prefix.
    pub node: NodeId,
    /// Number of tokens of the prefix, in whole pages.
    pub len: usize,
}

/// Length of the common prefix of `a` and `b`, rounded down to whole pages.
pub(super) fn common_len(a: &[u32], b: &[u32], page_size: usize) -> usize {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    // Most runs are equal, and comparing whole slices is much faster than comparing elements.
    let same = if a == b { n } else { a.iter().zip(b).position(|(x, y)| x != y).unwrap_or(n) };
    same / page_size * page_size
}

impl RadixCache {
    /// Finds the longest cached prefix of `tokens`. Marks the path as used, and splits a node if the prefix ends inside
    /// it, so that exactly the prefix can be pinned.
    pub fn match_prefix(&mut self, namespace: &Arc<Namespace>, tokens: &[u32]) -> PrefixMatch {
        let root = self.root(namespace);
        let now = self.tick();
        let mut at = PrefixMatch { node: root, len: 0 };
        while let Some(child) = self.child(at.node, &tokens[at.len..]) {
            let same = common_len(&self.nodes[child.index()].tokens, &tokens[at.len..], self.page_size);
            at.len += same;
            let whole = same == self.nodes[child.index()].tokens.len();
            at.node = if whole { child } else { self.split(child, same) };
            self.nodes[child.index()].last_access = now;
            self.nodes[at.node.index()].last_access = now;
            self.refresh(child);
            if !whole {
                break;
            }
        }
        at
    }

    /// Like [`RadixCache::match_prefix`], but without changing the tree. The node is the deepest one reached, which the
    /// prefix may cover only in part; `None` if the namespace is empty.
    pub fn peek_prefix(&self, namespace: &Namespace, tokens: &[u32]) -> (Option<NodeId>, usize) {
        let Some(root) = self.roots.get(namespace) else { return (None, 0) };
        let (mut node, mut len) = (*root, 0);
        while let Some(child) = self.child(node, &tokens[len..]) {
            let run = &self.nodes[child.index()].tokens;
            let same = common_len(run, &tokens[len..], self.page_size);
            len += same;
            node = child;
            if same < run.len() {
                break;
            }
        }
        (Some(node), len)
    }

    /// Appends the slots of the path from the root to `node`.
    pub fn path_slots(&self, node: NodeId, slots: &mut Vec<u32>) {
        let mut path = Vec::new();
        let mut next = Some(node);
        while let Some(id) = next {
            path.push(id);
            next = self.nodes[id.index()].parent;
        }
        for id in path.iter().rev() {
            slots.extend_from_slice(&self.nodes[id.index()].slots);
        }
    }

    /// The child of `node` that starts with the first page of `tokens`.
    pub(super) fn child(&self, node: NodeId, tokens: &[u32]) -> Option<NodeId> {
        let page = tokens.get(..self.page_size)?;
        self.nodes[node.index()].children.get(page).copied()
    }

    /// Splits off the first `len` tokens of `id` into a new parent and returns it. `id` keeps the rest, so that a pin
    /// of `id` still covers the whole path.
    pub(super) fn split(&mut self, id: NodeId, len: usize) -> NodeId {
        let node = &mut self.nodes[id.index()];
        let rest_tokens = node.tokens.split_off(len);
        let rest_slots = node.slots.split_off(len);
        let upper = Node {
            parent: node.parent,
            tokens: std::mem::replace(&mut node.tokens, rest_tokens),
            slots: std::mem::replace(&mut node.slots, rest_slots),
            lock_ref: node.lock_ref,
            last_access: node.last_access,
            creation: node.creation,
            hit_count: node.hit_count,
            priority: node.priority,
            ..Node::vacant()
        };
        let first_page: Box<[u32]> = upper.tokens[..self.page_size].into();
        let rest_page: Box<[u32]> = node.tokens[..self.page_size].into();
        let parent = node.parent;
        let upper = self.add_node(upper);
        self.nodes[upper.index()].children.insert(rest_page, id);
        self.nodes[id.index()].parent = Some(upper);
        if let Some(parent) = parent {
            self.nodes[parent.index()].children.insert(first_page, upper);
        }
        upper
    }
}
