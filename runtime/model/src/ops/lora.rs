//! The matrices of an adapter for one layer (Hu et al., 2021), and the rows of a step that they apply to.

use std::cell::OnceCell;
use std::ops::Range;

use tch::{Device, Tensor};

use crate::error::Result;

use super::index::index_tensor;
use super::weight::Matrix;

/// The two matrices for some output columns of a layer: all of them, or for example the query columns of a merged
/// projection.
#[derive(Debug)]
pub struct LoraPart {
    /// `[rank, in_features]`; `None` if the input is already multiplied with it.
    pub a: Option<Matrix>,
    /// `[columns, rank]`.
    pub b: Matrix,
    /// Output columns that change.
    pub columns: Range<usize>,
}

/// The rows of a step that belong to one adapter, ascending.
#[derive(Debug)]
pub struct LoraRows {
    indices: Vec<u32>,
    tensor: OnceCell<Tensor>,
}

impl LoraRows {
    /// Rows in ascending order.
    pub fn new(indices: Vec<u32>) -> Self {
        Self { indices, tensor: OnceCell::new() }
    }

    /// The rows.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The rows as a range, if they are contiguous.
    pub fn range(&self) -> Option<Range<usize>> {
        let (first, last) = (*self.indices.first()? as usize, *self.indices.last()? as usize);
        (last + 1 - first == self.indices.len()).then_some(first..last + 1)
    }

    /// The rows as an index tensor on the device, created on first use.
    pub(super) fn tensor(&self, device: Device) -> Result<&Tensor> {
        if let Some(tensor) = self.tensor.get() {
            return Ok(tensor);
        }
        let tensor = index_tensor(self.indices.iter().copied(), device)?;
        Ok(self.tensor.get_or_init(|| tensor))
    }
}

/// One adapter's part of a layer in a step.
#[derive(Clone, Copy, Debug)]
pub struct LoraSegment<'a> {
    /// Its rows.
    pub rows: &'a LoraRows,
    /// Factor of its products.
    pub scaling: f64,
    /// Its matrices.
    pub parts: &'a [LoraPart],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_gaps_are_a_range() {
        assert_eq!(LoraRows::new(vec![3, 4, 5]).range(), Some(3..6));
        assert_eq!(LoraRows::new(vec![3, 5]).range(), None);
        assert_eq!(LoraRows::new(Vec::new()).range(), None);
    }
}
