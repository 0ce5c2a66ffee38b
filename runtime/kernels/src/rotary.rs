//! Rotary position embedding (Su et al., 2021).

use crate::error::{KernelError, Result, check_len};
use crate::pool::ThreadPool;
use crate::rows::RowsMut;
use crate::simd::{Isa, Kernel, Simd, dispatch, load_part, store_part};
use crate::split::{for_parts, rows_per_part};

/// Cosines and sines, `[positions, half]` each; `half` is half the number of rotated columns of a head.
#[derive(Clone, Copy, Debug)]
pub struct RotaryTable<'a> {
    cos: &'a [f32],
    sin: &'a [f32],
    half: usize,
}

impl<'a> RotaryTable<'a> {
    /// A table whose rows have `half` columns.
    ///
    /// # Errors
    /// `half` is zero, or `cos` and `sin` do not consist of the same number of whole rows.
    pub fn new(cos: &'a [f32], sin: &'a [f32], half: usize) -> Result<Self> {
        let rows = cos.len().checked_div(half).unwrap_or(0);
        check_len("the cosines", cos.len(), rows * half, "whole rows of half the rotated columns")?;
        check_len("the sines", sin.len(), cos.len(), "as many as the cosines")?;
        Ok(Self { cos, sin, half })
    }

    fn row(&self, position: usize) -> Option<(&'a [f32], &'a [f32])> {
        let start = position.checked_mul(self.half)?;
        let range = start..start.checked_add(self.half)?;
        Some((self.cos.get(range.clone())?, self.sin.get(range)?))
    }
}

/// Which columns of a row are rotated, and how they are paired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotaryColumns {
    /// Columns of a head. A row consists of whole heads.
    pub head_dim: usize,
    /// The first column of a head that is rotated.
    pub first: usize,
    /// Whether pairs are interleaved (GPT-J: columns `2 i` and `2 i + 1`) rather than split-half (NeoX: columns `i` and
    /// `i + half`).
    pub interleaved: bool,
}

/// Split-half (NeoX) [`rotary`] that starts at the first column of every head. Query and key heads that lie side by
/// side can be passed as one matrix.
///
/// # Errors
/// Same as [`rotary`].
pub fn rotary_neox(
    pool: &ThreadPool,
    x: RowsMut<'_>,
    head_dim: usize,
    table: &RotaryTable<'_>,
    positions: Option<&[u32]>,
) -> Result<()> {
    rotary(pool, x, RotaryColumns { head_dim, first: 0, interleaved: false }, table, positions)
}

/// Rotates `2 half` columns of every head of every row in place and leaves the others unchanged. Row `t` uses row
/// `positions[t]` of the table, or row `t` without `positions`.
///
/// # Errors
/// The head dimension does not divide a row or is smaller than the rotated columns; a position is outside the table.
pub fn rotary(
    pool: &ThreadPool,
    x: RowsMut<'_>,
    columns: RotaryColumns,
    table: &RotaryTable<'_>,
    positions: Option<&[u32]>,
) -> Result<()> {
    let head_dim = columns.head_dim;
    let end = columns.first.saturating_add(2 * table.half);
    if head_dim < end || head_dim == 0 || !x.cols().is_multiple_of(head_dim) {
        return Err(KernelError::Value {
            name: "head dimension",
            got: head_dim,
            want: format!("a divisor of {} columns, at least {end}", x.cols()),
        });
    }
    let known = table.cos.len().checked_div(table.half).unwrap_or(0);
    if let Some(positions) = positions {
        check_len("positions", positions.len(), x.rows(), "one per row")?;
        if let Some(&bad) = positions.iter().find(|&&p| p as usize >= known) {
            return Err(KernelError::Value {
                name: "position",
                got: bad as usize,
                want: format!("below the {known} rows of the rotary table"),
            });
        }
    } else if x.rows() > known {
        return Err(KernelError::Value {
            name: "number of rows",
            got: x.rows(),
            want: format!("at most the {known} rows of the rotary table"),
        });
    }
    let block = rows_per_part(pool, x.rows(), x.cols());
    let parts: Vec<_> = x.into_blocks(block).into_iter().enumerate().collect();
    for_parts(pool, parts, &|(b, mut rows): (usize, RowsMut<'_>)| {
        let mut t = b * block;
        rows.for_each_row(|row| {
            let position = match positions {
                Some(p) => p.get(t).map_or(usize::MAX, |&p| p as usize),
                None => t,
            };
            if let Some((cos, sin)) = table.row(position) {
                dispatch(Isa::best(), Rotate { row, columns, cos, sin });
            }
            t += 1;
        });
    })
}

struct Rotate<'a> {
    row: &'a mut [f32],
    columns: RotaryColumns,
    cos: &'a [f32],
    sin: &'a [f32],
}

impl Kernel for Rotate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let half = self.cos.len();
        for head in self.row.chunks_exact_mut(self.columns.head_dim) {
            let head = head.get_mut(self.columns.first..).unwrap_or_default();
            if self.columns.interleaved {
                let angles = self.cos.iter().zip(self.sin);
                for (pair, (cos, sin)) in head.as_chunks_mut::<2>().0.iter_mut().zip(angles) {
                    let [a, b] = *pair;
                    *pair = [a * cos - b * sin, b * cos + a * sin];
                }
                continue;
            }
            let (first, rest) = head.split_at_mut(half);
            let Some(second) = rest.get_mut(..half) else { continue };
            let mut i = 0;
            while i < half {
                let (a, b) = (load_part(s, first, i), load_part(s, second, i));
                let (cos, sin) = (load_part(s, self.cos, i), load_part(s, self.sin, i));
                store_part(s, first, i, s.sub(s.mul(a, cos), s.mul(b, sin)));
                store_part(s, second, i, s.add(s.mul(b, cos), s.mul(a, sin)));
                i += S::LANES;
            }
        }
    }
}
