//! Architectures by the name that checkpoints give them.

use std::path::Path;

use sglang_checkpoint::ModelConfig;

use crate::config::DecoderConfig;
use crate::error::{ModelError, Result};
use crate::layers::LmHead;
use crate::loader::WeightLoader;

use super::{
    CausalLM, Decoder, DecoderForCausalLM, deepseek, embedding, gemma2, gemma3, gpt_oss, granite, llama,
    mistral, mixtral, olmo2, phi3, qwen2, qwen2_moe, qwen3, qwen3_moe,
};

/// How the models of one name are built.
#[derive(Clone, Copy)]
pub(super) struct Architecture {
    /// Name in `architectures`.
    name: &'static str,
    /// Builds everything below the output matrix.
    pub(super) model: fn(&DecoderConfig<'_>, &mut WeightLoader<'_>) -> Result<Decoder>,
    /// Says what is done to the logits.
    head: fn(&DecoderConfig<'_>, LmHead) -> Result<LmHead>,
}

/// An architecture whose logits are the products themselves.
const fn row(
    name: &'static str,
    model: fn(&DecoderConfig<'_>, &mut WeightLoader<'_>) -> Result<Decoder>,
) -> Architecture {
    Architecture { name, model, head: |_, head| Ok(head) }
}

/// Every architecture that generates.
const REGISTRY: [Architecture; 18] = [
    row("LlamaForCausalLM", llama::model),
    row("MistralForCausalLM", mistral::model),
    row("Mistral3ForConditionalGeneration", mistral::model),
    row("Qwen2ForCausalLM", qwen2::model),
    row("Qwen3ForCausalLM", qwen3::model),
    Architecture { head: gemma2::head, ..row("Gemma2ForCausalLM", gemma2::model) },
    Architecture { head: gemma3::head, ..row("Gemma3ForCausalLM", gemma3::model) },
    Architecture { head: gemma3::head, ..row("Gemma3ForConditionalGeneration", gemma3::model) },
    Architecture { head: granite::head, ..row("GraniteForCausalLM", granite::model) },
    row("Phi3ForCausalLM", phi3::model),
    row("Olmo2ForCausalLM", olmo2::model),
    row("Olmo3ForCausalLM", olmo2::model),
    row("MixtralForCausalLM", mixtral::model),
    row("Qwen2MoeForCausalLM", qwen2_moe::model),
    row("Qwen3MoeForCausalLM", qwen3_moe::model),
    row("GptOssForCausalLM", gpt_oss::model),
    row("DeepseekV2ForCausalLM", deepseek::v2),
    row("DeepseekV3ForCausalLM", deepseek::v3),
];

/// Names of the architectures that generate.
pub fn supported_architectures() -> Vec<&'static str> {
    REGISTRY.iter().map(|a| a.name).collect()
}

/// Refuses a configuration without a known architecture, before anything is loaded.
///
/// # Errors
/// [`ModelError::Architecture`], listing what is known.
pub fn check_architecture(config: &ModelConfig, path: &Path) -> Result<()> {
    match config.pooling {
        Some(_) => embedding::check(config, path),
        None => find(config, path).map(|_| ()),
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
    load_decoder(config, context_length, path, weights, DecoderForCausalLM::load_head)
}

/// Builds the first architecture of the configuration that is known, with the output matrix that `load_head` gives.
pub(super) fn load_decoder(
    config: &ModelConfig,
    context_length: usize,
    path: &Path,
    weights: &mut WeightLoader<'_>,
    load_head: impl FnOnce(&DecoderConfig<'_>, &mut WeightLoader<'_>) -> Result<LmHead>,
) -> Result<Box<dyn CausalLM>> {
    let architecture = find(config, path)?;
    let config = DecoderConfig::new(config, context_length, path);
    let model = (architecture.model)(&config, weights)?;
    let head = (architecture.head)(&config, load_head(&config, weights)?)?;
    Ok(Box::new(DecoderForCausalLM::new(model, head)))
}

/// The first architecture of the configuration that is known.
pub(super) fn find(config: &ModelConfig, path: &Path) -> Result<Architecture> {
    let known = config.architectures.iter().find_map(|a| REGISTRY.iter().find(|row| row.name == a));
    known.copied().ok_or_else(|| ModelError::Architecture {
        file: path.to_owned(),
        found: config.architectures.join(", "),
        supported: REGISTRY
            .iter()
            .map(|a| a.name)
            .chain(embedding::architectures())
            .collect::<Vec<_>>()
            .join(", "),
    })
}
