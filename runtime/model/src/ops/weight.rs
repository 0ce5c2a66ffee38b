//! Weights in the form that their backend needs.

use tch::Tensor;

use crate::error::{ModelError, Result};

/// A matrix `[out_features, in_features]`.
#[derive(Debug)]
pub enum Matrix {
    /// For [`super::NativeOps`]: in the storage type of the checkpoint, including quantised blocks.
    Native(sglang_kernels::WeightMatrix),
    /// For [`super::TorchOps`]: a dense tensor on the device.
    Torch(Tensor),
}

impl Matrix {
    /// Rows and columns.
    fn size(&self) -> (usize, usize) {
        match self {
            Self::Native(w) => (w.rows(), w.cols()),
            Self::Torch(t) => t.size2().map_or((0, 0), |(rows, columns)| (rows as usize, columns as usize)),
        }
    }
}

/// The weight of a linear layer: matrices stacked over their rows, and a bias. Merged projections (query, key and
/// value) are one matrix if their storage types are equal, otherwise several.
#[derive(Debug)]
pub struct LinearWeight {
    parts: Vec<Matrix>,
    bias: Option<Tensor>,
    out_features: usize,
    in_features: usize,
    lora_site: Option<usize>,
}

impl LinearWeight {
    /// Stacks `parts`; `bias` is `[out_features]` in the backend's number format.
    ///
    /// # Errors
    /// There are no parts, or sizes do not fit together.
    pub fn new(parts: Vec<Matrix>, bias: Option<Tensor>) -> Result<Self> {
        let in_features = parts.first().map_or(0, |p| p.size().1);
        let out_features = parts.iter().map(|p| p.size().0).sum();
        if in_features == 0 || parts.iter().any(|p| p.size().1 != in_features) {
            return Err(ModelError::Kernel("the parts of a linear layer differ in their columns".to_owned()));
        }
        if let Some(bias) = &bias
            && bias.numel() != out_features
        {
            return Err(ModelError::Kernel(format!(
                "a bias of {} entries for {out_features} outputs",
                bias.numel()
            )));
        }
        Ok(Self { parts, bias, out_features, in_features, lora_site: None })
    }

    /// Lets adapters change the layer, under this index in [`crate::lora_sites::LoraSites`].
    #[must_use]
    pub(crate) fn with_lora_site(self, site: usize) -> Self {
        Self { lora_site: Some(site), ..self }
    }

    /// Index of the layer among those that adapters can change.
    pub(crate) fn lora_site(&self) -> Option<usize> {
        self.lora_site
    }

    /// The stacked matrices.
    pub fn parts(&self) -> &[Matrix] {
        &self.parts
    }

    /// The matrix of a weight that has only one part.
    ///
    /// # Errors
    /// The weight has several parts.
    pub fn only_part(&self) -> Result<&Matrix> {
        match self.parts.as_slice() {
            [one] => Ok(one),
            parts => Err(ModelError::Kernel(format!("one matrix expected, found {}", parts.len()))),
        }
    }

    /// The bias.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// Rows of all parts.
    pub fn out_features(&self) -> usize {
        self.out_features
    }

    /// Columns of every part.
    pub fn in_features(&self) -> usize {
        self.in_features
    }
}
