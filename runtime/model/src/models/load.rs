//! The model that a configuration asks for.

use std::path::Path;

use sglang_checkpoint::ModelConfig;

use crate::error::Result;
use crate::loader::WeightLoader;

use super::{CausalLM, DecoderForCausalLM, embedding, registry};

/// Refuses a configuration without a known architecture, before anything is loaded.
///
/// # Errors
/// [`ModelError::Architecture`], listing what is known.
pub fn check_architecture(config: &ModelConfig, path: &Path) -> Result<()> {
    match config.pooling {
        Some(_) => embedding::check(config, path),
        None => registry::find(config, path).map(|_| ()),
    }
}

/// Builds the first architecture of the configuration that is known, in its embedding form when
/// [`ModelConfig::pooling`] is set. `context_length` is the length it is served with,
/// `path` the model's, for messages.
///
/// # Errors
/// An unknown architecture, or what the model's own loading refuses.
pub fn load_model(
    config: &ModelConfig,
    context_length: usize,
    path: &Path,
    weights: &mut WeightLoader<'_>,
) -> Result<Box<dyn CausalLM>> {
    if let Some(pooling) = config.pooling {
        let model = embedding::load(config, pooling, context_length, path, weights)?;
        return Ok(Box::new(model));
    }
    registry::load_decoder(config, context_length, path, weights, DecoderForCausalLM::load_head)
}
