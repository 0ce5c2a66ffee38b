//! The architectures, one file each, and the registry that finds them by name.

mod decoder;
mod gemma2;
mod gemma3;
mod granite;
mod llama;
mod mistral;
mod olmo2;
mod phi3;
mod qwen2;
mod qwen3;
mod registry;

use tch::Tensor;

use crate::error::Result;
use crate::memory::MHATokenToKVPool;
use crate::ops::{ForwardContext, HeadLayout, Ops};

pub use decoder::{Decoder, DecoderForCausalLM, DecoderLayer, LayerName, PreNormLayer};
pub use registry::{check_architecture, load_model, supported_architectures};

/// A model that gives a distribution over the next token.
pub trait CausalLM: Send + std::fmt::Debug {
    /// Runs all layers over a step's tokens, writing their keys and values to the pool. Gives `[tokens, hidden]`,
    /// normalised for the output matrix.
    ///
    /// # Errors
    /// The backend's.
    fn forward(&self, ops: &dyn Ops, ctx: &ForwardContext<'_>, kv: &MHATokenToKVPool) -> Result<Tensor>;

    /// Logits of rows of [`CausalLM::forward`], as float32 on the host.
    ///
    /// # Errors
    /// The backend's.
    fn logits(&self, ops: &dyn Ops, hidden: &Tensor) -> Result<Tensor>;

    /// Layers with a KV cache.
    fn num_layers(&self) -> usize;

    /// Heads of those layers.
    fn heads(&self) -> HeadLayout;
}
