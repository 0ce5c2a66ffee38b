//! Builds dense tensors for libtorch from the bytes of a checkpoint.

use sglang_checkpoint::GgmlType;
use tch::{Device, Kind, Tensor};

use super::bytes::{PIECE, TensorBytes, read_all_into};
use super::dequantized::dequantized;
use crate::error::Result;
use crate::ops::raw::{HostView, bytes_mut, prefer_huge_pages};

/// A matrix `[rows, columns]` from the concatenated rows of `parts`. Numbers that need no conversion are read directly
/// to their final place; others are converted in pieces.
///
/// # Errors
/// Memory runs out, the device fails, or a quantised block is invalid.
pub(crate) fn dense(
    storage: GgmlType,
    parts: &[&TensorBytes<'_>],
    rows: usize,
    columns: usize,
    device: Device,
    kind: Kind,
) -> Result<Tensor> {
    let stored_kind = match storage {
        GgmlType::F32 => Some(Kind::Float),
        GgmlType::F16 => Some(Kind::Half),
        GgmlType::BF16 => Some(Kind::BFloat16),
        _ => None,
    };
    let mut all = Tensor::f_empty([rows as i64, columns as i64], (kind, device))?;
    if device == Device::Cpu {
        prefer_huge_pages(&mut all)?;
    }
    let stored: usize = parts.iter().map(|p| p.len()).sum();
    if device == Device::Cpu
        && stored_kind == Some(kind)
        && stored == rows * columns * kind.elt_size_in_bytes()
    {
        read_all_into(parts, bytes_mut(&mut all)?)?;
        return Ok(all);
    }
    let row_bytes = stored.checked_div(rows).unwrap_or(0).max(1);
    let piece = (PIECE / row_bytes).max(1) * row_bytes;
    let mut start = 0;
    for part in parts {
        for from in (0..part.len()).step_by(piece) {
            let range = from..(from + piece).min(part.len());
            let data = part.piece(range.clone());
            let shape = [(range.len() / row_bytes) as i64, columns as i64];
            let mut target = all.f_narrow(0, start, shape[0])?;
            match stored_kind {
                Some(stored) => target.f_copy_(HostView::new(&data, shape, stored)?.tensor())?,
                None => {
                    let count = range.len() / row_bytes * columns;
                    let values = dequantized(storage, &data, count)?;
                    target.f_copy_(&Tensor::f_from_slice(&values)?.f_view(shape)?)?;
                }
            }
            start += shape[0];
            drop(data);
            part.release_piece(range);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(values: impl Iterator<Item = f32>) -> Vec<u8> {
        values.flat_map(f32::to_le_bytes).collect()
    }

    #[test]
    fn numbers_are_converted_whatever_their_place_in_memory() {
        // More than one piece, and more than one huge page.
        let (rows, columns) = (3 * PIECE / 4096 + 5, 1024);
        let value = |i: usize| (i % 251) as f32;
        let bytes = floats((0..rows * columns).map(value));
        let cut = 7 * columns * 4;
        let (first, second) = (bytes[..cut].to_vec(), bytes[cut..].to_vec());
        let parts = [TensorBytes::Memory(first), TensorBytes::Memory(second)];
        let parts: Vec<&TensorBytes<'_>> = parts.iter().collect();
        for kind in [Kind::Float, Kind::BFloat16] {
            let t = dense(GgmlType::F32, &parts, rows, columns, Device::Cpu, kind).unwrap();
            assert_eq!((t.kind(), t.size()), (kind, vec![rows as i64, columns as i64]));
            let found: Vec<f32> = Vec::try_from(t.to_kind(Kind::Float).view([-1])).unwrap();
            assert!(found.iter().enumerate().all(|(i, x)| *x == value(i)), "{kind:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_whole_matrix_are_an_error() {
        let part = TensorBytes::Memory(floats([1.0, 2.0, 3.0].into_iter()));
        assert!(dense(GgmlType::F32, &[&part], 2, 2, Device::Cpu, Kind::Float).is_err());
    }
}
