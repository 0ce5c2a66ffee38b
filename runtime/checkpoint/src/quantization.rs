//! Quantisation schemes of safetensors checkpoints: fp8, AWQ, GPTQ and compressed-tensors.
//!
//! References: `layers/quantization/` of SGLang, and the packing of AutoAWQ, AutoGPTQ and compressed-tensors.

use std::path::Path;

use crate::error::CheckpointError;
use crate::json::{self, JsonFile};

/// How the matrices of a checkpoint are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quantization {
    /// 8-bit floats with one scale per matrix, per row, or per block of `[rows, columns]`.
    Fp8 {
        /// `weight_block_size`.
        block: Option<[usize; 2]>,
    },
    /// 4-bit integers, eight per 32-bit word along the output features.
    Awq {
        /// Number of input features that share a scale.
        group_size: usize,
    },
    /// `bits`-wide integers, packed into 32-bit words along the input features.
    Gptq {
        /// 2, 4 or 8.
        bits: usize,
        /// Number of input features that share a scale, unless `g_idx` assigns groups; `None` means all.
        group_size: Option<usize>,
        /// Added to each stored zero point: 1 in the first version of the format.
        zero_offset: i32,
    },
    /// The formats `float-quantized`, `int-quantized` and `pack-quantized`.
    CompressedTensors {
        /// Bits per packed integer.
        bits: usize,
    },
}

/// Names of the schemes, as in `quant_method` and `--quantization`.
const METHODS: [&str; 4] = ["fp8", "awq", "gptq", "compressed-tensors"];

/// Supported formats of compressed-tensors.
const COMPRESSED_FORMATS: [&str; 5] =
    ["float-quantized", "int-quantized", "naive-quantized", "pack-quantized", "dense"];

impl Quantization {
    /// Reads the scheme from the `config.json` at this path; `None` if there is no such file or it names none.
    ///
    /// # Errors
    /// The scheme or one of its settings is not supported.
    pub fn from_config(path: &Path) -> Result<Option<Self>, CheckpointError> {
        let Some(value) = json::read_optional(path)? else { return Ok(None) };
        let root = JsonFile::new(path, &value);
        let keys = ["quantization_config", "compression_config"];
        let nested = root.nested_if_object("text_config");
        let found = keys.iter().find_map(|key| {
            root.nested_if_object(key).or_else(|| nested.as_ref().and_then(|t| t.nested_if_object(key)))
        });
        let Some(config) = found else { return Ok(None) };
        let method = config.str("quant_method")?.unwrap_or("compressed-tensors");
        match method {
            "fp8" => Self::fp8(&config).map(Some),
            "awq" => Self::awq(&config).map(Some),
            "gptq" => Self::gptq(&config).map(Some),
            "compressed-tensors" => Self::compressed(&config).map(Some),
            // The models that use mxfp4 decode it themselves.
            "mxfp4" => Ok(None),
            other => Err(config.wrong("quant_method", &METHODS.join(", "), &other.into())),
        }
    }

    /// The name of the scheme.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Fp8 { .. } => METHODS[0],
            Self::Awq { .. } => METHODS[1],
            Self::Gptq { .. } => METHODS[2],
            Self::CompressedTensors { .. } => METHODS[3],
        }
    }

    fn fp8(c: &JsonFile<'_>) -> Result<Self, CheckpointError> {
        let Some(sizes) = c.floats("weight_block_size")? else { return Ok(Self::Fp8 { block: None }) };
        match sizes.as_slice() {
            [rows, columns] if *rows >= 1.0 && *columns >= 1.0 => {
                Ok(Self::Fp8 { block: Some([*rows as usize, *columns as usize]) })
            }
            _ => Err(c.wrong("weight_block_size", "two positive integers", &sizes.into())),
        }
    }

    fn awq(c: &JsonFile<'_>) -> Result<Self, CheckpointError> {
        let bits = c.usize("bits")?.or(c.usize("w_bit")?).unwrap_or(4);
        if bits != 4 {
            return Err(c.wrong("bits", "4", &bits.into()));
        }
        let version = c.str("version")?.unwrap_or("gemm");
        if !version.eq_ignore_ascii_case("gemm") {
            return Err(c.wrong("version", "gemm", &version.into()));
        }
        let group_size = c.usize("group_size")?.or(c.usize("q_group_size")?).unwrap_or(128);
        if group_size == 0 {
            return Err(c.wrong("group_size", "a positive integer", &group_size.into()));
        }
        Ok(Self::Awq { group_size })
    }

    fn gptq(c: &JsonFile<'_>) -> Result<Self, CheckpointError> {
        let bits = c.usize("bits")?.unwrap_or(4);
        if ![2, 4, 8].contains(&bits) {
            return Err(c.wrong("bits", "2, 4 or 8", &bits.into()));
        }
        let group_size = match c.i64("group_size")?.unwrap_or(128) {
            -1 => None,
            n if n > 0 => usize::try_from(n).ok(),
            n => return Err(c.wrong("group_size", "a positive integer or -1", &n.into())),
        };
        let zero_offset = match c.str("checkpoint_format")?.unwrap_or("gptq") {
            "gptq" => 1,
            "gptq_v2" => 0,
            other => return Err(c.wrong("checkpoint_format", "gptq or gptq_v2", &other.into())),
        };
        Ok(Self::Gptq { bits, group_size, zero_offset })
    }

    /// Reads the compressed-tensors settings. All groups must have the same number of bits.
    fn compressed(c: &JsonFile<'_>) -> Result<Self, CheckpointError> {
        let format = c.str("format")?.unwrap_or("dense");
        if !COMPRESSED_FORMATS.contains(&format) {
            return Err(c.wrong("format", &COMPRESSED_FORMATS.join(", "), &format.into()));
        }
        let mut bits = None;
        for group in c.object("config_groups")?.into_iter().flat_map(|groups| groups.values()) {
            let found =
                group.get("weights").and_then(|w| w.get("num_bits")).and_then(serde_json::Value::as_u64);
            if let Some(found) = found {
                if bits.is_some_and(|bits| bits != found) {
                    return Err(c.wrong("config_groups", "one num_bits for all groups", group));
                }
                bits = Some(found);
            }
        }
        let bits = bits.unwrap_or(8);
        if format == "pack-quantized" && ![4, 8].contains(&bits) {
            return Err(c.wrong("config_groups", "weights of 4 or 8 bits", &bits.into()));
        }
        Ok(Self::CompressedTensors { bits: bits as usize })
    }

    /// `[rows, columns]` of a block that shares a scale, for block-wise fp8.
    pub fn block(&self) -> Option<[usize; 2]> {
        match self {
            Self::Fp8 { block } => *block,
            _ => None,
        }
    }
}
