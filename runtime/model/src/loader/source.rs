//! Sources of tensors: a GGUF file, safetensors, or random numbers (`--load-format dummy`). Models request tensors by
//! their Hugging Face name.

use std::path::PathBuf;

use sglang_checkpoint::safetensors::Dtype;
use sglang_checkpoint::{
    Checkpoint, FileBytes, GgmlType, GgufFile, Quantization, SafetensorsIndex, quantized,
};

use crate::error::{ModelError, Result};

use super::bytes::{PIECE, TensorBytes};
use super::dummy::random_values;
use super::gguf_names::{gguf_expert, gguf_name, is_permuted, unpermuted_rows};

/// The weights of a checkpoint.
#[derive(Debug)]
pub enum WeightSource {
    /// A GGUF file and its `general.architecture`.
    Gguf(GgufFile, String),
    /// A Hugging Face folder.
    Safetensors(SafetensorsIndex),
    /// Random numbers instead of the model at this path.
    Dummy(PathBuf),
}

/// A tensor of the expected shape: rows of whole blocks, as stored.
pub(super) struct SourceTensor<'a> {
    /// Element type.
    pub storage: GgmlType,
    /// The bytes, usually still in the file.
    pub data: TensorBytes<'a>,
}

impl WeightSource {
    /// The weights of a checkpoint, for this `--load-format`.
    ///
    /// # Errors
    /// The checkpoint has another format, or its files are invalid.
    pub fn new(checkpoint: Checkpoint, load_format: &str) -> Result<Self> {
        let fail = |why: &str| {
            Err(ModelError::Option {
                flag: "load-format",
                value: load_format.to_owned(),
                why: why.to_owned(),
            })
        };
        match (load_format, checkpoint) {
            ("dummy", checkpoint) => Ok(Self::Dummy(checkpoint.path().to_owned())),
            ("auto" | "gguf", Checkpoint::Gguf(file)) => {
                let architecture = file.metadata().str("general.architecture")?.to_owned();
                Ok(Self::Gguf(file, architecture))
            }
            ("auto" | "safetensors", Checkpoint::HfFolder(folder)) => {
                Ok(Self::Safetensors(folder.safetensors()?))
            }
            ("gguf", Checkpoint::HfFolder(_)) => fail("the model is a folder with safetensors weights"),
            ("safetensors", Checkpoint::Gguf(_)) => fail("the model is a GGUF file"),
            _ => fail("expected auto, safetensors, gguf or dummy"),
        }
    }

    /// A tensor of a decoder layer beyond the model's `layers`. Only checks folders without a configuration, whose
    /// number of layers is not known otherwise.
    pub(crate) fn layer_beyond(&self, layers: usize) -> Option<&str> {
        let Self::Safetensors(index) = self else { return None };
        if index.dir().join("config.json").is_file() {
            return None;
        }
        index.names().find(|name| {
            let number = name.strip_prefix("model.layers.").and_then(|rest| rest.split('.').next());
            number.and_then(|n| n.parse::<usize>().ok()).is_some_and(|n| n >= layers)
        })
    }

    /// Bytes of all tensors in the files; 0 for random weights.
    pub fn total_bytes(&self) -> u64 {
        let bytes = |n: usize| n as u64;
        match self {
            Self::Gguf(file, _) => {
                file.names().filter_map(|n| file.tensor(n).ok()).map(|t| bytes(t.data.len())).sum()
            }
            Self::Safetensors(index) => {
                index.names().filter_map(|n| index.tensor(n).ok()).map(|t| bytes(t.data.len())).sum()
            }
            Self::Dummy(_) => 0,
        }
    }

    /// The name of a tensor in the files.
    fn stored_name(&self, name: &str) -> String {
        let Self::Gguf(_, architecture) = self else { return name.to_owned() };
        let stack = gguf_expert(name).map(|(stack, _)| stack);
        stack.or_else(|| gguf_name(architecture, name)).unwrap_or_else(|| name.to_owned())
    }

    /// The file that has, or should have, a tensor.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        match self {
            Self::Gguf(file, _) => file.file_of(&self.stored_name(name)).to_owned(),
            Self::Safetensors(index) => index.file_of(name).unwrap_or(index.dir()).to_owned(),
            Self::Dummy(path) => path.clone(),
        }
    }

    /// Whether a tensor exists.
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::Gguf(file, architecture) => {
                gguf_name(architecture, name).is_some_and(|n| file.has_tensor(&n))
            }
            Self::Safetensors(index) => match name.strip_suffix(".weight") {
                Some(module) => index.has_matrix(module),
                None => index.has_tensor(name),
            },
            Self::Dummy(_) => false,
        }
    }

    /// Whether two tensors have the same type, shape and bytes; false if one is packed or missing.
    pub(super) fn stores_the_same(&self, name: &str, other: &str) -> bool {
        let (name, other) = (self.stored_name(name), self.stored_name(other));
        let parts = match self {
            Self::Gguf(file, _) => {
                let kind = |name: &str| file.tensor(name).ok().map(|t| (t.ggml_type, t.shape));
                if kind(&name) != kind(&other) {
                    return false;
                }
                (file.part(&name), file.part(&other))
            }
            Self::Safetensors(index) => {
                let kind = |name: &str| index.tensor(name).ok().map(|t| (t.dtype, t.shape));
                if kind(&name) != kind(&other) {
                    return false;
                }
                (index.part(&name), index.part(&other))
            }
            Self::Dummy(_) => return true,
        };
        let (Some(a), Some(b)) = parts else { return false };
        // Compares in pieces, so that little of the file is resident at a time.
        a.len() == b.len()
            && (0..a.len()).step_by(PIECE).all(|start| {
                let piece = start..(start + PIECE).min(a.len());
                let (Some(a), Some(b)) = (a.slice(piece.clone()), b.slice(piece)) else { return false };
                let same = a.mapped() == b.mapped();
                a.release();
                b.release();
                same
            })
    }

    /// A tensor of bytes with this shape, for formats that the caller unpacks.
    pub(super) fn bytes(&self, name: &str, shape: &[usize]) -> Result<&[u8]> {
        let wrong = |found: String| ModelError::Tensor {
            file: self.file(name),
            tensor: name.to_owned(),
            expected: format!("bytes (U8) of shape {shape:?}"),
            found,
        };
        let Self::Safetensors(index) = self else {
            return Err(wrong("a checkpoint without such tensors".to_owned()));
        };
        let t = index.tensor(name).map_err(|_| wrong("nothing of that name".to_owned()))?;
        match (t.dtype, t.shape == shape) {
            (Dtype::U8, true) => Ok(t.data),
            (other, _) => Err(wrong(format!("{other} of shape {:?}", t.shape))),
        }
    }

    /// A tensor with this shape. Rows of heads with `head_dim` columns are returned in Hugging Face order.
    pub(super) fn tensor(&self, name: &str, shape: &[usize], head_dim: usize) -> Result<SourceTensor<'_>> {
        let stored_name = self.stored_name(name);
        if let Some(values) = self.dequantized(name, shape)? {
            let data = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            return Ok(SourceTensor { storage: GgmlType::F32, data: TensorBytes::Memory(data) });
        }
        let wrong = |expected: String, found: String| ModelError::Tensor {
            file: self.file(name),
            tensor: stored_name.clone(),
            expected,
            found,
        };
        let missing = || wrong(format!("{shape:?}"), "nothing of that name".to_owned());
        let (found, storage, part) = match self {
            Self::Gguf(file, _) => {
                let t = file.tensor(&stored_name).map_err(|_| missing())?;
                let part = file.part(&stored_name).ok_or_else(missing)?;
                match gguf_expert(name) {
                    Some((_, expert)) => {
                        let too_few =
                            || wrong(format!("{} experts or more", expert + 1), format!("{:?}", t.shape));
                        let (shape, part) = part_of_stack(t.shape, part, expert).ok_or_else(too_few)?;
                        (shape, t.ggml_type, part)
                    }
                    None => (t.shape, t.ggml_type, part),
                }
            }
            Self::Safetensors(index) => {
                let t = index.tensor(name).map_err(|_| missing())?;
                let storage = match t.dtype {
                    Dtype::F32 => GgmlType::F32,
                    Dtype::F16 => GgmlType::F16,
                    Dtype::BF16 => GgmlType::BF16,
                    other => return Err(wrong("type F32, F16 or BF16".to_owned(), other.to_string())),
                };
                (t.shape, storage, index.part(name).ok_or_else(missing)?)
            }
            Self::Dummy(_) => {
                let data = TensorBytes::Memory(random_values(name, shape));
                return Ok(SourceTensor { storage: GgmlType::F32, data });
            }
        };
        // A GGUF file may omit leading dimensions of size one.
        let rows_of_one =
            |shape: &[usize]| shape.iter().skip_while(|n| **n == 1).copied().collect::<Vec<_>>();
        let is_gguf = matches!(self, Self::Gguf(..));
        if found != shape && !(is_gguf && rows_of_one(found) == rows_of_one(shape)) {
            return Err(wrong(format!("{shape:?}"), format!("{found:?}")));
        }
        let rows = shape.first().copied().unwrap_or(0);
        let data = match self {
            Self::Gguf(_, architecture) if is_permuted(architecture, name) => {
                TensorBytes::Rows(part, unpermuted_rows(rows, head_dim))
            }
            _ => TensorBytes::File(part),
        };
        Ok(SourceTensor { storage, data })
    }
}

/// One of the equally large parts of a tensor along its first dimension.
fn part_of_stack<'a>(
    shape: &'a [usize],
    stack: FileBytes<'a>,
    index: usize,
) -> Option<(&'a [usize], FileBytes<'a>)> {
    let (count, rest) = shape.split_first().filter(|(count, _)| index < **count)?;
    let size = stack.len() / count;
    Some((rest, stack.slice(index * size..(index + 1) * size)?))
}

/// Quantised matrices of safetensors files.
impl WeightSource {
    /// The quantisation scheme as in `--quantization`; `None` if weights are not quantised.
    pub fn quantization(&self) -> Option<&'static str> {
        match self {
            Self::Gguf(..) => Some("gguf"),
            Self::Safetensors(index) => index.quantization().map(Quantization::method),
            Self::Dummy(_) => None,
        }
    }

    /// The dequantised values of a quantised matrix; `None` for other tensors.
    fn dequantized(&self, name: &str, shape: &[usize]) -> Result<Option<Vec<f32>>> {
        let (Self::Safetensors(index), Some(module), [rows, columns]) =
            (self, name.strip_suffix(".weight"), shape)
        else {
            return Ok(None);
        };
        Ok(quantized::matrix(index, module, *rows, *columns)?)
    }
}
