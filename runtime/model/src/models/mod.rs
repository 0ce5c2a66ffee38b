//! The model architectures, one file each, and the registry that finds them by name.

mod bert;
mod decoder;
mod deepseek;
pub mod embedding;
mod forms;
mod gemma2;
mod gemma3;
mod gpt_oss;
mod granite;
mod llama;
mod load;
mod mistral;
mod mixtral;
mod moe;
mod olmo2;
mod phi3;
mod qwen2;
mod qwen2_moe;
mod qwen3;
mod qwen3_moe;
mod registry;

use tch::Tensor;

use crate::error::Result;
use crate::memory::{KvCacheShape, MHATokenToKVPool};
use crate::ops::{ForwardContext, Ops, StepAdapters};

pub use bert::{BertModel, PositionNumbers};
pub use decoder::{Decoder, DecoderForCausalLM, DecoderLayer, LayerName, PreNormLayer};
pub use embedding::{EmbeddingHead, EmbeddingModel};
pub use load::{check_architecture, load_model};
pub use registry::supported_architectures;

/// A model that computes a distribution of the next token or, with an [`EmbeddingHead`], an embedding or scores per
/// prompt.
pub trait CausalLM: Send + std::fmt::Debug {
    /// Runs all layers on a step's tokens and writes their keys and values to the pool. Returns `[tokens, hidden]`,
    /// normalised for the output head.
    ///
    /// # Errors
    /// An error of the backend.
    fn forward(&self, ops: &dyn Ops, ctx: &ForwardContext<'_>, kv: &MHATokenToKVPool) -> Result<Tensor>;

    /// Logits for rows of [`CausalLM::forward`], as float32 on the device. `lora` has the adapters of these rows.
    ///
    /// # Errors
    /// An error of the backend.
    fn logits(&self, ops: &dyn Ops, hidden: &Tensor, lora: Option<&dyn StepAdapters>) -> Result<Tensor>;

    /// Number of layers with a KV cache.
    fn num_layers(&self) -> usize;

    /// What the cache of such a layer holds per token.
    fn kv_cache_shape(&self) -> KvCacheShape;

    /// The head of models that embed, score or classify prompts; `None` for models that generate.
    fn embedding_head(&self) -> Option<&EmbeddingHead> {
        None
    }
}
