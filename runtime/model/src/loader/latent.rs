//! Loads `kv_b_proj` of latent attention, split by head.

use half::{bf16, f16};
use sglang_kernels::{QuantType, ThreadPool, WeightMatrix};
use tch::Tensor;

use crate::error::{ModelError, Result};
use crate::ops::{LatentForm, LatentLayout, LatentWeights, Matrix};

use super::WeightLoader;

impl WeightLoader<'_> {
    /// Loads the key and value matrices of all heads from the module `name.kv_b_proj`, which has the rows of each
    /// head's keys and then values, or from `name.k_b_proj` (transposed) and `name.v_b_proj` (newer GGUF files).
    ///
    /// # Errors
    /// The tensor is missing or has another shape.
    pub fn latent(&mut self, name: &str, layout: LatentLayout) -> Result<LatentWeights> {
        let (heads, each) = (layout.num_heads, layout.kv_b_head_rows());
        if self.has(&format!("{name}.k_b_proj.weight")) {
            return self.split_latent(name, layout);
        }
        let merged =
            self.linear(&[(&format!("{name}.kv_b_proj"), heads * each)], layout.kv_lora_rank, false)?;
        let form = match merged.only_part()? {
            Matrix::Torch(t) => {
                LatentForm::Torch(t.f_view([heads as i64, each as i64, layout.kv_lora_rank as i64])?)
            }
            Matrix::Native(w) => {
                let mut form = (Vec::with_capacity(heads), Vec::with_capacity(heads));
                for first in (0..heads).map(|head| head * each) {
                    let values = first + layout.qk_nope_head_dim;
                    form.0.push(self.transposed(&w.slice_rows(first..values)?)?);
                    form.1.push(w.slice_rows(values..first + each)?);
                }
                LatentForm::Native { w_kc: form.0, w_vc: form.1 }
            }
        };
        LatentWeights::new(layout, form)
    }

    fn split_latent(&mut self, name: &str, layout: LatentLayout) -> Result<LatentWeights> {
        let LatentLayout { num_heads: heads, kv_lora_rank: rank, qk_nope_head_dim: nope, .. } = layout;
        let values = layout.v_head_dim;
        let keys = self.stacked(&format!("{name}.k_b_proj.weight"), [heads, rank, nope])?;
        let form = match (keys, self.stacked(&format!("{name}.v_b_proj.weight"), [heads, values, rank])?) {
            (Matrix::Native(k), Matrix::Native(v)) => {
                let of = |w: &WeightMatrix, rows: usize| -> Result<Vec<WeightMatrix>> {
                    (0..heads).map(|head| Ok(w.slice_rows(head * rows..(head + 1) * rows)?)).collect()
                };
                LatentForm::Native { w_kc: of(&k, rank)?, w_vc: of(&v, values)? }
            }
            (Matrix::Torch(k), Matrix::Torch(v)) => {
                let [heads, rank, nope, values] = [heads, rank, nope, values].map(|n| n as i64);
                let k = k.f_view([heads, rank, nope])?.f_transpose(1, 2)?;
                LatentForm::Torch(Tensor::f_cat(&[k, v.f_view([heads, values, rank])?], 1)?)
            }
            _ => return Err(ModelError::Kernel("matrices of two backends".to_owned())),
        };
        LatentWeights::new(layout, form)
    }

    /// Loads a tensor of several matrices as one matrix with all their rows.
    fn stacked(&mut self, name: &str, shape: [usize; 3]) -> Result<Matrix> {
        let tensor = self.source.tensor(name, &shape, self.head_dim)?;
        let [count, rows, columns] = shape;
        self.build(tensor.storage, &[&tensor.data], count * rows, columns)
    }

    /// The transposed matrix: in 16 bits if it was, otherwise as its float32 values.
    fn transposed(&mut self, w: &WeightMatrix) -> Result<WeightMatrix> {
        let (rows, columns) = (w.rows(), w.cols());
        let mut values = vec![0.0; rows * columns];
        let ids: Vec<u32> = (0..rows as u32).collect();
        sglang_kernels::embedding(&ThreadPool::new(1)?, w, &ids, &mut values)?;
        let turned = (0..columns).flat_map(|c| values.iter().skip(c).step_by(columns).copied());
        let (quant, bytes): (QuantType, Vec<u8>) = match w.quant() {
            QuantType::BF16 => {
                (QuantType::BF16, turned.flat_map(|x| bf16::from_f32(x).to_le_bytes()).collect())
            }
            QuantType::F16 => (QuantType::F16, turned.flat_map(|x| f16::from_f32(x).to_le_bytes()).collect()),
            _ => (QuantType::F32, turned.flat_map(f32::to_le_bytes).collect()),
        };
        self.bytes += bytes.len() as u64;
        let range = 0..bytes.len();
        Ok(WeightMatrix::from_bytes(quant, columns, rows, std::sync::Arc::new(bytes), range)?)
    }
}
