//! Builds the model of a configuration.

use std::path::Path;

use sglang_checkpoint::ModelConfig;

use crate::error::Result;
use crate::loader::WeightLoader;

use super::{CausalLM, DecoderForCausalLM, embedding, registry};

/// Returns an error for an unknown architecture, before anything is loaded.
///
/// # Errors
/// [`ModelError::Architecture`], which lists the supported ones.
pub fn check_architecture(config: &ModelConfig, path: &Path) -> Result<()> {
    match config.pooling {
        Some(_) => embedding::check(config, path),
        None => registry::find(config, path).map(|_| ()),
    }
}

/// Builds the first known architecture of the configuration, in its embedding form if [`ModelConfig::pooling`] is set.
/// `context_length` is the served length; `path` is the model's path, for error messages.
///
/// # Errors
/// The architecture is unknown, or loading it fails.
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
