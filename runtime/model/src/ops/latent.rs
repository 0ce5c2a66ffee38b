//! The weights of multi-head latent attention (DeepSeek-AI, 2024) that are applied head by head.
//!
//! Keys and values of all heads are products of one compressed row per token, which is what the cache holds. Instead of
//! expanding the rows of a whole text, the products can be moved to the other side: a query is multiplied with its head's
//! key matrix and then meets the compressed rows themselves, and what it gathers of them goes through the head's value
//! matrix (the *absorbed* form).

use sglang_kernels::WeightMatrix;
use tch::Tensor;

use crate::error::{ModelError, Result};

/// Sizes of latent attention, by the names of `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatentLayout {
    /// Query heads.
    pub num_heads: usize,
    /// Columns of a compressed row.
    pub kv_lora_rank: usize,
    /// Columns of a head's queries and keys that are not rotated.
    pub qk_nope_head_dim: usize,
    /// Columns of a head's queries that are rotated, and of the one key that all heads share.
    pub qk_rope_head_dim: usize,
    /// Columns of a head's values.
    pub v_head_dim: usize,
}

impl LatentLayout {
    /// Columns of a head's queries.
    pub fn qk_head_dim(&self) -> usize {
        self.qk_nope_head_dim + self.qk_rope_head_dim
    }

    /// Columns that the cache holds of a token.
    pub fn latent_dim(&self) -> usize {
        self.kv_lora_rank + self.qk_rope_head_dim
    }

    /// Rows of `kv_b_proj` that belong to a head: those of its keys, then those of its values.
    pub fn kv_b_head_rows(&self) -> usize {
        self.qk_nope_head_dim + self.v_head_dim
    }
}

/// Key and value matrices of all heads (`kv_b_proj`), in the form that the backend wants.
#[derive(Debug)]
pub enum LatentForm {
    /// For [`super::NativeOps`].
    Native {
        /// Of every head the transposed key matrix, `[kv_lora_rank, qk_nope_head_dim]`.
        w_kc: Vec<WeightMatrix>,
        /// Of every head the value matrix, `[v_head_dim, kv_lora_rank]`.
        w_vc: Vec<WeightMatrix>,
    },
    /// For [`super::TorchOps`]: `[num_heads, qk_nope_head_dim + v_head_dim, kv_lora_rank]`.
    Torch(Tensor),
}

/// [`LatentForm`] and its sizes.
#[derive(Debug)]
pub struct LatentWeights {
    layout: LatentLayout,
    form: LatentForm,
}

impl LatentWeights {
    /// Weights of these sizes.
    ///
    /// # Errors
    /// The sizes differ.
    pub fn new(layout: LatentLayout, form: LatentForm) -> Result<Self> {
        let LatentLayout { num_heads, kv_lora_rank, qk_nope_head_dim, v_head_dim, .. } = layout;
        let all = |weights: &[WeightMatrix], rows: usize, columns: usize| {
            weights.len() == num_heads && weights.iter().all(|w| (w.rows(), w.cols()) == (rows, columns))
        };
        let fits = match &form {
            LatentForm::Native { w_kc, w_vc } => {
                all(w_kc, kv_lora_rank, qk_nope_head_dim) && all(w_vc, v_head_dim, kv_lora_rank)
            }
            LatentForm::Torch(t) => {
                t.size() == [num_heads, layout.kv_b_head_rows(), kv_lora_rank].map(|n| n as i64)
            }
        };
        if !fits {
            return Err(ModelError::Kernel(format!(
                "matrices that do not fit {num_heads} heads of {qk_nope_head_dim} and {v_head_dim} columns over \
                 {kv_lora_rank}"
            )));
        }
        Ok(Self { layout, form })
    }

    /// Sizes.
    pub fn layout(&self) -> LatentLayout {
        self.layout
    }

    /// The matrices.
    pub fn form(&self) -> &LatentForm {
        &self.form
    }
}
