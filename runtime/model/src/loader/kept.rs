//! Estimates the memory of a checkpoint's weights from the headers of its files.

use sglang_checkpoint::GgmlType;
use sglang_checkpoint::safetensors::Dtype;

use super::native::kept_type;
use super::source::WeightSource;
use super::{WeightTarget, mxfp4};

/// Name parts of tensors that no model here uses: image and audio encoders.
const UNREAD: [&str; 5] = ["vision_tower", "vision_model", "visual.", "multi_modal_projector", "audio_tower"];

impl WeightSource {
    /// Approximate bytes of the loaded weights. May include tensors that the model does not use.
    pub fn kept_bytes(&self, target: WeightTarget) -> u64 {
        let is_read = |name: &&str| !UNREAD.iter().any(|part| name.contains(part));
        match self {
            Self::Gguf(file, _) => file
                .names()
                .filter(is_read)
                .filter_map(|name| file.tensor(name).ok())
                .map(|t| of_blocks(t.ggml_type, t.shape, target))
                .sum(),
            Self::Safetensors(index) => index
                .names()
                .filter(is_read)
                .filter_map(|name| Some((name, index.tensor(name).ok()?)))
                .map(|(name, t)| of_numbers(name, t.dtype, t.shape, index.packed_bits(), target))
                .sum(),
            Self::Dummy(_) => 0,
        }
    }
}

fn count(shape: &[usize]) -> u64 {
    shape.iter().map(|n| *n as u64).product()
}

/// Bytes of a number that is kept in a float format.
fn float(target: WeightTarget) -> u64 {
    let (WeightTarget::Native(kind) | WeightTarget::Torch(_, kind)) = target;
    kind.elt_size_in_bytes() as u64
}

fn of_blocks(storage: GgmlType, shape: &[usize], target: WeightTarget) -> u64 {
    let numbers = count(shape);
    match target {
        // Vectors are small, and are float32 on a CPU.
        WeightTarget::Native(_) if shape.len() < 2 => 4 * numbers,
        WeightTarget::Native(kind) => {
            let kept = kept_type(storage, kind);
            numbers / kept.block_len() as u64 * kept.block_bytes() as u64
        }
        WeightTarget::Torch(..) => float(target) * numbers,
    }
}

fn of_numbers(
    name: &str,
    dtype: Dtype,
    shape: &[usize],
    packed_bits: Option<usize>,
    target: WeightTarget,
) -> u64 {
    let numbers = count(shape);
    let is_packed = name.ends_with(".qweight") || name.ends_with(".weight_packed");
    match (dtype, packed_bits) {
        (Dtype::F32, _) => of_blocks(GgmlType::F32, shape, target),
        (Dtype::F16, _) => of_blocks(GgmlType::F16, shape, target),
        (Dtype::BF16, _) => of_blocks(GgmlType::BF16, shape, target),
        (Dtype::I32 | Dtype::U32, Some(bits)) if is_packed => {
            numbers * (32 / bits.max(1)) as u64 * float(target)
        }
        (Dtype::F8_E4M3 | Dtype::I8, _) => numbers * float(target),
        // MXFP4 has two numbers per byte.
        (Dtype::U8, _) if name.ends_with("_blocks") => match target {
            WeightTarget::Native(_) => {
                2 * numbers / mxfp4::BLOCK as u64 * GgmlType::Q8_0.block_bytes() as u64
            }
            WeightTarget::Torch(..) => 2 * numbers * float(target),
        },
        // Scales and zero points are not kept.
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn every_format_is_counted_in_the_form_that_is_kept() {
        let (plain, narrow) = (WeightTarget::Native(Kind::Float), WeightTarget::Native(Kind::BFloat16));
        let torch = WeightTarget::Torch(Device::Cpu, Kind::BFloat16);
        let blocks = |ty| [plain, narrow, torch].map(|target| of_blocks(ty, &[4, 256], target));
        assert_eq!(blocks(GgmlType::F32), [4096, 2048, 2048]);
        assert_eq!(blocks(GgmlType::Q4_K), [576, 576, 2048]);
        assert_eq!(blocks(GgmlType::Q3_K), [840, 840, 2048]);
        assert_eq!(blocks(GgmlType::IQ2_XS), [4096, 2048, 2048]);
        assert_eq!(blocks(GgmlType::MXFP4), [1088, 1088, 2048]);
        assert_eq!(of_blocks(GgmlType::F32, &[256], narrow), 1024);
        let numbers = |name, dtype, bits| of_numbers(name, dtype, &[4, 32], bits, plain);
        assert_eq!(numbers("a.weight", Dtype::BF16, None), 256);
        assert_eq!(numbers("a.qweight", Dtype::I32, Some(4)), 4096);
        assert_eq!(numbers("a.qzeros", Dtype::I32, Some(4)), 0);
        assert_eq!(numbers("a.weight", Dtype::F8_E4M3, None), 512);
        assert_eq!(numbers("a.gate_up_proj_blocks", Dtype::U8, None), 272);
    }
}
