//! The steps of attention for one tile of keys and values: scores, exponentials, weighted sums.

use std::ops::Range;

use crate::linear::tile::dot_tile;
use crate::simd::{MAX_LANES, Math, Simd};

use super::TILE_KEYS;
use super::args::AttentionOptions;

/// Scores of `rows` rows at `q`, `dim` apart, with the keys; row `i` goes to `scores[i * TILE_KEYS..]`. Keys are
/// processed in fours; the last key fills up the last four, so a few scores after the last key are written too.
///
/// # Safety
/// `dim` is a multiple of a vector; rows of `q` and keys hold `dim` floats; `scores` has `rows` rows; `keys` is not
/// empty.
#[inline(always)]
pub(super) unsafe fn scores<S: Simd>(
    s: S,
    q: *const f32,
    rows: usize,
    dim: usize,
    keys: &[*const f32],
    scores: *mut f32,
) {
    let last = keys.len() - 1;
    for j in (0..keys.len()).step_by(4) {
        let k = [keys[j], keys[last.min(j + 1)], keys[last.min(j + 2)], keys[last.min(j + 3)]];
        let mut i = 0;
        while i < rows {
            let take = S::TILE.min(rows - i);
            // SAFETY: the rows are inside `q` and `scores`, whose rows have space for four scores from `j` on.
            unsafe {
                let (q, to) = (q.add(i * dim), scores.add(i * TILE_KEYS + j));
                match take {
                    1 => four_keys::<S, 1>(s, q, dim, k, to),
                    2 => four_keys::<S, 2>(s, q, dim, k, to),
                    3 => four_keys::<S, 3>(s, q, dim, k, to),
                    4 if S::TILE > 3 => four_keys::<S, 4>(s, q, dim, k, to),
                    5 if S::TILE > 3 => four_keys::<S, 5>(s, q, dim, k, to),
                    _ => four_keys::<S, 6>(s, q, dim, k, to),
                }
            }
            i += take;
        }
    }
}

/// # Safety
/// As for [`scores`], for `M` rows.
#[inline(always)]
unsafe fn four_keys<S: Simd, const M: usize>(
    s: S,
    q: *const f32,
    dim: usize,
    k: [*const f32; 4],
    to: *mut f32,
) {
    let mut rows = [q; M];
    for (i, p) in rows.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *p = unsafe { q.add(i * dim) };
    }
    // SAFETY: the caller's promise.
    let acc = unsafe { dot_tile(s, k, rows, dim) };
    let [a, b, c, d] = acc;
    for i in 0..M {
        let sums = s.sum4([a[i], b[i], c[i], d[i]]);
        // SAFETY: the caller's promise.
        unsafe { to.add(i * TILE_KEYS).cast::<[f32; 4]>().write_unaligned(sums) };
    }
}

/// Turns the scores of `seen` into exponentials relative to their maximum and the others into zeros. Returns the
/// maximum and the sum.
///
/// # Safety
/// `row` points to a whole row of a tile.
#[inline(always)]
pub(super) unsafe fn exponentials<S: Simd>(
    s: S,
    row: *mut f32,
    seen: &Range<usize>,
    options: &AttentionOptions<'_>,
) -> (f32, f32) {
    let scale = s.splat(options.scale);
    let (from, to) = (s.splat(seen.start as f32), s.splat(seen.end as f32));
    let low = s.splat(f32::NEG_INFINITY);
    let mut max = low;
    let mut j = 0;
    while j < TILE_KEYS {
        // SAFETY: a row is a multiple of a vector.
        let mut v = s.mul(unsafe { s.load(row.add(j)) }, scale);
        if let Some(cap) = options.logit_cap {
            v = s.mul(s.tanh(s.div(v, s.splat(cap))), s.splat(cap));
        }
        if j < seen.start || j + S::LANES > seen.end {
            let index = s.to_f32(s.add_i(s.iota(), s.splat_i(j as i32)));
            v = s.select_lt(index, from, low, s.select_lt(index, to, v, low));
        }
        // SAFETY: as above.
        unsafe { s.store(row.add(j), v) };
        max = s.max(max, v);
        j += S::LANES;
    }
    let mut lanes = [f32::NEG_INFINITY; MAX_LANES];
    // SAFETY: the array holds the widest vector.
    unsafe { s.store(lanes.as_mut_ptr(), max) };
    let mut top = f32::NEG_INFINITY;
    for x in lanes {
        top = if top > x { top } else { x };
    }
    // If every score is -inf, the weights are zero, not NaN.
    let base = s.splat(if top == f32::NEG_INFINITY { 0.0 } else { top });
    let mut sum = s.splat(0.0);
    let mut j = 0;
    while j < TILE_KEYS {
        // SAFETY: a row is a multiple of a vector.
        unsafe {
            let e = s.exp(s.sub(s.load(row.add(j)), base));
            s.store(row.add(j), e);
            sum = s.add(sum, e);
        }
        j += S::LANES;
    }
    (top, s.sum(sum))
}

/// Sums of the values of keys `seen`, weighted by `rows` rows of exponentials at `weights`; row `i` goes to
/// `out[i * dim..]`.
///
/// # Safety
/// `dim` is a multiple of a vector; the values of `seen` hold `dim` floats; `weights` and `out` have `rows` rows, at
/// most `S::TILE`.
#[inline(always)]
pub(super) unsafe fn weigh<S: Simd>(
    s: S,
    weights: *const f32,
    rows: usize,
    seen: &Range<usize>,
    values: &[*const f32],
    dim: usize,
    out: *mut f32,
) {
    let Some(values) = values.get(seen.clone()) else { return };
    // SAFETY: these are the exponentials of the first key seen.
    let weights = unsafe { weights.add(seen.start) };
    let mut col = 0;
    while col < dim {
        // SAFETY: the columns are inside values and output rows.
        unsafe {
            let out = out.add(col);
            let (wide, step) = if dim - col >= 4 * S::LANES { (true, 4) } else { (false, 1) };
            match (rows, wide) {
                (1, true) => columns::<S, 1, 4>(s, weights, values, col, dim, out),
                (2, true) => columns::<S, 2, 4>(s, weights, values, col, dim, out),
                (3, true) => columns::<S, 3, 4>(s, weights, values, col, dim, out),
                (4, true) if S::TILE > 3 => columns::<S, 4, 4>(s, weights, values, col, dim, out),
                (5, true) if S::TILE > 3 => columns::<S, 5, 4>(s, weights, values, col, dim, out),
                (_, true) => columns::<S, 6, 4>(s, weights, values, col, dim, out),
                (1, false) => columns::<S, 1, 1>(s, weights, values, col, dim, out),
                (2, false) => columns::<S, 2, 1>(s, weights, values, col, dim, out),
                (3, false) => columns::<S, 3, 1>(s, weights, values, col, dim, out),
                (4, false) if S::TILE > 3 => columns::<S, 4, 1>(s, weights, values, col, dim, out),
                (5, false) if S::TILE > 3 => columns::<S, 5, 1>(s, weights, values, col, dim, out),
                _ => columns::<S, 6, 1>(s, weights, values, col, dim, out),
            }
            col += step * S::LANES;
        }
    }
}

/// # Safety
/// As for [`weigh`], for `M` rows and `N` vectors of columns from `col` on; `out` points to that column.
#[inline(always)]
unsafe fn columns<S: Simd, const M: usize, const N: usize>(
    s: S,
    weights: *const f32,
    values: &[*const f32],
    col: usize,
    dim: usize,
    out: *mut f32,
) {
    let mut acc = [[s.splat(0.0); N]; M];
    for (j, value) in values.iter().enumerate() {
        // Loads one vector of the value at a time, so that all sums stay in registers.
        let mut weight = [s.splat(0.0); M];
        for (i, weight) in weight.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *weight = s.splat(unsafe { *weights.add(i * TILE_KEYS + j) });
        }
        for n in 0..N {
            // SAFETY: the caller's promise.
            let v = unsafe { s.load(value.add(col + n * S::LANES)) };
            for (acc, weight) in acc.iter_mut().zip(weight) {
                acc[n] = s.fma(weight, v, acc[n]);
            }
        }
    }
    for (i, acc) in acc.iter().enumerate() {
        for (n, a) in acc.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { s.store(out.add(i * dim + n * S::LANES), *a) };
        }
    }
}
