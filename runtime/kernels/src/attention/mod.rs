//! Attention over a paged KV pool (Kwon et al., 2023) with online softmax (Milakov and Gimelshein, 2018; Dao et al.,
//! 2022).
//!
//! Keys are divided into tiles of [`TILE_KEYS`] positions, counted from the start of the request. For every tile a
//! query computes the maximum, the sum of exponentials and the weighted sum of values; tiles are merged in order. None
//! of this depends on other queries, so a prompt gives the same bits whole, in chunks and beside other requests.
#![allow(unsafe_code)]

mod args;
mod block;
mod store;
mod tile;

use crate::error::Result;
use crate::pool::ThreadPool;
use crate::rows::Rows;
use crate::simd::{Isa, Scratch};

pub use args::{AttentionOptions, AttentionRequest, KvLayout, KvSlice, PagedKv, Values};
pub use store::{KvSliceMut, store_kv, store_latent};

use args::check;
use block::Block;

/// Positions in a tile.
const TILE_KEYS: usize = 64;
/// Most query rows, i.e. (token, head) pairs, in a task.
const BLOCK_ROWS: usize = 48;
/// Tiles per task when a long context is split because there would be too few tasks.
const SPLIT_TILES: usize = 4;

/// Computes the attention of every query over the keys of its request. `q` is `[tokens, heads * head_dim]`, `out` is
/// dense `[tokens, heads * value_dim]`. `heads` is a multiple of the pool's KV heads; query head `h` reads KV head `h /
/// (heads / kv_heads)`. The pool must already hold the keys and values of the queries themselves. Rows of `out` that
/// belong to no request stay unchanged.
///
/// # Errors
/// Sizes do not fit, requests overlap or reach past `q`, or a slot is outside the pool.
pub fn paged_attention(
    pool: &ThreadPool,
    q: Rows<'_>,
    heads: usize,
    kv: &PagedKv<'_>,
    requests: &[AttentionRequest<'_>],
    options: &AttentionOptions<'_>,
    out: &mut [f32],
) -> Result<()> {
    attention_with(Isa::best(), pool, q, heads, kv, requests, options, out)
}

/// Memory of which each task writes a different part.
struct Shared(*mut f32);

// SAFETY: no two tasks write the same element.
unsafe impl Sync for Shared {}

impl Shared {
    fn get(&self) -> *mut f32 {
        self.0
    }
}

/// A task: some tokens of a request for query heads that share a KV head, and which of their tiles if these are split.
struct Task {
    request: usize,
    heads: std::ops::Range<usize>,
    tokens: std::ops::Range<usize>,
    /// Tiles to compute without merging, and the index of their first result.
    split: Option<(std::ops::Range<usize>, usize)>,
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn attention_with(
    isa: Isa,
    pool: &ThreadPool,
    q: Rows<'_>,
    heads: usize,
    kv: &PagedKv<'_>,
    requests: &[AttentionRequest<'_>],
    options: &AttentionOptions<'_>,
    out: &mut [f32],
) -> Result<()> {
    check(q, heads, kv, requests, options, out.len())?;
    let group = heads / kv.layout.kv_heads;
    let value_dim = kv.value_dim();
    // Query heads that share a KV head form one task, unless there are very many.
    let heads_per_task = group.div_ceil(group.div_ceil(BLOCK_ROWS));
    let tokens_per_task = (BLOCK_ROWS / heads_per_task).max(1);
    let starts = (0..heads).step_by(group).flat_map(|first| {
        (first..first + group)
            .step_by(heads_per_task)
            .map(move |start| start..(start + heads_per_task).min(first + group))
    });
    let head_ranges: Vec<std::ops::Range<usize>> = starts.collect();

    // With too few tasks for the threads, split the long contexts of single queries.
    let whole: usize = requests.iter().map(|r| r.q_len.div_ceil(tokens_per_task) * head_ranges.len()).sum();
    let divide = pool.threads() > 1 && whole < 4 * pool.threads();
    let part_len = block::part_len(heads_per_task, value_dim.next_multiple_of(isa.lanes()));
    let mut tasks = Vec::new();
    let mut merges = Vec::new();
    let mut parts = 0;
    for (index, r) in requests.iter().enumerate() {
        let tiles = r.seq_len.div_ceil(TILE_KEYS);
        for heads in &head_ranges {
            if divide && r.q_len == 1 && tiles > SPLIT_TILES {
                let first = block::first_tile(options.sliding_window, r.seq_len - 1);
                for start in (first..tiles).step_by(SPLIT_TILES) {
                    let range = start..tiles.min(start + SPLIT_TILES);
                    tasks.push(Task {
                        request: index,
                        heads: heads.clone(),
                        tokens: 0..1,
                        split: Some((range, parts + start)),
                    });
                }
                merges.push(Task {
                    request: index,
                    heads: heads.clone(),
                    tokens: 0..1,
                    split: Some((first..tiles, parts + first)),
                });
                parts += tiles;
                continue;
            }
            for start in (0..r.q_len).step_by(tokens_per_task) {
                let tokens = start..r.q_len.min(start + tokens_per_task);
                tasks.push(Task { request: index, heads: heads.clone(), tokens, split: None });
            }
        }
    }
    // Longest tasks first, so that the threads finish at about the same time.
    tasks.sort_by_key(|t| {
        let r = &requests[t.request];
        std::cmp::Reverse(match &t.split {
            Some((tiles, _)) => tiles.len() * TILE_KEYS,
            None => (r.seq_len - r.q_len + t.tokens.end) * t.tokens.len(),
        })
    });
    let mut partial = Scratch::take(parts * part_len);
    let (partial, shared) = (Shared(partial.as_mut_ptr()), Shared(out.as_mut_ptr()));
    let block = |task: &Task| {
        let r = &requests[task.request];
        let first_head = task.heads.start;
        let token = r.q_start + task.tokens.start;
        let dim = kv.layout.head_dim;
        Block {
            // SAFETY: the request's tokens are rows of `q`, which has `heads` heads.
            q: unsafe { q.as_ptr().add(token * q.stride() + first_head * dim) },
            q_stride: q.stride(),
            // SAFETY: likewise for `out`, whose rows are dense.
            out: unsafe { shared.get().add((token * heads + first_head) * value_dim) },
            out_stride: heads * value_dim,
            tokens: task.tokens.len(),
            first_position: r.seq_len - r.q_len + task.tokens.start,
            seq_len: r.seq_len,
            slots: r.slots,
            group: task.heads.len(),
            kv_head: first_head / group,
            kv,
            options,
            first_head,
        }
    };
    pool.run(tasks.len(), &|i| {
        let Some(task) = tasks.get(i) else { return };
        match &task.split {
            None => block::attend(isa, block(task)),
            // SAFETY: the results from this index on belong to the tiles of this task.
            Some((tiles, part)) => unsafe {
                let parts = partial.get().add(part * part_len);
                block::attend_split(isa, block(task), tiles.clone(), parts, part_len);
            },
        }
    })?;
    if merges.is_empty() {
        return Ok(());
    }
    pool.run(merges.len(), &|i| {
        let Some(task) = merges.get(i) else { return };
        if let Some((tiles, part)) = &task.split {
            // SAFETY: the tasks above have written all results.
            unsafe {
                let parts = partial.get().add(part * part_len);
                block::merge_split(isa, block(task), tiles.len(), parts, part_len);
            }
        }
    })
}
