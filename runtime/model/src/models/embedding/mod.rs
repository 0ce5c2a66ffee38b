//! Models that output an embedding or scores per prompt: any body, a pooling of its outputs, and optionally a score
//! head.

mod head;
mod pooler;
mod registry;

use sglang_proto::forward::{Embedding, EmbeddingSpec};
use sglang_proto::worker::PromptReach;
use tch::{Device, Kind, Tensor};

use crate::error::{ModelError, Result};
use crate::memory::{KvCacheShape, MHATokenToKVPool};
use crate::ops::{ForwardContext, Ops, StepAdapters};

use super::CausalLM;

pub use head::{HeadActivation, ScoreHead};
pub use pooler::{Pooled, Pooler};
pub(super) use registry::{check, load};

/// Turns the outputs of a body into embeddings or scores (reference: `Pooler`, `CrossEncodingPooler` and
/// `score_and_pool` in `layers/pooler.py`).
#[derive(Debug)]
pub struct EmbeddingHead {
    /// Pools the outputs of all positions into one row.
    pub pooler: Pooler,
    /// Turns that row into class scores; without it, the row is the result.
    pub score: Option<ScoreHead>,
    /// How prompts may be divided between steps.
    pub reach: PromptReach,
}

impl EmbeddingHead {
    /// The results for pooled rows, in the order of `wanted`.
    ///
    /// # Errors
    /// An error of the backend.
    pub fn answers(
        &self,
        ops: &dyn Ops,
        pooled: Vec<Vec<f32>>,
        wanted: &[&EmbeddingSpec],
    ) -> Result<Vec<Embedding>> {
        let Some(score) = &self.score else {
            let answer = |(row, spec): (Vec<f32>, &&EmbeddingSpec)| Embedding {
                values: self.pooler.finish(row, spec.dimensions),
                pooled_hidden_state: None,
            };
            return Ok(pooled.into_iter().zip(wanted).map(answer).collect());
        };
        let (rows, columns) = (pooled.len(), pooled.first().map_or(0, Vec::len));
        let x = Tensor::f_from_slice(&pooled.concat())?
            .f_view([rows as i64, columns as i64])?
            .f_to_kind(ops.kind())?
            .f_to(ops.device())?;
        let scores = host_rows(&score.forward(ops, &x)?)?;
        let answer = |((values, hidden), spec): ((Vec<f32>, Vec<f32>), &&EmbeddingSpec)| Embedding {
            values,
            pooled_hidden_state: spec.return_pooled_hidden_states.then_some(hidden),
        };
        Ok(scores.into_iter().zip(pooled).zip(wanted).map(answer).collect())
    }
}

/// The rows of a matrix, as float32 on the host.
///
/// # Errors
/// An error of libtorch.
pub fn host_rows(t: &Tensor) -> Result<Vec<Vec<f32>>> {
    let (rows, columns) = t.size2()?;
    let host = t.f_to(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
    let values = Vec::<f32>::try_from(&host.f_view([rows * columns])?)?;
    Ok(values.chunks(columns.max(1) as usize).map(<[f32]>::to_vec).collect())
}

/// A body with its [`EmbeddingHead`].
#[derive(Debug)]
pub struct EmbeddingModel {
    body: Box<dyn CausalLM>,
    head: EmbeddingHead,
}

impl EmbeddingModel {
    /// Combines body and head.
    pub fn new(body: Box<dyn CausalLM>, head: EmbeddingHead) -> Self {
        Self { body, head }
    }
}

impl CausalLM for EmbeddingModel {
    fn forward(&self, ops: &dyn Ops, ctx: &ForwardContext<'_>, kv: &MHATokenToKVPool) -> Result<Tensor> {
        self.body.forward(ops, ctx, kv)
    }

    fn logits(&self, _ops: &dyn Ops, _hidden: &Tensor, _lora: Option<&dyn StepAdapters>) -> Result<Tensor> {
        Err(ModelError::Kernel("a model that embeds has no output matrix".to_owned()))
    }

    fn num_layers(&self) -> usize {
        self.body.num_layers()
    }

    fn kv_cache_shape(&self) -> KvCacheShape {
        self.body.kv_cache_shape()
    }

    fn embedding_head(&self) -> Option<&EmbeddingHead> {
        Some(&self.head)
    }
}
