//! Adds LoRA deltas to the output of a layer.

use std::ops::Range;

use crate::error::{KernelError, Result, check_len};
use crate::pool::ThreadPool;
use crate::simd::{Isa, Kernel, Simd, dispatch, load_part, store_part};
use crate::split::{for_parts, rows_per_part};

/// `y[at[i], columns] += x[i]`. Rows of `y` have `width` columns, rows of `x` have `columns.len()`; `at` ascends.
///
/// # Errors
/// Lengths do not fit together, `columns` is outside a row, or `at` does not ascend or has an index out of range.
pub fn add_rows(
    pool: &ThreadPool,
    x: &[f32],
    at: &[u32],
    columns: Range<usize>,
    y: &mut [f32],
    width: usize,
) -> Result<()> {
    let cols = columns.len();
    check_len("the input of add_rows", x.len(), at.len().saturating_mul(cols), "rows times columns")?;
    let rows = y.len().checked_div(width).unwrap_or(0);
    check_len("the output of add_rows", y.len(), rows * width, "whole rows")?;
    if columns.start > columns.end || columns.end > width {
        let want = format!("columns below {width}");
        return Err(KernelError::Value { name: "the last column of add_rows", got: columns.end, want });
    }
    let ascends = at.windows(2).all(|pair| pair.first() < pair.last());
    if let Some(&last) = at.last()
        && (!ascends || last as usize >= rows)
    {
        let want = format!("ascending rows below {rows}");
        return Err(KernelError::Value { name: "a row's index", got: last as usize, want });
    }
    if at.is_empty() || cols == 0 {
        return Ok(());
    }
    // A part is a run of rows of `y` with the rows of `x` that are added to it.
    let part = rows_per_part(pool, rows, width);
    let (mut x, mut at) = (x, at);
    let mut parts = Vec::new();
    for (i, y) in y.chunks_mut(part * width).enumerate() {
        let first = i * part;
        let count = at.iter().take_while(|&&row| (row as usize) < first + part).count();
        let (own, rest) = at.split_at(count);
        let (own_x, rest_x) = x.split_at(count * cols);
        (at, x) = (rest, rest_x);
        if count > 0 {
            parts.push((first, own, own_x, y));
        }
    }
    for_parts(pool, parts, &|(first, at, x, y): (usize, &[u32], &[f32], &mut [f32])| {
        for (&row, x) in at.iter().zip(x.chunks_exact(cols)) {
            let start = (row as usize - first) * width + columns.start;
            if let Some(y) = y.get_mut(start..start + cols) {
                dispatch(Isa::best(), Add { x, y });
            }
        }
    })
}

struct Add<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut i = 0;
        while i < self.y.len() {
            let sum = s.add(load_part(s, self.y, i), load_part(s, self.x, i));
            store_part(s, self.y, i, sum);
            i += S::LANES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_land_in_their_columns_on_any_number_of_threads() {
        for (threads, rows, width) in [(1, 5, 7), (3, 300, 200)] {
            let pool = ThreadPool::new(threads).unwrap();
            let at: Vec<u32> = (0..rows as u32).filter(|r| r % 3 != 1).collect();
            let columns = 2..width - 1;
            let x: Vec<f32> = (0..at.len() * columns.len()).map(|i| i as f32).collect();
            let mut y = vec![0.5; rows * width];
            add_rows(&pool, &x, &at, columns.clone(), &mut y, width).unwrap();
            let mut from = x.iter();
            for (r, row) in y.chunks_exact(width).enumerate() {
                for (c, found) in row.iter().enumerate() {
                    let added = r % 3 != 1 && columns.contains(&c);
                    let expected = if added { 0.5 + from.next().unwrap() } else { 0.5 };
                    assert_eq!(*found, expected, "row {r}, column {c}");
                }
            }
        }
    }

    #[test]
    fn invalid_arguments_are_refused() {
        let pool = ThreadPool::new(1).unwrap();
        let mut y = [0.0; 6];
        let mut run = |x: &[f32], at: &[u32], columns| add_rows(&pool, x, at, columns, &mut y, 3);
        assert!(run(&[1.0, 1.0], &[0, 2], 0..1).is_err(), "no such row");
        assert!(run(&[1.0, 1.0], &[1, 0], 0..1).is_err(), "descending");
        assert!(run(&[1.0], &[0], 3..4).is_err(), "no such column");
        assert!(run(&[1.0], &[0, 1], 0..1).is_err(), "too few numbers");
        assert!(run(&[], &[], 0..3).is_ok());
    }
}
