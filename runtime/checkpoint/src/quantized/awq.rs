//! AWQ (Lin et al., 2023) in AutoAWQ's `gemm` packing.

use super::parts::{Parts, unpack};
use crate::error::CheckpointError;

/// Position of column `8 k + i` within its word of eight numbers.
const POSITION: [usize; 8] = [0, 4, 1, 5, 2, 6, 3, 7];

/// `(qweight - qzeros) * scales`, stored `[in, out]`.
pub(super) fn matrix(parts: &Parts<'_>, group_size: usize) -> Result<Vec<f32>, CheckpointError> {
    let (outputs, inputs) = (parts.rows, parts.columns);
    if !outputs.is_multiple_of(8) || !inputs.is_multiple_of(group_size) {
        let expected = format!("outputs a multiple of 8 and inputs a multiple of {group_size}");
        return Err(parts.wrong("qweight", expected, format!("[{outputs}, {inputs}]")));
    }
    let (words, groups) = (outputs / 8, inputs / group_size);
    let weights = parts.words("qweight", &[inputs, words])?;
    let zeros = parts.words("qzeros", &[groups, words])?;
    let scales = parts.floats("scales", &[groups, outputs])?;
    let at = |output: usize| output / 8 * 8 + POSITION.get(output % 8).copied().unwrap_or_default();
    let mut out = vec![0.0; outputs * inputs];
    for (input, row) in weights.chunks(words.max(1)).enumerate() {
        let group = input / group_size;
        let zeros = zeros.chunks(words.max(1)).nth(group).unwrap_or_default();
        let scales = scales.chunks(outputs.max(1)).nth(group).unwrap_or_default();
        for (output, scale) in scales.iter().enumerate() {
            let number = unpack(row, at(output), 4) - unpack(zeros, at(output), 4);
            if let Some(slot) = out.get_mut(output * inputs + input) {
                *slot = number as f32 * scale;
            }
        }
    }
    Ok(out)
}
