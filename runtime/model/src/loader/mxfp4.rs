//! Converts MXFP4 (OCP Microscaling Formats, 2023) to Q8_0 with the same values: 8-bit integers of twice the 4-bit
//! value, and half the scale.

use half::f16;
use sglang_checkpoint::GgmlType;

use crate::error::{ModelError, Result};

/// Numbers that share a scale.
pub(super) const BLOCK: usize = 32;
/// Twice the absolute values of the 4-bit numbers.
const TWICE: [i8; 8] = [0, 1, 2, 3, 4, 6, 8, 12];
/// Half precision can hold powers of two with exponents from this one to [`LARGEST_EXPONENT`].
pub(super) const SMALLEST_EXPONENT: i32 = -24;
pub(super) const LARGEST_EXPONENT: i32 = 15;

/// Appends a block in which each byte holds two neighbouring numbers; `None` if its scale is outside the range of half
/// precision.
pub(super) fn pairs_to_q8_0(packed: &[u8], scale: u8, out: &mut Vec<u8>) -> Option<()> {
    q8_0(packed.iter().flat_map(|b| [b & 15, b >> 4]), scale, out)
}

/// Converts blocks of a GGUF file: the scale, then bytes with one number of the first half and one of the second.
pub(super) fn blocks_to_q8_0(data: &[u8]) -> Result<Vec<u8>> {
    let (blocks, _) = data.as_chunks::<17>();
    let mut out = Vec::with_capacity(blocks.len() * GgmlType::Q8_0.block_bytes());
    for [scale, packed @ ..] in blocks {
        let numbers = packed.iter().map(|b| b & 15).chain(packed.iter().map(|b| b >> 4));
        q8_0(numbers, *scale, &mut out).ok_or_else(|| {
            ModelError::Kernel(format!(
                "a block of MXFP4 has the scale {scale}; expected {} to {}",
                SMALLEST_EXPONENT + 128,
                LARGEST_EXPONENT + 128
            ))
        })?;
    }
    Ok(out)
}

fn q8_0(numbers: impl Iterator<Item = u8> + Clone, scale: u8, out: &mut Vec<u8>) -> Option<()> {
    let exponent = i32::from(scale) - 128;
    let scale = match exponent {
        SMALLEST_EXPONENT..=LARGEST_EXPONENT => f16::from_f32(2_f32.powi(exponent)),
        _ if numbers.clone().all(|bits| bits & 7 == 0) => f16::ZERO,
        _ => return None,
    };
    out.extend(scale.to_le_bytes());
    let value = |bits: u8| {
        let size = TWICE.get(usize::from(bits & 7)).copied().unwrap_or_default();
        (if bits & 8 == 0 { size } else { -size }) as u8
    };
    out.extend(numbers.map(value));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_four_bit_numbers_keeps_its_values() {
        let packed: Vec<u8> = (0..16).map(|i| i | (15 - i) << 4).collect();
        let mut block = Vec::new();
        pairs_to_q8_0(&packed, 125, &mut block).unwrap();
        let mut values = [0.0; BLOCK];
        sglang_checkpoint::dequantize(GgmlType::Q8_0, &block, &mut values).unwrap();
        let fp4 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
        for (i, value) in values.iter().enumerate() {
            let bits = if i % 2 == 0 { i / 2 } else { 15 - i / 2 };
            let sign = if bits < 8 { 1.0 } else { -1.0 };
            assert_eq!(*value, sign * fp4[bits % 8] * 0.25, "{i}");
        }
    }

    #[test]
    fn blocks_of_a_file_keep_the_values_that_the_reader_gives_them() {
        let mut data: Vec<u8> = (0..16).map(|i| i | (15 - i) << 4).collect();
        for scale in [104, 127, 143] {
            data.insert(0, scale);
            let (mut direct, mut turned) = ([0.0; BLOCK], [0.0; BLOCK]);
            sglang_checkpoint::dequantize(GgmlType::MXFP4, &data, &mut direct).unwrap();
            let blocks = blocks_to_q8_0(&data).unwrap();
            sglang_checkpoint::dequantize(GgmlType::Q8_0, &blocks, &mut turned).unwrap();
            assert_eq!(direct, turned);
            assert_eq!((direct[1], direct[17]), (0.5 * direct[2], -2.0 * direct[4]));
            data.remove(0);
        }
        data.insert(0, 200);
        let error = blocks_to_q8_0(&data).unwrap_err().to_string();
        assert!(error.contains("has the scale 200; expected 104 to 143"), "{error}");
    }

    #[test]
    fn scales_beyond_half_precision_are_refused_unless_all_numbers_are_zero() {
        assert!(pairs_to_q8_0(&[1; 16], 103, &mut Vec::new()).is_none());
        assert!(pairs_to_q8_0(&[1; 16], 104, &mut Vec::new()).is_some());
        assert!(pairs_to_q8_0(&[1; 16], 143, &mut Vec::new()).is_some());
        assert!(pairs_to_q8_0(&[1; 16], 144, &mut Vec::new()).is_none());
        let mut block = Vec::new();
        pairs_to_q8_0(&[0x80; 16], 0, &mut block).unwrap();
        assert_eq!(block, [0; 34]);
    }
}
