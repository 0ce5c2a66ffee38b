//! Root mean square normalisation.

use std::ops::Range;

use tch::Tensor;

use crate::error::Result;
use crate::loader::{NormStorage, WeightLoader};
use crate::ops::Ops;

/// The properties that all norms of a model share.
#[derive(Clone, Copy, Debug)]
pub struct NormKind {
    /// Added to the mean square.
    pub eps: f64,
    /// How the checkpoint stores the weights.
    pub storage: NormStorage,
}

impl NormKind {
    /// Loads the norm `name` over `size` columns.
    ///
    /// # Errors
    /// Its weight is missing or has another shape.
    pub fn load(self, weights: &mut WeightLoader<'_>, name: &str, size: usize) -> Result<RMSNorm> {
        Ok(RMSNorm::new(weights.norm_weight(name, size, self.storage)?, self.eps))
    }
}

/// `x / rms(x) * weight`, optionally after adding to the residual stream (reference: `layers/layernorm.py`).
#[derive(Debug)]
pub struct RMSNorm {
    weight: Tensor,
    eps: f64,
}

impl RMSNorm {
    /// A norm with a weight per column.
    pub fn new(weight: Tensor, eps: f64) -> Self {
        Self { weight, eps }
    }

    /// The normalised rows.
    ///
    /// # Errors
    /// An error of the backend.
    pub fn forward(&self, ops: &dyn Ops, x: &Tensor) -> Result<Tensor> {
        ops.rms_norm(x, &self.weight, self.eps)
    }

    /// Adds `x` to the residual stream and returns the normalised sum.
    ///
    /// # Errors
    /// An error of the backend.
    pub fn forward_add(&self, ops: &dyn Ops, x: &Tensor, residual: &mut Tensor) -> Result<Tensor> {
        ops.fused_add_rms_norm(x, residual, &self.weight, self.eps)
    }

    /// Normalises some columns in place, in groups as wide as the weight.
    ///
    /// # Errors
    /// An error of the backend, or the width of the weight does not divide the columns.
    pub fn forward_columns(&self, ops: &dyn Ops, x: &mut Tensor, columns: Range<usize>) -> Result<()> {
        ops.rms_norm_columns(x, columns, &self.weight, self.eps)
    }
}
