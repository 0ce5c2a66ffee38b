//! The tensors that make up one quantised matrix.

use ::safetensors::Dtype;
use half::{bf16, f16};

use crate::error::CheckpointError;
use crate::safetensors::{SafetensorsIndex, TensorView};

/// The tensors `module.*` and the shape of the matrix that they encode.
pub(super) struct Parts<'a> {
    index: &'a SafetensorsIndex,
    module: &'a str,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl<'a> Parts<'a> {
    pub(super) fn new(index: &'a SafetensorsIndex, module: &'a str, rows: usize, columns: usize) -> Self {
        Self { index, module, rows, columns }
    }

    fn name(&self, part: &str) -> String {
        format!("{}.{part}", self.module)
    }

    pub(super) fn has(&self, part: &str) -> bool {
        self.index.has_tensor(&self.name(part))
    }

    pub(super) fn dtype(&self, part: &str) -> Option<Dtype> {
        self.index.tensor(&self.name(part)).ok().map(|t| t.dtype)
    }

    pub(super) fn shape(&self, part: &str) -> Result<&'a [usize], CheckpointError> {
        Ok(self.index.tensor(&self.name(part))?.shape)
    }

    /// An error about a tensor.
    pub(super) fn wrong(&self, part: &str, expected: String, found: String) -> CheckpointError {
        let name = self.name(part);
        let file = self.index.file_of(&name).unwrap_or(self.index.dir());
        CheckpointError::malformed(file, format!("tensor {name}"), expected, found)
    }

    fn tensor(&self, part: &str, shape: &[usize]) -> Result<TensorView<'a>, CheckpointError> {
        let tensor = self.index.tensor(&self.name(part))?;
        if tensor.shape != shape {
            return Err(self.wrong(part, format!("{shape:?}"), format!("{:?}", tensor.shape)));
        }
        Ok(tensor)
    }

    /// A tensor of floats, which must have this shape.
    pub(super) fn floats(&self, part: &str, shape: &[usize]) -> Result<Vec<f32>, CheckpointError> {
        let tensor = self.tensor(part, shape)?;
        let pairs = || tensor.data.as_chunks::<2>().0.iter();
        Ok(match tensor.dtype {
            Dtype::F32 => tensor.data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::F16 => pairs().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            Dtype::BF16 => pairs().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
            other => return Err(self.wrong(part, "type F32, F16 or BF16".into(), other.to_string())),
        })
    }

    /// A tensor of 32-bit words, which must have this shape.
    pub(super) fn words(&self, part: &str, shape: &[usize]) -> Result<Vec<u32>, CheckpointError> {
        let tensor = self.tensor(part, shape)?;
        match tensor.dtype {
            Dtype::I32 | Dtype::U32 => {
                Ok(tensor.data.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect())
            }
            other => Err(self.wrong(part, "type I32".into(), other.to_string())),
        }
    }

    /// A tensor of bytes of one type, which must have this shape.
    pub(super) fn bytes(
        &self,
        part: &str,
        dtype: Dtype,
        shape: &[usize],
    ) -> Result<&'a [u8], CheckpointError> {
        let tensor = self.tensor(part, shape)?;
        match tensor.dtype {
            found if found == dtype => Ok(tensor.data),
            other => Err(self.wrong(part, format!("type {dtype}"), other.to_string())),
        }
    }

    /// Scales of rows: a tensor with one number for all rows, or one number per row.
    pub(super) fn row_scales(&self, part: &str) -> Result<Vec<f32>, CheckpointError> {
        let shape = self.shape(part)?;
        let count: usize = shape.iter().product();
        let scales = self.floats(part, shape)?;
        match count {
            1 => Ok(vec![scales.first().copied().unwrap_or_default(); self.rows]),
            n if n == self.rows && shape.first() == Some(&n) => Ok(scales),
            _ => {
                let expected = format!("[1] or [{}, 1]", self.rows);
                Err(self.wrong(part, expected, format!("{shape:?}")))
            }
        }
    }
}

/// The `i`-th `bits`-wide integer of packed words, lowest bits first.
pub(super) fn unpack(words: &[u32], i: usize, bits: usize) -> i32 {
    let per_word = 32 / bits;
    let word = words.get(i / per_word).copied().unwrap_or_default();
    let mask = (1_u32 << bits) - 1;
    ((word >> (i % per_word * bits)) & mask) as i32
}
