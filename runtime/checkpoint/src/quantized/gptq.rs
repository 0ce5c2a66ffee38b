//! GPTQ (Frantar et al., 2022) in AutoGPTQ's packing.

use super::parts::{Parts, unpack};
use crate::error::CheckpointError;

/// `(qweight - zero) * scale` with zero and scale per input group. Stored as `[in, out]`, packed along the input
/// features.
pub(super) fn matrix(
    parts: &Parts<'_>,
    bits: usize,
    group_size: Option<usize>,
    zero_offset: i32,
) -> Result<Vec<f32>, CheckpointError> {
    let (outputs, inputs) = (parts.rows, parts.columns);
    let per_word = 32 / bits;
    if !outputs.is_multiple_of(per_word) || !inputs.is_multiple_of(per_word) {
        let expected = format!("outputs and inputs multiples of {per_word}");
        return Err(parts.wrong("qweight", expected, format!("[{outputs}, {inputs}]")));
    }
    let group_size = group_size.unwrap_or(inputs.max(1));
    let groups = inputs.div_ceil(group_size);
    let words = outputs / per_word;
    let weights = parts.words("qweight", &[inputs / per_word, outputs])?;
    let zeros = parts.words("qzeros", &[groups, words])?;
    let scales = parts.floats("scales", &[groups, outputs])?;
    let group_of: Vec<usize> = match parts.has("g_idx") {
        true => parts.words("g_idx", &[inputs])?.into_iter().map(|group| group as usize).collect(),
        false => (0..inputs).map(|input| input / group_size).collect(),
    };
    if let Some(group) = group_of.iter().find(|group| **group >= groups) {
        return Err(parts.wrong("g_idx", format!("groups below {groups}"), group.to_string()));
    }
    let mut out = vec![0.0; outputs * inputs];
    for (input, group) in group_of.into_iter().enumerate() {
        let row = weights.chunks(outputs.max(1)).nth(input / per_word).unwrap_or_default();
        let zeros = zeros.chunks(words.max(1)).nth(group).unwrap_or_default();
        let scales = scales.chunks(outputs.max(1)).nth(group).unwrap_or_default();
        for (output, (word, scale)) in row.iter().zip(scales).enumerate() {
            let number = unpack(std::slice::from_ref(word), input % per_word, bits);
            let zero = unpack(zeros, output, bits) + zero_offset;
            if let Some(slot) = out.get_mut(output * inputs + input) {
                *slot = (number - zero) as f32 * scale;
            }
        }
    }
    Ok(out)
}
