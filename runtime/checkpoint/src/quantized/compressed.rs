//! The integer formats of compressed-tensors.

use ::safetensors::Dtype;

use super::parts::{Parts, unpack};
use crate::error::CheckpointError;

/// `(weight - weight_zero_point) * weight_scale`, with zero point and scale per row.
pub(super) fn int8(parts: &Parts<'_>) -> Result<Vec<f32>, CheckpointError> {
    let (rows, columns) = (parts.rows, parts.columns);
    let bytes = parts.bytes("weight", Dtype::I8, &[rows, columns])?;
    let scales = parts.row_scales("weight_scale")?;
    let zeros: Vec<i32> = match parts.has("weight_zero_point") {
        false => vec![0; rows],
        true => {
            let shape = parts.shape("weight_zero_point")?;
            let zeros = parts.bytes("weight_zero_point", Dtype::I8, shape)?;
            let zero = |byte: &u8| i32::from(byte.cast_signed());
            match zeros {
                [one] => vec![zero(one); rows],
                many if many.len() == rows => many.iter().map(zero).collect(),
                _ => {
                    let expected = format!("[1] or [{rows}, 1]");
                    return Err(parts.wrong("weight_zero_point", expected, format!("{shape:?}")));
                }
            }
        }
    };
    let mut out = Vec::with_capacity(rows * columns);
    for ((row, scale), zero) in bytes.chunks(columns.max(1)).zip(scales).zip(zeros) {
        out.extend(row.iter().map(|byte| (i32::from(byte.cast_signed()) - zero) as f32 * scale));
    }
    Ok(out)
}

/// Unpacks `weight_packed`, whose integers are packed along the input features and stored with half their range added.
pub(super) fn packed(parts: &Parts<'_>, bits: usize) -> Result<Vec<f32>, CheckpointError> {
    let (rows, columns) = (parts.rows, parts.columns);
    let per_word = 32 / bits;
    let words = columns.div_ceil(per_word);
    let weights = parts.words("weight_packed", &[rows, words])?;
    let scale_shape = parts.shape("weight_scale")?;
    let groups = match scale_shape {
        [r, groups] if *r == rows && *groups > 0 && columns.is_multiple_of(*groups) => *groups,
        other => {
            let expected = format!("[{rows}, groups] with groups a divisor of {columns}");
            return Err(parts.wrong("weight_scale", expected, format!("{other:?}")));
        }
    };
    let scales = parts.floats("weight_scale", scale_shape)?;
    let half = 1 << (bits - 1);
    // Zero points are packed along the output features.
    let zeros = match parts.has("weight_zero_point") {
        true => Some(parts.words("weight_zero_point", &[rows.div_ceil(per_word), groups])?),
        false => None,
    };
    let group_of: Vec<usize> = match parts.has("weight_g_idx") {
        true => parts.words("weight_g_idx", &[columns])?.into_iter().map(|group| group as usize).collect(),
        false => (0..columns).map(|column| column * groups / columns).collect(),
    };
    if let Some(group) = group_of.iter().find(|group| **group >= groups) {
        return Err(parts.wrong("weight_g_idx", format!("groups below {groups}"), group.to_string()));
    }
    let mut out = Vec::with_capacity(rows * columns);
    for (r, (row, scales)) in weights.chunks(words.max(1)).zip(scales.chunks(groups)).enumerate() {
        let zero = |group: usize| {
            let word = zeros.as_ref().and_then(|zeros| zeros.get(r / per_word * groups + group));
            word.map_or(half, |word| unpack(std::slice::from_ref(word), r % per_word, bits))
        };
        let zeros: Vec<i32> = (0..groups).map(zero).collect();
        out.extend(group_of.iter().enumerate().map(|(column, &group)| {
            let zero = zeros.get(group).copied().unwrap_or_default();
            let scale = scales.get(group).copied().unwrap_or_default();
            (unpack(row, column, bits) - zero) as f32 * scale
        }));
    }
    Ok(out)
}
