//! Architectures by the name that checkpoints give them.

use std::path::Path;

use sglang_checkpoint::ModelConfig;

use crate::config::DecoderConfig;
use crate::error::{ModelError, Result};
use crate::loader::WeightLoader;

use super::{CausalLM, DecoderForCausalLM, llama};

type Load = fn(&DecoderConfig<'_>, &mut WeightLoader<'_>) -> Result<DecoderForCausalLM>;

/// Every architecture: the name in `architectures`, and what builds it.
const REGISTRY: [(&str, Load); 1] = [("LlamaForCausalLM", llama::causal_lm)];

/// Names that [`load_model`] knows.
pub fn supported_architectures() -> Vec<&'static str> {
    REGISTRY.iter().map(|(name, _)| *name).collect()
}

/// Refuses a configuration without a known architecture, before anything is loaded.
///
/// # Errors
/// [`ModelError::Architecture`], listing what is known.
pub fn check_architecture(config: &ModelConfig, path: &Path) -> Result<()> {
    find(config, path).map(|_| ())
}

/// Builds the first architecture of the configuration that is known. `context_length` is the length it is served with,
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
    let load = find(config, path)?;
    Ok(Box::new(load(&DecoderConfig::new(config, context_length, path), weights)?))
}

fn find(config: &ModelConfig, path: &Path) -> Result<Load> {
    let known = config.architectures.iter().find_map(|a| REGISTRY.iter().find(|(name, _)| name == a));
    known.map(|(_, load)| *load).ok_or_else(|| ModelError::Architecture {
        file: path.to_owned(),
        found: config.architectures.join(", "),
        supported: supported_architectures().join(", "),
    })
}
