//! The embedding layer and the output head.

use tch::Tensor;

use crate::error::Result;
use crate::ops::{ForwardContext, LinearWeight, Ops, StepAdapters};

/// The embedding matrix, `[vocab, hidden]`.
#[derive(Debug)]
pub struct VocabEmbedding {
    weight: LinearWeight,
}

impl VocabEmbedding {
    /// An embedding with this matrix, which must have one part.
    pub fn new(weight: LinearWeight) -> Self {
        Self { weight }
    }

    /// Embeddings of the step's tokens.
    ///
    /// # Errors
    /// An error of the backend.
    pub fn forward(&self, ops: &dyn Ops, ctx: &ForwardContext<'_>) -> Result<Tensor> {
        ctx.embedding(ops, &self.weight)
    }
}

/// The output head: its matrix, and scale and cap of the logits.
#[derive(Debug)]
pub struct LmHead {
    /// `None` if it is the embedding's matrix.
    weight: Option<LinearWeight>,
    scale: f64,
    softcap: Option<f64>,
    lora_site: usize,
}

impl LmHead {
    /// A head with a separate matrix, or with the embedding's (`None`). `lora_site` is its index among the layers that
    /// adapters can change. A shared matrix has two: adapters change embedding and head separately.
    pub fn new(weight: Option<LinearWeight>, lora_site: usize) -> Self {
        Self { weight, scale: 1.0, softcap: None, lora_site }
    }

    /// Multiplies the logits.
    #[must_use]
    pub fn with_scale(self, scale: f64) -> Self {
        Self { scale, ..self }
    }

    /// Replaces the scaled logits by `cap * tanh(logit / cap)`.
    #[must_use]
    pub fn with_softcap(self, softcap: Option<f64>) -> Self {
        Self { softcap, ..self }
    }

    /// Logits of `[rows, hidden]`, as float32 on the device, including the deltas of adapters.
    ///
    /// # Errors
    /// An error of the backend.
    pub fn forward(
        &self,
        ops: &dyn Ops,
        hidden: &Tensor,
        embedding: &VocabEmbedding,
        lora: Option<&dyn StepAdapters>,
    ) -> Result<Tensor> {
        let mut logits = ops.lm_head(hidden, self.weight.as_ref().unwrap_or(&embedding.weight))?;
        if let Some(lora) = lora {
            lora.add(ops, self.lora_site, hidden, &mut logits)?;
        }
        let before_cap = self.softcap.map_or(self.scale, |cap| self.scale / cap);
        if before_cap != 1.0 {
            let _ = logits.f_mul_scalar_(before_cap)?;
        }
        if let Some(cap) = self.softcap {
            let _ = logits.f_tanh_()?.f_mul_scalar_(cap)?;
        }
        Ok(logits)
    }
}
