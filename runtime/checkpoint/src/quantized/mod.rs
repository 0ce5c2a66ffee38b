//! Dequantises matrices of quantised safetensors checkpoints to float32.
//!
//! References: `layers/quantization/` of SGLang, and the packing of AutoAWQ, AutoGPTQ and compressed-tensors.

mod awq;
mod compressed;
mod float8;
mod gptq;
mod parts;

use ::safetensors::Dtype;

use crate::error::CheckpointError;
use crate::quantization::Quantization;
use crate::safetensors::SafetensorsIndex;

use parts::Parts;

/// The matrix `module.weight` of this shape, row-major; `None` if this matrix is not quantised.
///
/// # Errors
/// [`CheckpointError::Malformed`] with the name of the tensor that does not fit the shape or the scheme.
pub fn matrix(
    index: &SafetensorsIndex,
    module: &str,
    rows: usize,
    columns: usize,
) -> Result<Option<Vec<f32>>, CheckpointError> {
    let Some(scheme) = index.quantization() else { return Ok(None) };
    let parts = Parts::new(index, module, rows, columns);
    match scheme {
        Quantization::Awq { group_size } if parts.has("qweight") => {
            awq::matrix(&parts, *group_size).map(Some)
        }
        Quantization::Gptq { bits, group_size, zero_offset } if parts.has("qweight") => {
            gptq::matrix(&parts, *bits, *group_size, *zero_offset).map(Some)
        }
        Quantization::CompressedTensors { bits } if parts.has("weight_packed") => {
            compressed::packed(&parts, *bits).map(Some)
        }
        Quantization::Fp8 { .. } | Quantization::CompressedTensors { .. } => match parts.dtype("weight") {
            Some(Dtype::F8_E4M3) => float8::matrix(&parts, scheme.block()).map(Some),
            Some(Dtype::I8) => compressed::int8(&parts).map(Some),
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}
