//! From token ids to rows and from rows to logits.

use tch::Tensor;

use crate::error::Result;
use crate::ops::{ForwardContext, LinearWeight, Ops, StepAdapters};

/// The embedding matrix, `[vocab, hidden]`.
#[derive(Debug)]
pub struct VocabEmbedding {
    weight: LinearWeight,
}

impl VocabEmbedding {
    /// An embedding over a matrix of one part.
    pub fn new(weight: LinearWeight) -> Self {
        Self { weight }
    }

    /// Rows of the step's tokens.
    ///
    /// # Errors
    /// The backend's.
    pub fn forward(&self, ops: &dyn Ops, ctx: &ForwardContext<'_>) -> Result<Tensor> {
        ctx.embedding(ops, &self.weight)
    }
}

/// The output matrix and what is done to its products.
#[derive(Debug)]
pub struct LmHead {
    /// `None` where it is the embedding's.
    weight: Option<LinearWeight>,
    scale: f64,
    softcap: Option<f64>,
    lora_site: usize,
}

impl LmHead {
    /// A matrix of its own, or the embedding's (`None`). `lora_site` is its number among the layers that adapters can
    /// change: as an embedding and as a head the same matrix is changed by different ones.
    pub fn new(weight: Option<LinearWeight>, lora_site: usize) -> Self {
        Self { weight, scale: 1.0, softcap: None, lora_site }
    }

    /// Multiplies the logits.
    #[must_use]
    pub fn with_scale(self, scale: f64) -> Self {
        Self { scale, ..self }
    }

    /// Puts `cap * tanh(logit / cap)` in place of the scaled logits.
    #[must_use]
    pub fn with_softcap(self, softcap: Option<f64>) -> Self {
        Self { softcap, ..self }
    }

    /// Logits of `[rows, hidden]`, as float32 on the device, with what adapters add to the products.
    ///
    /// # Errors
    /// The backend's.
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
