//! Row-major matrices whose rows may have gaps between them, such as one part of a merged projection.

use crate::error::{KernelError, Result, check_len};

/// A read-only matrix: `rows` rows of `cols` numbers, which begin `stride` apart.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    stride: usize,
}

/// A mutable [`Rows`].
#[derive(Debug)]
pub struct RowsMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    cols: usize,
    stride: usize,
}

/// Returns an error if rows overlap or reach past the data.
fn check(len: usize, rows: usize, cols: usize, stride: usize) -> Result<()> {
    if stride < cols {
        return Err(KernelError::Value {
            name: "stride of rows",
            got: stride,
            want: format!("at least the {cols} columns"),
        });
    }
    let want =
        if rows == 0 { Some(0) } else { (rows - 1).checked_mul(stride).and_then(|n| n.checked_add(cols)) };
    match want {
        Some(want) if len >= want => Ok(()),
        _ => Err(KernelError::Length {
            name: "a matrix",
            got: len,
            want: want.unwrap_or(usize::MAX),
            why: "(rows - 1) * stride + columns",
        }),
    }
}

impl<'a> Rows<'a> {
    /// Rows that follow each other without gaps.
    ///
    /// # Errors
    /// The length is not `rows * cols`.
    pub fn dense(data: &'a [f32], rows: usize, cols: usize) -> Result<Self> {
        check_len("a matrix", data.len(), rows.saturating_mul(cols), "rows times columns")?;
        Ok(Self { data, rows, cols, stride: cols })
    }

    /// Rows that begin `stride` apart; the first begins at the start of `data`.
    ///
    /// # Errors
    /// The rows overlap or reach past `data`.
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Result<Self> {
        check(data.len(), rows, cols, stride)?;
        Ok(Self { data, rows, cols, stride })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers in a row.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Distance from the start of a row to the start of the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Row `i`; empty if out of range.
    pub fn row(&self, i: usize) -> &'a [f32] {
        let start = i.saturating_mul(self.stride);
        self.data.get(start..start.saturating_add(self.cols)).filter(|_| i < self.rows).unwrap_or(&[])
    }

    /// Pointer to the first number.
    pub(crate) fn as_ptr(&self) -> *const f32 {
        self.data.as_ptr()
    }
}

impl<'a> RowsMut<'a> {
    /// Rows that follow each other without gaps.
    ///
    /// # Errors
    /// The length is not `rows * cols`.
    pub fn dense(data: &'a mut [f32], rows: usize, cols: usize) -> Result<Self> {
        check_len("a matrix", data.len(), rows.saturating_mul(cols), "rows times columns")?;
        Ok(Self { data, rows, cols, stride: cols })
    }

    /// Rows that begin `stride` apart; the first begins at the start of `data`.
    ///
    /// # Errors
    /// The rows overlap or reach past `data`.
    pub fn strided(data: &'a mut [f32], rows: usize, cols: usize, stride: usize) -> Result<Self> {
        check(data.len(), rows, cols, stride)?;
        Ok(Self { data, rows, cols, stride })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers in a row.
    pub fn cols(&self) -> usize {
        self.cols
    }
}

impl<'a> RowsMut<'a> {
    /// Blocks of `block` consecutive rows.
    pub(crate) fn into_blocks(self, block: usize) -> Vec<RowsMut<'a>> {
        let (cols, stride, block) = (self.cols, self.stride.max(1), block.max(1));
        if self.rows == 0 || cols == 0 {
            return Vec::new();
        }
        let used = (self.rows - 1) * stride + cols;
        let data = self.data.get_mut(..used).unwrap_or(&mut []);
        data.chunks_mut(block * stride)
            .map(|data| RowsMut { rows: data.len().div_ceil(stride), data, cols, stride })
            .collect()
    }

    /// Calls `f` with every row in order.
    #[inline(always)]
    pub(crate) fn for_each_row(&mut self, mut f: impl FnMut(&mut [f32])) {
        let cols = self.cols;
        for chunk in self.data.chunks_mut(self.stride.max(1)).take(self.rows) {
            if let Some(row) = chunk.get_mut(..cols) {
                f(row);
            }
        }
    }
}
