use super::*;
use crate::memory::TokenToKvPoolAllocator;

struct Bench {
    tree: RadixCache,
    kv: TokenToKvPoolAllocator,
    ns: Arc<Namespace>,
}

impl Bench {
    fn new(page_size: usize, policy: EvictionPolicy) -> Self {
        Self {
            tree: RadixCache::new(page_size, policy, false),
            kv: TokenToKvPoolAllocator::new(1024, page_size),
            ns: Arc::default(),
        }
    }

    /// Stores a sequence as an ended request would.
    fn store(&mut self, tokens: &[u32], priority: i64) -> Inserted {
        let mut slots = Vec::new();
        assert!(self.kv.extend(&mut slots, tokens.len()));
        let at = self.tree.match_prefix(&self.ns.clone(), &[]);
        self.tree.lock(at.node);
        let inserted = self.tree.insert(at.node, tokens, &slots, priority);
        self.tree.unlock(at.node);
        self.kv.free(&slots[..inserted.duplicates]).unwrap();
        self.kv.free(&slots[inserted.duplicates + inserted.taken..]).unwrap();
        self.tree.verify().unwrap();
        inserted
    }

    fn cached(&self, tokens: &[u32]) -> usize {
        self.tree.peek_prefix(&self.ns, tokens).1
    }
}

fn seq(start: u32, len: u32) -> Vec<u32> {
    (start..start + len).collect()
}

#[test]
fn a_match_ends_where_the_sequences_part() {
    let mut b = Bench::new(1, EvictionPolicy::Lru);
    b.store(&[1, 2, 3, 4, 5], 0);
    b.store(&[1, 2, 3, 9], 0);
    assert_eq!(b.tree.evictable_size(), 6);
    let found = b.tree.match_prefix(&b.ns.clone(), &[1, 2, 3, 4, 7]);
    assert_eq!(found.len, 4);
    let mut slots = Vec::new();
    b.tree.path_slots(found.node, &mut slots);
    assert_eq!(slots.len(), 4);
    b.tree.verify().unwrap();
}

#[test]
fn matching_and_storing_work_in_whole_pages() {
    let mut b = Bench::new(4, EvictionPolicy::Lru);
    assert_eq!(b.store(&seq(0, 10), 0), Inserted { duplicates: 0, taken: 8 });
    assert_eq!(b.cached(&seq(0, 7)), 4);
    assert_eq!(b.cached(&seq(0, 3)), 0);
    assert_eq!(b.cached(&[0, 1, 2, 3, 4, 5, 6, 99, 8]), 4);
    assert_eq!(b.kv.available_size(), 1024 - 8);
}

#[test]
fn storing_again_reports_duplicates_and_keeps_the_first_copy() {
    let mut b = Bench::new(1, EvictionPolicy::Lru);
    b.store(&seq(0, 6), 0);
    assert_eq!(b.store(&seq(0, 9), 0), Inserted { duplicates: 6, taken: 3 });
    assert_eq!(b.kv.available_size(), 1024 - 9);
}

#[test]
fn namespaces_share_nothing() {
    let mut b = Bench::new(1, EvictionPolicy::Lru);
    b.store(&seq(0, 6), 0);
    for other in [
        Namespace { extra_key: Some("a".into()), ..Namespace::default() },
        Namespace { cache_salt: Some("a".into()), ..Namespace::default() },
        Namespace { lora_id: Some("a".into()), ..Namespace::default() },
    ] {
        assert_eq!(b.tree.peek_prefix(&other, &seq(0, 6)), (None, 0));
    }
    assert_eq!(b.cached(&seq(0, 6)), 6);
}

#[test]
fn a_pinned_path_is_not_evicted_and_its_branches_are() {
    let mut b = Bench::new(1, EvictionPolicy::Lru);
    b.store(&[1, 2, 3, 4], 0);
    b.store(&[1, 2, 8, 9], 0);
    let found = b.tree.match_prefix(&b.ns.clone(), &[1, 2, 3]);
    b.tree.lock(found.node);
    assert_eq!((b.tree.protected_size(), b.tree.evictable_size()), (3, 3));
    assert_eq!(b.tree.evict(100, &mut b.kv).unwrap(), 3);
    assert_eq!(b.cached(&[1, 2, 3, 4]), 3);
    b.tree.verify().unwrap();
    b.tree.unlock(found.node);
    assert_eq!(b.tree.evict(100, &mut b.kv).unwrap(), 3);
    assert_eq!(b.kv.available_size(), 1024);
    assert_eq!(b.tree.num_nodes(), 0, "an empty tree keeps not even its root");
}

#[test]
fn splitting_a_pinned_node_keeps_it_pinned() {
    let mut b = Bench::new(1, EvictionPolicy::Lru);
    b.store(&seq(0, 8), 0);
    let whole = b.tree.match_prefix(&b.ns.clone(), &seq(0, 8));
    b.tree.lock(whole.node);
    assert_eq!(b.tree.match_prefix(&b.ns.clone(), &seq(0, 5)).len, 5);
    assert_eq!(b.tree.evict(100, &mut b.kv).unwrap(), 0);
    b.tree.verify().unwrap();
    b.tree.unlock(whole.node);
    assert_eq!(b.tree.evictable_size(), 8);
    b.tree.verify().unwrap();
}

/// Stores A, B and C (C with priority 5, the others 0), uses A once more, and returns the order of eviction.
fn eviction_order(policy: EvictionPolicy) -> Vec<char> {
    let mut b = Bench::new(1, policy);
    let names = [('A', seq(0, 4)), ('B', seq(100, 4)), ('C', seq(200, 4))];
    b.store(&names[0].1, 0);
    b.store(&names[1].1, 0);
    b.store(&names[2].1, 5);
    b.store(&names[0].1, 0);
    let mut order = Vec::new();
    while order.len() < 3 {
        b.tree.evict(1, &mut b.kv).unwrap();
        let gone =
            names.iter().find(|(name, tokens)| !order.contains(name) && b.cached(tokens) == 0).unwrap();
        order.push(gone.0);
    }
    order
}

#[test]
fn every_policy_evicts_in_its_order() {
    assert_eq!(eviction_order(EvictionPolicy::Lru), ['B', 'C', 'A']);
    assert_eq!(eviction_order(EvictionPolicy::Lfu), ['B', 'C', 'A']);
    assert_eq!(eviction_order(EvictionPolicy::Fifo), ['A', 'B', 'C']);
    assert_eq!(eviction_order(EvictionPolicy::Mru), ['A', 'C', 'B']);
    assert_eq!(eviction_order(EvictionPolicy::Filo), ['C', 'B', 'A']);
    assert_eq!(eviction_order(EvictionPolicy::Priority), ['B', 'A', 'C']);
    assert_eq!(eviction_order(EvictionPolicy::Slru), ['B', 'C', 'A']);
}

#[test]
fn a_used_twice_node_outlives_a_newer_one_under_slru_and_lfu_only() {
    for (policy, survives) in
        [(EvictionPolicy::Slru, true), (EvictionPolicy::Lfu, true), (EvictionPolicy::Lru, false)]
    {
        let mut b = Bench::new(1, policy);
        b.store(&seq(0, 4), 0);
        b.store(&seq(0, 4), 0);
        b.store(&seq(100, 4), 0);
        b.tree.evict(1, &mut b.kv).unwrap();
        assert_eq!(b.cached(&seq(0, 4)) > 0, survives, "{policy:?}");
    }
}

#[test]
fn a_disabled_cache_takes_nothing() {
    let mut b = Bench::new(1, EvictionPolicy::Lru);
    b.tree = RadixCache::new(1, EvictionPolicy::Lru, true);
    assert_eq!(b.store(&seq(0, 6), 0), Inserted::default());
    assert_eq!(b.cached(&seq(0, 6)), 0);
    assert_eq!(b.kv.available_size(), 1024);
}

#[test]
fn appending_what_another_request_stored_is_refused() {
    let mut b = Bench::new(1, EvictionPolicy::Lru);
    let ns = b.ns.clone();
    let root = b.tree.match_prefix(&ns, &[]).node;
    b.tree.lock(root);
    let (leaf, taken) = b.tree.append(root, &[1, 2, 3], &[0, 1, 2], 0).unwrap();
    assert_eq!(taken, 3);
    assert_eq!(b.tree.append(root, &[1, 9], &[3, 4], 0), None);
    let (_, more) = b.tree.append(leaf, &[4, 5], &[5, 6], 0).unwrap();
    assert_eq!(more, 2);
    assert_eq!(b.cached(&[1, 2, 3, 4, 5, 6]), 5);
}

#[test]
fn dfs_weight_takes_the_heaviest_subtree_first() {
    let mut b = Bench::new(1, EvictionPolicy::Lru);
    b.store(&[1, 2, 3], 0);
    b.store(&[1, 2, 4], 0);
    b.store(&[7, 8], 0);
    let find = |tokens: &[u32]| b.tree.peek_prefix(&b.ns, tokens).0;
    let nodes = [find(&[7, 8]), find(&[1, 2, 3]), None, find(&[1, 2, 4]), find(&[1, 2, 3])];
    assert_eq!(b.tree.dfs_weight_order(&nodes), [1, 4, 3, 0, 2]);
}
