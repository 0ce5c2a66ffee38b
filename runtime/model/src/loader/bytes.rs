//! The bytes of a tensor on their way from a file to the model: read once, straight to where they stay.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use memmap2::{Advice, MmapMut};
use sglang_checkpoint::FileBytes;
use sglang_kernels::WeightBytes;

use crate::error::{ModelError, Result};

/// Size from which on memory comes in huge pages: they are faulted in 512 times faster and looked up faster.
const HUGE: usize = 2 << 20;
/// So much of a file is looked at before it is given up again.
pub(crate) const PIECE: usize = 4 << 20;

/// Where the bytes of a tensor are.
#[derive(Debug, Clone)]
pub(crate) enum TensorBytes<'a> {
    /// In a file, as they are wanted.
    File(FileBytes<'a>),
    /// In a file, their equally long rows in another order.
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

    /// All bytes at once, for what is made into something else.
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

    /// A range of the bytes, for what is made into something else bit by bit; whole rows where rows are reordered.
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

    /// Gives up what looking at a range has made resident.
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

    /// Gives up what looking at the bytes has made resident.
    pub(crate) fn release(&self) {
        if let Self::File(part) | Self::Rows(part, _) = self {
            part.release();
        }
    }
}

/// Bytes of one of several equally long rows.
fn row_bytes(len: usize, rows: usize) -> usize {
    len.checked_div(rows).unwrap_or(0).max(1)
}

/// Rows `order[0], order[1], …` of a matrix of equally long rows.
fn copy_rows(data: &[u8], order: &[usize], row_bytes: usize, target: &mut [u8]) {
    for (target, &row) in target.chunks_exact_mut(row_bytes).zip(order) {
        if let Some(row) = data.get(row * row_bytes..(row + 1) * row_bytes) {
            target.copy_from_slice(row);
        }
    }
}

/// Copies tensors into memory of their length together, one behind the other.
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
    /// Zeroes.
    pub(crate) fn new(len: usize) -> Result<Self> {
        if len < HUGE {
            return Ok(Self::Small(vec![0; len]));
        }
        let no_memory = |e: std::io::Error| ModelError::Kernel(format!("{len} bytes for weights: {e}"));
        let pages = MmapMut::map_anon(len).map_err(no_memory)?;
        // Only a hint; a kernel without huge pages refuses it.
        if let Err(error) = pages.advise(Advice::HugePage) {
            tracing::debug!("no huge pages for weights: {error}");
        }
        Ok(Self::Pages(pages))
    }

    /// Puts tensors one behind the other.
    pub(crate) fn filled(parts: &[&TensorBytes<'_>]) -> Result<Self> {
        let mut buffer = Self::new(parts.iter().map(|p| p.len()).sum())?;
        read_all_into(parts, buffer.bytes_mut())?;
        Ok(buffer)
    }

    /// The bytes, to write.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Pages(pages) => pages,
            Self::Small(bytes) => bytes,
        }
    }

    /// Done with writing.
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
