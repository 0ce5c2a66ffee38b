//! Loads gpt-oss's experts. One tensor holds all experts of a layer, with gate and up in alternating columns; it is
//! 16-bit and transposed, or in MXFP4 (OCP Microscaling Formats, 2023).

use sglang_checkpoint::GgmlType;
use tch::Tensor;

use crate::error::{ModelError, Result};
use crate::ops::{Activation, Expert, ExpertWeights, LinearWeight};

use super::dequantized::dequantized;
use super::mxfp4::{BLOCK, LARGEST_EXPONENT, SMALLEST_EXPONENT, pairs_to_q8_0};
use super::{ExpertNames, TensorBytes, WeightLoader, WeightSource};

/// One projection of all experts, `[experts, rows, columns]` after reading.
struct Stack<'a> {
    form: Form<'a>,
    rows: usize,
    columns: usize,
}

enum Form<'a> {
    /// `[experts, columns, rows]`.
    Transposed { storage: GgmlType, data: TensorBytes<'a> },
    /// Two 4-bit numbers per byte, and the biased exponent of each block.
    Mxfp4 { blocks: &'a [u8], scales: &'a [u8] },
}

impl Stack<'_> {
    /// The matrix of one expert; its row `r` is the stored row `row(r)`. MXFP4 becomes Q8_0 with the same values: 8-bit
    /// integers of twice the 4-bit value, and half the scale.
    fn expert(&self, expert: usize, row: impl Fn(usize) -> usize) -> Option<(GgmlType, Vec<u8>)> {
        let (rows, columns) = (self.rows, self.columns);
        match &self.form {
            Form::Transposed { storage, data } => {
                let size = storage.block_bytes();
                let data = data.to_slice();
                let data = data.get(expert * rows * columns * size..(expert + 1) * rows * columns * size)?;
                let mut out = Vec::with_capacity(data.len());
                for r in (0..rows).map(row) {
                    for c in 0..columns {
                        let at = (c * rows + r) * size;
                        out.extend_from_slice(data.get(at..at + size)?);
                    }
                }
                Some((*storage, out))
            }
            Form::Mxfp4 { blocks, scales } => {
                let per_row = columns / BLOCK;
                let mut out = Vec::with_capacity(rows * per_row * GgmlType::Q8_0.block_bytes());
                for r in (0..rows).map(row) {
                    let first = (expert * rows + r) * per_row;
                    for i in first..first + per_row {
                        let packed = blocks.get(i * BLOCK / 2..(i + 1) * BLOCK / 2)?;
                        pairs_to_q8_0(packed, *scales.get(i)?, &mut out)?;
                    }
                }
                Some((GgmlType::Q8_0, out))
            }
        }
    }
}

impl<'a> WeightLoader<'a> {
    /// Loads the experts of the module `name`, from one of gpt-oss's two forms or from the stacked tensors of a GGUF
    /// file.
    ///
    /// # Errors
    /// A tensor is missing or has another shape, or the scale of a block is out of range.
    pub fn interleaved_experts(
        &mut self,
        name: &str,
        num_experts: usize,
        hidden_size: usize,
        intermediate_size: usize,
        activation: Activation,
    ) -> Result<ExpertWeights> {
        let (hidden, inner) = (hidden_size, intermediate_size);
        if matches!(self.source, WeightSource::Gguf(..)) {
            return self.experts(name, ExpertNames::PROJ, num_experts, hidden, inner, activation, true);
        }
        let (gate_up_name, down_name) = (format!("{name}.gate_up_proj"), format!("{name}.down_proj"));
        let gate_up = self.stack(&gate_up_name, num_experts, 2 * inner, hidden)?;
        let down = self.stack(&down_name, num_experts, hidden, inner)?;
        let gate_up_bias = self.matrix_values(&format!("{gate_up_name}_bias"), num_experts, 2 * inner)?;
        let down_bias = self.matrix_values(&format!("{down_name}_bias"), num_experts, hidden)?;
        let halves = |r: usize| if r < inner { 2 * r } else { 2 * (r - inner) + 1 };
        let mut experts = Vec::with_capacity(num_experts);
        for i in 0..num_experts {
            let bias = |values: &[f32], width: usize, row: &dyn Fn(usize) -> usize| {
                (0..width).filter_map(|r| values.get(i * width + row(r)).copied()).collect::<Vec<_>>()
            };
            let gate_up_bias = self.upload(bias(&gate_up_bias, 2 * inner, &halves))?;
            let down_bias = self.upload(bias(&down_bias, hidden, &|r| r))?;
            experts.push(Expert {
                gate_up_proj: self.of_stack(&gate_up, &gate_up_name, i, halves, gate_up_bias)?,
                down_proj: self.of_stack(&down, &down_name, i, |r| r, down_bias)?,
            });
        }
        ExpertWeights::new(experts, activation)
    }

    fn stack(&self, name: &str, experts: usize, rows: usize, columns: usize) -> Result<Stack<'a>> {
        let blocks = format!("{name}_blocks");
        let form = if self.source.has(&blocks) {
            let groups = columns / BLOCK;
            Form::Mxfp4 {
                blocks: self.source.bytes(&blocks, &[experts, rows, groups, BLOCK / 2])?,
                scales: self.source.bytes(&format!("{name}_scales"), &[experts, rows, groups])?,
            }
        } else {
            let tensor = self.source.tensor(name, &[experts, columns, rows], self.head_dim)?;
            Form::Transposed { storage: tensor.storage, data: tensor.data }
        };
        Ok(Stack { form, rows, columns })
    }

    fn of_stack(
        &mut self,
        stack: &Stack<'_>,
        name: &str,
        expert: usize,
        row: impl Fn(usize) -> usize,
        bias: Tensor,
    ) -> Result<LinearWeight> {
        let (storage, data) = stack.expert(expert, row).ok_or_else(|| ModelError::Tensor {
            file: self.source.file(name),
            tensor: format!("{name}_scales"),
            expected: format!("powers of two from {} to {}", SMALLEST_EXPONENT + 128, LARGEST_EXPONENT + 128),
            found: format!("another scale in expert {expert}"),
        })?;
        let matrix = self.build(storage, &[&TensorBytes::Memory(data)], stack.rows, stack.columns)?;
        LinearWeight::new(vec![matrix], Some(bias))
    }

    fn matrix_values(&mut self, name: &str, rows: usize, columns: usize) -> Result<Vec<f32>> {
        let tensor = self.source.tensor(name, &[rows, columns], self.head_dim)?;
        self.progress.add(tensor.data.len() as u64);
        dequantized(tensor.storage, &tensor.data.to_slice(), rows * columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_stack_is_transposed_back_and_its_rows_are_reordered() {
        // Two experts of three columns and four rows; each value encodes its place.
        let values: Vec<f32> = (0..24).map(|i| i as f32).collect();
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let form = Form::Transposed { storage: GgmlType::F32, data: TensorBytes::Memory(data) };
        let stack = Stack { form, rows: 4, columns: 3 };
        let (_, bytes) = stack.expert(1, |r| if r < 2 { 2 * r } else { 2 * (r - 2) + 1 }).unwrap();
        let found: Vec<f32> =
            bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!(found, [12., 16., 20., 14., 18., 22., 13., 17., 21., 15., 19., 23.]);
        assert!(stack.expert(2, |r| r).is_none());
    }
}
