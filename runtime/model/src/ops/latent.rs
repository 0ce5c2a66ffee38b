//! The per-head weights of multi-head latent attention (DeepSeek-AI, 2024).
//!
//! The keys and values of all heads are products with one compressed row per token, and the cache holds only these
//! rows. Instead of expanding the rows of the whole context, the *absorbed* form multiplies each query with its head's
//! key matrix, computes attention over the compressed rows, and multiplies the result with the head's value matrix.

use sglang_kernels::WeightMatrix;
use tch::Tensor;

use crate::error::{ModelError, Result};

/// Sizes of latent attention, by the names of `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatentLayout {
    /// Query heads.
    pub num_heads: usize,
    /// Width of a compressed row.
    pub kv_lora_rank: usize,
    /// Unrotated columns of a head's queries and keys.
    pub qk_nope_head_dim: usize,
    /// Rotated columns of a head's queries, and of the one key that all heads share.
    pub qk_rope_head_dim: usize,
    /// Columns of a head's values.
    pub v_head_dim: usize,
}

impl LatentLayout {
    /// Columns of a head's queries.
    pub fn qk_head_dim(&self) -> usize {
        self.qk_nope_head_dim + self.qk_rope_head_dim
    }

    /// Columns per token in the cache.
    pub fn latent_dim(&self) -> usize {
        self.kv_lora_rank + self.qk_rope_head_dim
    }

    /// Rows of `kv_b_proj` per head: first its keys, then its values.
    pub fn kv_b_head_rows(&self) -> usize {
        self.qk_nope_head_dim + self.v_head_dim
    }
}

/// Key and value matrices of all heads (`kv_b_proj`), in the backend's form.
#[derive(Debug)]
pub enum LatentForm {
    /// For [`super::NativeOps`].
    Native {
        /// The transposed key matrix of each head, `[kv_lora_rank, qk_nope_head_dim]`.
        w_kc: Vec<WeightMatrix>,
        /// The value matrix of each head, `[v_head_dim, kv_lora_rank]`.
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
    /// Checks that the matrices have these sizes.
    ///
    /// # Errors
    /// A matrix has another size.
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
