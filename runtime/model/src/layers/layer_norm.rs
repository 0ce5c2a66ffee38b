//! Layer normalisation.

use tch::Tensor;

use crate::error::Result;
use crate::loader::WeightLoader;

/// `(x - mean) / sqrt(variance + eps) * weight + bias` of every row (Ba et al., 2016).
#[derive(Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// Loads the norm `name` over `size` columns.
    ///
    /// # Errors
    /// Its weight or bias is missing or has another shape.
    pub fn load(weights: &mut WeightLoader<'_>, name: &str, size: usize, eps: f64) -> Result<Self> {
        let weight = weights.tensor(&format!("{name}.weight"), &[size])?;
        let bias = weights.tensor(&format!("{name}.bias"), &[size])?;
        Ok(Self { weight, bias, eps })
    }

    /// The normalised rows.
    ///
    /// # Errors
    /// An error of libtorch.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), self.eps, false)?)
    }
}
