//! Sorting the waiting queue.

use std::cmp::Reverse;
use std::collections::VecDeque;

use ahash::AHashSet;

use super::deferral::{PrefixKey, prefix_key, prefix_key_len};
use super::{PolicyKind, WAITING_QUEUE_PREFIX_MATCH_MAX};
use crate::radix_cache::{Namespace, NodeId, RadixCache};
use crate::rng::SplitMix64;

/// Properties of a waiting request that policies use.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Prompt and output so far.
    pub tokens: &'a [u32],
    /// Cache namespace.
    pub namespace: &'a Namespace,
    /// `max_new_tokens`.
    pub max_new_tokens: usize,
    /// Priority as a rank; larger goes first.
    pub priority: i64,
    /// Order of arrival.
    pub arrival: u64,
    /// Whether it has waited so long that it goes first.
    pub overdue: bool,
}

/// Orders the waiting queue.
#[derive(Debug)]
pub struct SchedulePolicy {
    kind: PolicyKind,
    by_priority: bool,
    page_size: usize,
    random: SplitMix64,
}

impl SchedulePolicy {
    /// Creates the policy. If prefix caching is off, cache-aware policies become fcfs.
    pub fn new(kind: PolicyKind, tree: &RadixCache, by_priority: bool, page_size: usize, seed: u64) -> Self {
        let kind = if tree.is_disabled() && kind.is_cache_aware() { PolicyKind::Fcfs } else { kind };
        Self { kind, by_priority, page_size, random: SplitMix64::new(seed) }
    }

    /// The policy that applies to a queue of this length: lpm falls back to fcfs when prefix matching would cost too
    /// much.
    pub fn active(&self, waiting: usize) -> PolicyKind {
        match self.kind {
            PolicyKind::Lpm if waiting > WAITING_QUEUE_PREFIX_MATCH_MAX => PolicyKind::Fcfs,
            kind => kind,
        }
    }

    /// Sorts `waiting`; `get` describes its members. Returns the members that should not be admitted in this step
    /// because another request computes their prefix: one before them in this order, or one whose [`PrefixKey`] is in
    /// `prefilling`.
    pub fn sort<'a>(
        &mut self,
        waiting: &mut VecDeque<usize>,
        tree: &RadixCache,
        prefilling: &AHashSet<PrefixKey>,
        get: impl Fn(usize) -> Candidate<'a>,
    ) -> AHashSet<usize> {
        let mut deferred = AHashSet::new();
        let by_priority = self.by_priority;
        if self.kind == PolicyKind::Fcfs && !by_priority {
            return deferred; // The queue is kept in order of arrival.
        }
        let queue = waiting.make_contiguous();
        match self.active(queue.len()) {
            PolicyKind::Fcfs if self.kind == PolicyKind::Fcfs => {
                queue.sort_by_key(|id| (Reverse(get(*id).priority), get(*id).arrival));
                return deferred;
            }
            PolicyKind::Fcfs => queue.sort_by_key(|id| get(*id).arrival),
            PolicyKind::Lpm => {
                deferred = sort_by_longest_prefix(queue, tree, prefilling, self.page_size, &get)
            }
            PolicyKind::DfsWeight => {
                queue.sort_by_key(|id| get(*id).arrival);
                sort_by_dfs_weight(queue, tree, &get);
            }
            PolicyKind::Lof => queue.sort_by_cached_key(|id| {
                let request = get(*id);
                let priority = if by_priority { request.priority } else { 0 };
                (Reverse(priority), Reverse(request.max_new_tokens), request.arrival)
            }),
            PolicyKind::Random => self.shuffle(queue),
        }
        let queue = waiting.make_contiguous();
        if !by_priority && queue.iter().any(|id| get(*id).overdue) {
            queue.sort_by_key(|id| {
                let request = get(*id);
                if request.overdue { (0, request.arrival) } else { (1, 0) }
            });
            deferred.retain(|id| !get(*id).overdue);
        }
        deferred
    }

    /// Fisher-Yates shuffle.
    fn shuffle(&mut self, queue: &mut [usize]) {
        for i in (1..queue.len()).rev() {
            queue.swap(i, self.random.below(i as u64 + 1) as usize);
        }
    }
}

fn sort_by_longest_prefix<'a>(
    queue: &mut [usize],
    tree: &RadixCache,
    prefilling: &AHashSet<PrefixKey>,
    page_size: usize,
    get: &impl Fn(usize) -> Candidate<'a>,
) -> AHashSet<usize> {
    queue.sort_by_key(|id| get(*id).arrival);
    let mut leaders = prefilling.clone();
    let mut deferred = AHashSet::new();
    let mut ranked: Vec<(bool, Reverse<usize>, usize)> = Vec::with_capacity(queue.len());
    for id in queue.iter() {
        let request = get(*id);
        let (_, cached) = tree.peek_prefix(request.namespace, request.tokens);
        let mut defer = false;
        // If the shared tokens are already cached, the request gains nothing by waiting.
        if cached < prefix_key_len(page_size)
            && let Some(key) = prefix_key(request.namespace, request.tokens, page_size)
        {
            defer = !leaders.insert(key);
        }
        if defer {
            deferred.insert(*id);
        }
        ranked.push((defer, Reverse(cached), *id));
    }
    // The sort is stable: equal requests stay in order of arrival.
    ranked.sort_by_key(|(defer, cached, _)| (*defer, *cached));
    for (place, (_, _, id)) in queue.iter_mut().zip(ranked) {
        *place = id;
    }
    deferred
}

fn sort_by_dfs_weight<'a>(queue: &mut [usize], tree: &RadixCache, get: &impl Fn(usize) -> Candidate<'a>) {
    let nodes: Vec<Option<NodeId>> = queue
        .iter()
        .map(|id| {
            let request = get(*id);
            tree.peek_prefix(request.namespace, request.tokens).0
        })
        .collect();
    let sorted: Vec<usize> =
        tree.dfs_weight_order(&nodes).into_iter().filter_map(|at| queue.get(at).copied()).collect();
    queue.copy_from_slice(&sorted);
}
