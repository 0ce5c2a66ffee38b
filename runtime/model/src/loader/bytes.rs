//! Moves the bytes of tensors from a file to the model: they are read once, directly to their final place.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use memmap2::{Advice, MmapMut};
use sglang_checkpoint::FileBytes;
use sglang_kernels::WeightBytes;

use crate::error::{ModelError, Result};

/// Minimum size for huge pages, which need 512 times fewer page faults and make address lookups faster.
const HUGE: usize = 2 << 20;
/// Bytes of a file that are resident at once during conversion.
pub(crate) const PIECE: usize = 4 << 20;

/// The bytes of a tensor and where they are.
#[derive(Debug, Clone)]
pub(crate) enum TensorBytes<'a> {
    /// In a file, in the needed order.
    File(FileBytes<'a>),
    /// In a file, as equally long rows in the given order.
    Rows(FileBytes<'a>, Vec<usize>),
    /// In memory.
    Memory(Vec<u8>),
}

impl<'a> TensorBytes<'a> {
    /// Number of bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::File(part) | Self::Rows(part, _) => part.len(),
            Self::Memory(bytes) => bytes.len(),
        }
    }

    /// All bytes at once, for conversion.
    pub(crate) fn to_slice(&self) -> Cow<'_, [u8]> {
        match self {
            Self::File(part) => Cow::Borrowed(part.mapped()),
            Self::Memory(bytes) => Cow::Borrowed(bytes),
            Self::Rows(part, order) => {
                let mut rows = vec![0; part.len()];
                copy_rows(part.mapped(), order, row_bytes(part.len(), order.len()), &mut rows);
                Cow::Owned(rows)
            }
        }
    }

    /// A range of the bytes, for conversion in pieces. If rows are reordered, the range must cover whole rows.
    pub(crate) fn piece(&self, range: Range<usize>) -> Cow<'_, [u8]> {
        match self {
            Self::File(part) => Cow::Borrowed(part.mapped().get(range).unwrap_or_default()),
            Self::Memory(bytes) => Cow::Borrowed(bytes.get(range).unwrap_or_default()),
            Self::Rows(part, order) => {
                let row_bytes = row_bytes(part.len(), order.len());
                let order = order.get(range.start / row_bytes..range.end.div_ceil(row_bytes));
                let mut rows = vec![0; range.len()];
                copy_rows(part.mapped(), order.unwrap_or_default(), row_bytes, &mut rows);
                Cow::Owned(rows)
            }
        }
    }

    /// Releases the pages of a range that were read.
    pub(crate) fn release_piece(&self, range: Range<usize>) {
        if let Self::File(part) = self
            && let Some(piece) = part.slice(range)
        {
            piece.release();
        }
    }

    /// Copies the bytes into memory of the same length.
    pub(crate) fn read_into(&self, target: &mut [u8]) -> Result<()> {
        match self {
            Self::File(part) => part.read_into(target)?,
            Self::Rows(part, order) => {
                copy_rows(part.mapped(), order, row_bytes(part.len(), order.len()), target);
                part.release();
            }
            Self::Memory(bytes) if bytes.len() == target.len() => target.copy_from_slice(bytes),
            Self::Memory(bytes) => {
                return Err(ModelError::Kernel(format!("{} bytes for {}", bytes.len(), target.len())));
            }
        }
        Ok(())
    }

    /// Releases the pages that were read.
    pub(crate) fn release(&self) {
        if let Self::File(part) | Self::Rows(part, _) = self {
            part.release();
        }
    }
}

/// Bytes of a row, if `len` bytes consist of `rows` equally long rows.
fn row_bytes(len: usize, rows: usize) -> usize {
    len.checked_div(rows).unwrap_or(0).max(1)
}

/// Copies rows `order[0], order[1], …` of a matrix.
fn copy_rows(data: &[u8], order: &[usize], row_bytes: usize, target: &mut [u8]) {
    for (target, &row) in target.chunks_exact_mut(row_bytes).zip(order) {
        if let Some(row) = data.get(row * row_bytes..(row + 1) * row_bytes) {
            target.copy_from_slice(row);
        }
    }
}

/// Copies tensors one after the other into `target`, which must have their total length.
pub(super) fn read_all_into(parts: &[&TensorBytes<'_>], target: &mut [u8]) -> Result<()> {
    let mut rest = target;
    for part in parts {
        let (target, after) = rest.split_at_mut_checked(part.len()).unwrap_or_default();
        part.read_into(target)?;
        rest = after;
    }
    Ok(())
}

/// Memory for weights.
#[derive(Debug)]
pub(crate) enum WeightBuffer {
    Pages(MmapMut),
    Small(Vec<u8>),
}

impl WeightBuffer {
    /// A zeroed buffer.
    pub(crate) fn new(len: usize) -> Result<Self> {
        if len < HUGE {
            return Ok(Self::Small(vec![0; len]));
        }
        let no_memory = |e: std::io::Error| ModelError::Kernel(format!("{len} bytes for weights: {e}"));
        let pages = MmapMut::map_anon(len).map_err(no_memory)?;
        // This is only a hint; a kernel without huge pages rejects it.
        if let Err(error) = pages.advise(Advice::HugePage) {
            tracing::debug!("no huge pages for weights: {error}");
        }
        Ok(Self::Pages(pages))
    }

    /// A buffer with the concatenated bytes of tensors.
    pub(crate) fn filled(parts: &[&TensorBytes<'_>]) -> Result<Self> {
        let mut buffer = Self::new(parts.iter().map(|p| p.len()).sum())?;
        read_all_into(parts, buffer.bytes_mut())?;
        Ok(buffer)
    }

    /// The bytes, for writing.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Pages(pages) => pages,
            Self::Small(bytes) => bytes,
        }
    }

    /// Makes the finished buffer shareable.
    pub(crate) fn share(self) -> WeightBytes {
        match self {
            Self::Pages(pages) => Arc::new(pages),
            Self::Small(bytes) => Arc::new(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_reordered_whole() {
        let mut target = [0; 6];
        copy_rows(&[1, 2, 3, 4, 5, 6], &[2, 0, 1], 2, &mut target);
        assert_eq!(target, [5, 6, 1, 2, 3, 4]);
    }

    #[test]
    fn tensors_lie_behind_each_other_whatever_their_size() {
        for (first, second) in [(3_usize, 5_usize), (HUGE, 7), (1, 2 * HUGE)] {
            let (a, b) = (vec![1; first], vec![2; second]);
            let parts = [TensorBytes::Memory(a.clone()), TensorBytes::Memory(b.clone())];
            let bytes = WeightBuffer::filled(&parts.iter().collect::<Vec<_>>()).unwrap().share();
            assert!(bytes.as_ref().as_ref() == [a, b].concat());
        }
    }
}
