//! From token ids to rows and from rows to logits.

use tch::Tensor;

use crate::error::Result;
use crate::ops::{ForwardContext, LinearWeight, Ops};

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
        ops.embedding(&self.weight, ctx)
    }
}

/// The output matrix.
#[derive(Debug)]
pub enum LmHead {
    /// The embedding's, as checkpoints with tied embeddings have it.
    Tied,
    /// Its own.
    Own(LinearWeight),
}

impl LmHead {
    /// Logits of `[rows, hidden]`, as float32 on the host.
    ///
    /// # Errors
    /// The backend's.
    pub fn forward(&self, ops: &dyn Ops, hidden: &Tensor, embedding: &VocabEmbedding) -> Result<Tensor> {
        match self {
            Self::Tied => ops.lm_head(hidden, &embedding.weight),
            Self::Own(weight) => ops.lm_head(hidden, weight),
        }
    }
}
