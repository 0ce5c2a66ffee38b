//! One task of attention: some query rows of one KV head, and the tiles of keys that they see.

use std::ops::Range;

use crate::quant::{QuantType, dequantise};
use crate::simd::{Isa, Kernel, Math, Scratch, Simd, dispatch};

use super::TILE_KEYS;
use super::args::{AttentionOptions, KvSlice, PagedKv, Values};
use super::tile::{exponentials, scores, weigh};

/// The operands. A row is a (token, query head) pair; the heads of one token follow each other.
pub(super) struct Block<'a> {
    /// First head of the first token.
    pub q: *const f32,
    pub q_stride: usize,
    /// First head of the first token.
    pub out: *mut f32,
    pub out_stride: usize,
    pub tokens: usize,
    /// Position of the first token.
    pub first_position: usize,
    pub seq_len: usize,
    pub slots: &'a [u32],
    /// Query heads, which share the KV head.
    pub group: usize,
    pub kv_head: usize,
    pub kv: &'a PagedKv<'a>,
    pub options: &'a AttentionOptions<'a>,
    /// Index of the first query head.
    pub first_head: usize,
}

/// Floats that the results of `rows` rows take: `dim` weighted sums, the maximum and the sum of exponentials of each.
pub(super) fn part_len(rows: usize, dim: usize) -> usize {
    (rows * (dim + 2)).next_multiple_of(16)
}

/// The first tile that a query at `position` sees.
pub(super) fn first_tile(window: Option<usize>, position: usize) -> usize {
    window.map_or(0, |w| (position + 1).saturating_sub(w)) / TILE_KEYS
}

/// Computes the block and writes its output.
pub(super) fn attend(isa: Isa, block: Block<'_>) {
    dispatch(isa, Attend(block));
}

/// Computes the given tiles of a block and writes the result of each to `parts`, `stride` floats apart.
///
/// # Safety
/// `parts` has room for the results and nothing else accesses it; `stride` is at least [`part_len`] of the block.
pub(super) unsafe fn attend_split(
    isa: Isa,
    block: Block<'_>,
    tiles: Range<usize>,
    parts: *mut f32,
    stride: usize,
) {
    dispatch(isa, AttendSplit(block, tiles, parts, stride));
}

/// Merges `tiles` results of [`attend_split`] at `parts` and writes the block's output.
///
/// # Safety
/// `parts` holds the results in the order of the tiles, from the block's first tile on.
pub(super) unsafe fn merge_split(isa: Isa, block: Block<'_>, tiles: usize, parts: *const f32, stride: usize) {
    dispatch(isa, MergeSplit(block, tiles, parts, stride));
}

struct Attend<'a>(Block<'a>);
struct AttendSplit<'a>(Block<'a>, Range<usize>, *mut f32, usize);
struct MergeSplit<'a>(Block<'a>, usize, *const f32, usize);

impl Kernel for Attend<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let b = &self.0;
        let (rows, dim) = (b.rows(), b.padded_value_dim::<S>());
        let len = part_len(rows, dim);
        let mut scratch = Scratch::take(2 * len);
        let state = scratch.as_mut_ptr();
        let mut work = Work::new::<S>(b);
        // SAFETY: the scratch has room for two results of `rows` rows; the called functions say what else they need.
        unsafe {
            let part = state.add(len);
            clear(state, rows, dim);
            work.load_queries(b, b.padded_dim::<S>());
            for tile in first_tile(b.options.sliding_window, b.first_position)..b.end().div_ceil(TILE_KEYS) {
                work.tile(s, b, tile, part);
                for row in 0..rows {
                    if !b.seen(tile, row).is_empty() {
                        merge(s, state, part, rows, dim, row);
                    }
                }
            }
            finish(s, b, state, rows, dim);
        }
    }
}

impl Kernel for AttendSplit<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self(b, tiles, parts, stride) = &self;
        let mut work = Work::new::<S>(b);
        // SAFETY: the caller of `attend_split` promises room for the tiles' results.
        unsafe {
            work.load_queries(b, b.padded_dim::<S>());
            for (i, tile) in tiles.clone().enumerate() {
                work.tile(s, b, tile, parts.add(i * stride));
            }
        }
    }
}

impl Kernel for MergeSplit<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self(b, tiles, parts, stride) = &self;
        let (rows, dim) = (b.rows(), b.padded_value_dim::<S>());
        let mut scratch = Scratch::take(part_len(rows, dim));
        let state = scratch.as_mut_ptr();
        // SAFETY: the caller of `merge_split` promises the results; the scratch has room for one.
        unsafe {
            clear(state, rows, dim);
            for tile in 0..*tiles {
                for row in 0..rows {
                    merge(s, state, parts.add(tile * stride), rows, dim, row);
                }
            }
            finish(s, b, state, rows, dim);
        }
    }
}

impl Block<'_> {
    fn rows(&self) -> usize {
        self.tokens * self.group
    }

    /// Columns of a head, rounded up to whole vectors.
    fn padded_dim<S: Simd>(&self) -> usize {
        self.kv.layout.head_dim.next_multiple_of(S::LANES)
    }

    /// Columns of a head's values, rounded up to whole vectors.
    fn padded_value_dim<S: Simd>(&self) -> usize {
        self.kv.value_dim().next_multiple_of(S::LANES)
    }

    /// Position after the last one that any row sees.
    fn end(&self) -> usize {
        if self.options.causal { self.first_position + self.tokens } else { self.seq_len }
    }

    /// The range of keys in a tile that a row sees, counted from the start of the tile.
    #[inline(always)]
    fn seen(&self, tile: usize, row: usize) -> Range<usize> {
        let position = self.first_position + row / self.group;
        let end = if self.options.causal { position + 1 } else { self.seq_len };
        let start = self.options.sliding_window.map_or(0, |w| (position + 1).saturating_sub(w));
        let base = tile * TILE_KEYS;
        start.saturating_sub(base).min(TILE_KEYS)..end.saturating_sub(base).min(TILE_KEYS)
    }
}

/// Scratch memory of a task: queries, scores, and converted keys and values.
struct Work {
    scratch: Scratch,
    scores: usize,
    keys: usize,
    values: usize,
    /// Whether keys and values are read in place, without conversion.
    direct: bool,
}

impl Work {
    #[inline(always)]
    fn new<S: Simd>(b: &Block<'_>) -> Self {
        let (rows, dim) = (b.rows(), b.padded_dim::<S>());
        let floats = match b.kv.v {
            Values::Own(v) => matches!((b.kv.k, v), (KvSlice::F32(_), KvSlice::F32(_))),
            Values::OfKeys(_) => matches!(b.kv.k, KvSlice::F32(_)),
        };
        let direct = dim == b.kv.layout.head_dim && floats;
        let converted = if direct { 0 } else { TILE_KEYS * dim };
        let scores = (rows * dim).next_multiple_of(16);
        let keys = scores + rows * TILE_KEYS;
        let values = keys + converted;
        let own = matches!(b.kv.v, Values::Own(_));
        let scratch = Scratch::take(values + if own { converted } else { 0 });
        Self { scratch, scores, keys, values, direct }
    }

    /// # Safety
    /// `dim` is the block's padded dimension, and its queries are readable.
    #[inline(always)]
    unsafe fn load_queries(&mut self, b: &Block<'_>, dim: usize) {
        let head = b.kv.layout.head_dim;
        for row in 0..b.rows() {
            // SAFETY: the scratch begins with room for all rows.
            unsafe {
                let from = b.q.add(row / b.group * b.q_stride + row % b.group * head);
                let to = self.scratch.as_mut_ptr().add(row * dim);
                std::ptr::copy_nonoverlapping(from, to, head);
                std::ptr::write_bytes(to.add(head), 0, dim - head);
            }
        }
    }

    /// Computes one tile for all rows: sums, maxima and sums of exponentials go to `part`. Rows that see no key of the
    /// tile get no result.
    ///
    /// # Safety
    /// The queries are loaded; the tile begins before the block's end; `part` has room for the rows.
    #[inline(always)]
    unsafe fn tile<S: Simd>(&mut self, s: S, b: &Block<'_>, tile: usize, part: *mut f32) {
        let (rows, dim, value_dim) = (b.rows(), b.padded_dim::<S>(), b.padded_value_dim::<S>());
        let base = tile * TILE_KEYS;
        let slots = b.slots.get(base..b.end().min(base + TILE_KEYS)).unwrap_or(&[]);
        if slots.is_empty() {
            return;
        }
        let mut keys = [std::ptr::null(); TILE_KEYS];
        let mut values = [std::ptr::null(); TILE_KEYS];
        // SAFETY: slots were checked; the scratch has the parts that `new` laid out.
        unsafe {
            let memory = self.scratch.as_mut_ptr();
            for (j, &slot) in slots.iter().enumerate() {
                let at = slot as usize * b.kv.layout.row() + b.kv_head * b.kv.layout.head_dim;
                keys[j] = self.row(s, b.kv.k, at, b.kv.layout.head_dim, memory.add(self.keys + j * dim));
                // Values inside the keys end no later than the keys, padding included.
                values[j] = match b.kv.v {
                    Values::Own(v) => {
                        self.row(s, v, at, b.kv.layout.head_dim, memory.add(self.values + j * dim))
                    }
                    Values::OfKeys(_) => keys[j],
                };
            }
            let weights = memory.add(self.scores);
            scores(s, memory, rows, dim, &keys[..slots.len()], weights);
            let mut row = 0;
            while row < rows {
                let seen = b.seen(tile, row);
                let mut together = 1;
                while together < S::TILE && row + together < rows && b.seen(tile, row + together) == seen {
                    together += 1;
                }
                if !seen.is_empty() {
                    for i in row..row + together {
                        let (max, sum) = exponentials(s, weights.add(i * TILE_KEYS), &seen, b.options);
                        *part.add(rows * value_dim + i) = max;
                        *part.add(rows * (value_dim + 1) + i) = sum;
                    }
                    let from = weights.add(row * TILE_KEYS);
                    weigh(s, from, together, &seen, &values, value_dim, part.add(row * value_dim));
                }
                row += together;
            }
        }
    }

    /// A row of keys or values as whole vectors of float32: in place, or converted into `spare`.
    ///
    /// # Safety
    /// `len` numbers are inside the slice from `at` on; `spare` has room for them in whole vectors.
    #[inline(always)]
    unsafe fn row<S: Simd>(
        &self,
        s: S,
        from: KvSlice<'_>,
        at: usize,
        len: usize,
        spare: *mut f32,
    ) -> *const f32 {
        // SAFETY: the caller's promise.
        unsafe {
            let (quant, bytes) = match from {
                KvSlice::F32(x) if self.direct => return x.as_ptr().add(at),
                KvSlice::F32(x) => (QuantType::F32, x.as_ptr().add(at).cast::<u8>()),
                KvSlice::F16(x) => (QuantType::F16, x.as_ptr().add(at).cast::<u8>()),
                KvSlice::BF16(x) => (QuantType::BF16, x.as_ptr().add(at).cast::<u8>()),
            };
            dequantise(s, quant, bytes, 0..len, spare, 0);
        }
        spare
    }
}

/// Resets `state` to "no tile merged yet".
///
/// # Safety
/// `state` has room for the results of `rows` rows.
#[inline(always)]
unsafe fn clear(state: *mut f32, rows: usize, dim: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        std::ptr::write_bytes(state, 0, rows * (dim + 2));
        for row in 0..rows {
            *state.add(rows * dim + row) = f32::NEG_INFINITY;
        }
    }
}

/// Merges a tile's result for one row into the result of the tiles before it.
///
/// # Safety
/// `state` and `part` hold results of `rows` rows.
#[inline(always)]
unsafe fn merge<S: Simd>(s: S, state: *mut f32, part: *const f32, rows: usize, dim: usize, row: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let (max, sum) = (state.add(rows * dim + row), state.add(rows * (dim + 1) + row));
        let (new_max, new_sum) = (*part.add(rows * dim + row), *part.add(rows * (dim + 1) + row));
        let (old, new) = factors(s, *max, new_max);
        if new_max > *max || new_max.is_nan() {
            *max = new_max;
        }
        *sum = *sum * old + new_sum * new;
        let (old, new) = (s.splat(old), s.splat(new));
        let mut i = row * dim;
        while i < (row + 1) * dim {
            let v = s.fma(s.load(state.add(i)), old, s.mul(s.load(part.add(i)), new));
            s.store(state.add(i), v);
            i += S::LANES;
        }
    }
}

/// Factors that rescale sums relative to the maxima `old` and `new` to the larger maximum.
#[inline(always)]
fn factors<S: Simd>(s: S, old: f32, new: f32) -> (f32, f32) {
    if new == old {
        (1.0, 1.0)
    } else if new < old {
        (1.0, lane(s, s.exp(s.splat(new - old))))
    } else {
        (lane(s, s.exp(s.splat(old - new))), 1.0)
    }
}

/// The first lane.
#[inline(always)]
fn lane<S: Simd>(s: S, v: S::V) -> f32 {
    let mut lanes = [0.0; crate::simd::MAX_LANES];
    // SAFETY: the array holds the widest vector.
    unsafe { s.store(lanes.as_mut_ptr(), v) };
    lanes[0]
}

/// Divides by the sums of exponentials and writes the output.
///
/// # Safety
/// `state` holds the merged results of the block's rows.
#[inline(always)]
unsafe fn finish<S: Simd>(s: S, b: &Block<'_>, state: *mut f32, rows: usize, dim: usize) {
    let head = b.kv.value_dim();
    for row in 0..rows {
        // SAFETY: the caller's promise; only this block writes these output rows.
        unsafe {
            let mut sum = *state.add(rows * (dim + 1) + row);
            let mut factor = 1.0;
            if let Some(&sink) = b.options.sinks.and_then(|x| x.get(b.first_head + row % b.group)) {
                let (old, new) = factors(s, *state.add(rows * dim + row), sink);
                sum = sum * old + new;
                factor = old;
            }
            let factor = s.splat(factor / sum);
            let mut i = row * dim;
            while i < (row + 1) * dim {
                s.store(state.add(i), s.mul(s.load(state.add(i)), factor));
                i += S::LANES;
            }
            let to = b.out.add(row / b.group * b.out_stride + row % b.group * head);
            std::ptr::copy_nonoverlapping(state.add(row * dim), to, head);
        }
    }
}
