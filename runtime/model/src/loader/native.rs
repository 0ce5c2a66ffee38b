//! Builds matrices for the project's CPU kernels: in the storage format of the checkpoint if the kernels support it,
//! otherwise converted.

use std::sync::Mutex;

use half::{bf16, f16};
use sglang_checkpoint::GgmlType;
use sglang_checkpoint::gguf::dequant::DequantError;
use sglang_kernels::{QuantType, WeightMatrix};
use tch::Kind;

use super::bytes::{PIECE, TensorBytes, WeightBuffer};
use crate::error::{ModelError, Result};

/// Conversion of a matrix when it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conversion {
    /// No conversion.
    Keep,
    /// Repack blocks as blocks of another type with the same values.
    Repack(GgmlType),
    /// Dequantise to float32, or to the 16-bit format that float32 is rounded to.
    Dequantize(GgmlType),
}

fn conversion(storage: GgmlType, narrow: Kind) -> Conversion {
    let floats = match narrow {
        Kind::BFloat16 => GgmlType::BF16,
        Kind::Half => GgmlType::F16,
        _ => GgmlType::F32,
    };
    match (storage, sglang_checkpoint::equal_type(storage)) {
        (GgmlType::F32, _) if floats == GgmlType::F32 => Conversion::Keep,
        (GgmlType::F32, _) => Conversion::Dequantize(floats),
        (_, Some(equal)) => Conversion::Repack(equal),
        (_, None) if quant_type(storage).is_some() => Conversion::Keep,
        (_, None) => Conversion::Dequantize(floats),
    }
}

/// The storage type of a matrix after loading.
pub(crate) fn kept_type(storage: GgmlType, narrow: Kind) -> GgmlType {
    match conversion(storage, narrow) {
        _ if storage == GgmlType::MXFP4 => GgmlType::Q8_0,
        Conversion::Keep => storage,
        Conversion::Repack(kept) | Conversion::Dequantize(kept) => kept,
    }
}

/// A matrix from the rows of several tensors. Dequantised numbers are rounded to `narrow` if that is a 16-bit format.
pub(crate) fn native_matrix(
    storage: GgmlType,
    parts: &[&TensorBytes<'_>],
    rows: usize,
    columns: usize,
    narrow: Kind,
) -> Result<WeightMatrix> {
    let (kept, buffer) = match conversion(storage, narrow) {
        Conversion::Keep => (storage, WeightBuffer::filled(parts)?),
        Conversion::Repack(kept) => {
            let repack = |from: &[u8], to: &mut [u8]| sglang_checkpoint::repack(storage, from, to);
            (kept, converted(parts, [storage, kept], columns, repack)?)
        }
        Conversion::Dequantize(kept) => {
            let dequantize = |from: &[u8], to: &mut [u8]| -> std::result::Result<(), DequantError> {
                let mut values = vec![0.0; to.len() / kept.block_bytes()];
                sglang_checkpoint::dequantize(storage, from, &mut values)?;
                write_floats(&values, kept, to);
                Ok(())
            };
            (kept, converted(parts, [storage, kept], columns, dequantize)?)
        }
    };
    let quant = quant_type(kept)
        .ok_or_else(|| ModelError::Kernel(format!("the CPU kernels have no products with {kept}")))?;
    let bytes = buffer.share();
    let range = 0..bytes.as_ref().as_ref().len();
    Ok(WeightMatrix::from_bytes(quant, rows, columns, bytes, range)?)
}

fn write_floats(values: &[f32], kind: GgmlType, to: &mut [u8]) {
    let pairs = |to: &mut [u8], round: &dyn Fn(f32) -> [u8; 2]| {
        for (to, x) in to.as_chunks_mut::<2>().0.iter_mut().zip(values) {
            *to = round(*x);
        }
    };
    match kind {
        GgmlType::BF16 => pairs(to, &|x| bf16::from_f32(x).to_le_bytes()),
        GgmlType::F16 => pairs(to, &|x| f16::from_f32(x).to_le_bytes()),
        _ => {
            for (to, x) in to.as_chunks_mut::<4>().0.iter_mut().zip(values) {
                *to = x.to_le_bytes();
            }
        }
    }
}

/// Converts the rows of several tensors, each of `columns` numbers, from one type to another. Threads share the work;
/// only the pieces being converted are resident.
fn converted(
    parts: &[&TensorBytes<'_>],
    [from, to]: [GgmlType; 2],
    columns: usize,
    convert: impl Fn(&[u8], &mut [u8]) -> std::result::Result<(), DequantError> + Sync,
) -> Result<WeightBuffer> {
    let whole = |ty: GgmlType| {
        let bytes = ty.bytes_for(columns).filter(|bytes| *bytes > 0);
        bytes.ok_or_else(|| ModelError::Kernel(format!("{columns} columns are no whole blocks of {ty}")))
    };
    let (from_row, to_row) = (whole(from)?, whole(to)?);
    let mut buffer = WeightBuffer::new(parts.iter().map(|p| p.len() / from_row * to_row).sum())?;
    let mut rest = buffer.bytes_mut();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let rows = (PIECE / from_row).max(1);
    for part in parts {
        let (target, after) = rest.split_at_mut_checked(part.len() / from_row * to_row).unwrap_or_default();
        let few = target.len().div_ceil(rows * to_row);
        let pieces = Mutex::new(target.chunks_mut(rows * to_row).zip((0..).step_by(rows * from_row)));
        let work = || -> std::result::Result<(), DequantError> {
            loop {
                let next = pieces.lock().map_or(None, |mut pieces| pieces.next());
                let Some((target, start)) = next else { return Ok(()) };
                let range = start..start + target.len() / to_row * from_row;
                convert(&part.piece(range.clone()), target)?;
                part.release_piece(range);
            }
        };
        let results = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads.min(few)).map(|_| scope.spawn(work)).collect();
            let mut results = vec![work().map_err(|e| e.to_string())];
            results.extend(others.into_iter().map(|other| match other.join() {
                Ok(result) => result.map_err(|e| e.to_string()),
                Err(_) => Err("a thread that converted weights panicked".to_owned()),
            }));
            results
        });
        results.into_iter().collect::<std::result::Result<(), String>>().map_err(ModelError::Kernel)?;
        rest = after;
    }
    Ok(buffer)
}

/// The kernels' name for a storage type; `None` if they do not support it.
fn quant_type(storage: GgmlType) -> Option<QuantType> {
    Some(match storage {
        GgmlType::F32 => QuantType::F32,
        GgmlType::F16 => QuantType::F16,
        GgmlType::BF16 => QuantType::BF16,
        GgmlType::Q4_0 => QuantType::Q4_0,
        GgmlType::Q4_1 => QuantType::Q4_1,
        GgmlType::Q5_0 => QuantType::Q5_0,
        GgmlType::Q5_1 => QuantType::Q5_1,
        GgmlType::Q8_0 => QuantType::Q8_0,
        GgmlType::Q4_K => QuantType::Q4_K,
        GgmlType::Q5_K => QuantType::Q5_K,
        GgmlType::Q6_K => QuantType::Q6_K,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sglang_kernels::ThreadPool;

    fn values(matrix: &WeightMatrix) -> Vec<f32> {
        let mut out = vec![0.0; matrix.rows() * matrix.cols()];
        let ids: Vec<u32> = (0..matrix.rows() as u32).collect();
        sglang_kernels::embedding(&ThreadPool::new(1).unwrap(), matrix, &ids, &mut out).unwrap();
        out
    }

    #[test]
    fn files_and_kernels_agree_on_the_size_of_blocks() {
        let mut seen = Vec::new();
        for storage in GgmlType::ALL {
            let Some(quant) = quant_type(storage) else { continue };
            assert_eq!(storage.block_len(), quant.block_len(), "{storage}");
            assert_eq!(storage.block_bytes(), quant.block_bytes(), "{storage}");
            for cols in [0, 1, 31, 32, 256, 1024, usize::MAX - 255] {
                assert_eq!(storage.bytes_for(cols), quant.row_bytes(cols), "{storage}, {cols} columns");
            }
            seen.push(quant);
        }
        assert_eq!(seen, QuantType::ALL, "every type of the kernels has one of the files'");
    }

    #[test]
    fn every_type_is_kept_repacked_or_dequantised_with_its_numbers() {
        for storage in GgmlType::ALL.into_iter().filter(|ty| *ty != GgmlType::MXFP4) {
            // Several pieces, the last one shorter, in two tensors.
            let (columns, row) = (1024, storage.bytes_for(1024).unwrap());
            let rows = PIECE / row + 3;
            let data: Vec<u8> = (0..rows * row).map(|i| ((i * 31 + i / 251) % 61) as u8).collect();
            let (first, second) =
                (TensorBytes::Memory(data[..row].to_vec()), TensorBytes::Memory(data[row..].to_vec()));
            let mut expected = vec![0.0; rows * columns];
            sglang_checkpoint::dequantize(storage, &data, &mut expected).unwrap();
            for narrow in [Kind::Float, Kind::BFloat16, Kind::Half] {
                let matrix = native_matrix(storage, &[&first, &second], rows, columns, narrow).unwrap();
                let kept = kept_type(storage, narrow);
                assert_eq!(Some(matrix.quant()), quant_type(kept), "{storage}");
                assert_eq!(matrix.bytes().len(), kept.bytes_for(rows * columns).unwrap());
                let round = |x: f32| match kept {
                    GgmlType::BF16 => bf16::from_f32(x).to_f32(),
                    GgmlType::F16 => f16::from_f32(x).to_f32(),
                    _ => x,
                };
                let found = values(&matrix);
                let differ =
                    found.iter().zip(&expected).position(|(x, e)| x.to_bits() != round(*e).to_bits());
                assert_eq!(differ, None, "{storage} as {narrow:?}");
            }
        }
    }

    #[test]
    fn reordered_rows_are_converted_whole_whatever_their_length() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        // The row length does not divide a piece, whose size is a power of two.
        let (rows, columns) = (PIECE / 4 / 1536 + 9, 1536);
        let data: Vec<u8> = (0..rows * columns).flat_map(|i| ((i % 8191) as f32).to_le_bytes()).collect();
        let header = format!(
            r#"{{"a":{{"dtype":"F32","shape":[{rows},{columns}],"data_offsets":[0,{}]}}}}"#,
            data.len()
        );
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend(&data);
        std::fs::write(&path, file).unwrap();
        let index = sglang_checkpoint::SafetensorsIndex::single(&path).unwrap();
        let order: Vec<usize> = (0..rows).rev().collect();
        let part = TensorBytes::Rows(index.part("a").unwrap(), order);
        let matrix = native_matrix(GgmlType::F32, &[&part], rows, columns, Kind::BFloat16).unwrap();
        let found = values(&matrix);
        for (row, found) in found.chunks(columns).enumerate() {
            let first = (rows - 1 - row) * columns;
            let expected = (first..first + columns).map(|i| bf16::from_f32((i % 8191) as f32).to_f32());
            assert!(expected.eq(found.iter().copied()), "row {row}");
        }
    }
}
