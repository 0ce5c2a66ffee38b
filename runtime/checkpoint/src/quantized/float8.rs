//! Matrices of 8-bit floats with scales.

use ::safetensors::Dtype;

use super::parts::Parts;
use crate::error::CheckpointError;

/// The value of an E4M3 byte (Micikevicius et al., 2022; the variant without infinities).
fn e4m3(byte: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(byte >> 3 & 15), f32::from(byte & 7));
    let magnitude = match (exponent, byte & 7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa * (-9_f32).exp2(),
        _ => (1.0 + mantissa / 8.0) * ((exponent - 7) as f32).exp2(),
    };
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
}

/// `weight` times `weight_scale_inv` (per block) or `weight_scale` (per row or matrix).
pub(super) fn matrix(parts: &Parts<'_>, block: Option<[usize; 2]>) -> Result<Vec<f32>, CheckpointError> {
    let (rows, columns) = (parts.rows, parts.columns);
    let values: [f32; 256] = std::array::from_fn(|byte| e4m3(byte as u8));
    let bytes = parts.bytes("weight", Dtype::F8_E4M3, &[rows, columns])?;
    let value = |byte: &u8| values.get(usize::from(*byte)).copied().unwrap_or_default();
    let mut out = Vec::with_capacity(rows * columns);
    if let (Some([block_rows, block_columns]), true) = (block, parts.has("weight_scale_inv")) {
        let across = columns.div_ceil(block_columns);
        let scales = parts.floats("weight_scale_inv", &[rows.div_ceil(block_rows), across])?;
        for (r, row) in bytes.chunks(columns).enumerate() {
            let scales = scales.chunks(across).nth(r / block_rows).unwrap_or_default();
            for (piece, scale) in row.chunks(block_columns).zip(scales) {
                out.extend(piece.iter().map(|byte| value(byte) * scale));
            }
        }
    } else {
        let scales = parts.row_scales("weight_scale")?;
        for (row, scale) in bytes.chunks(columns).zip(scales) {
            out.extend(row.iter().map(|byte| value(byte) * scale));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_values_of_the_format() {
        let cases = [
            (0x00, 0.0),
            (0x38, 1.0),
            (0xb8, -1.0),
            (0x7e, 448.0),
            (0x01, 0.001_953_125),
            (0x07, 0.013_671_875),
            (0x08, 0.015_625),
            (0x40, 2.0),
            (0x45, 3.25),
        ];
        for (byte, expected) in cases {
            assert_eq!(e4m3(byte), expected, "{byte:#x}");
        }
        assert!(e4m3(0x7f).is_nan() && e4m3(0xff).is_nan());
    }
}
