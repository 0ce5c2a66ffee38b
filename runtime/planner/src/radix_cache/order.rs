//! The depth-first order of the dfs-weight policy (reference: `_dfs_weight_order` in `mem_cache/base_prefix_cache.py`).

use ahash::AHashMap;

use super::{NodeId, RadixCache};

impl RadixCache {
    /// Orders requests, each given by the node it matches, depth first with the heaviest subtree first, so that
    /// requests with long shared prefixes run together. The weight of a subtree is the number of requests in it.
    /// Requests without node come last; ties keep the given order.
    pub fn dfs_weight_order(&self, nodes: &[Option<NodeId>]) -> Vec<usize> {
        let mut weight: AHashMap<NodeId, usize> = AHashMap::new();
        let mut requests: AHashMap<NodeId, Vec<usize>> = AHashMap::new();
        let mut children: AHashMap<NodeId, Vec<NodeId>> = AHashMap::new();
        let mut roots = Vec::new();
        for (request, node) in nodes.iter().enumerate() {
            let Some(node) = *node else { continue };
            requests.entry(node).or_default().push(request);
            let mut at = node;
            loop {
                let count = weight.entry(at).or_default();
                *count += 1;
                let seen = *count > 1;
                let parent = self.nodes[at.index()].parent;
                match parent {
                    Some(parent) if !seen => children.entry(parent).or_default().push(at),
                    None if !seen => roots.push(at),
                    _ => {}
                }
                match parent {
                    Some(parent) => at = parent,
                    None => break,
                }
            }
        }
        for below in children.values_mut().chain([&mut roots]) {
            below.sort_by_key(|node| std::cmp::Reverse(weight.get(node).copied().unwrap_or(0)));
        }
        let mut order = Vec::with_capacity(nodes.len());
        let mut stack: Vec<(NodeId, bool)> = roots.iter().rev().map(|root| (*root, false)).collect();
        while let Some((node, visited)) = stack.pop() {
            if visited {
                order.extend(requests.get(&node).into_iter().flatten());
                continue;
            }
            stack.push((node, true));
            stack.extend(children.get(&node).into_iter().flatten().rev().map(|child| (*child, false)));
        }
        order.extend(nodes.iter().enumerate().filter(|(_, node)| node.is_none()).map(|(request, _)| request));
        order
    }
}
