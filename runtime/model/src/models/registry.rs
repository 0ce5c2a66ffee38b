//! Architectures that generate text, by their name in checkpoints.

use std::path::Path;

use sglang_checkpoint::ModelConfig;

use crate::config::DecoderConfig;
use crate::error::{ModelError, Result};
use crate::layers::LmHead;
use crate::loader::WeightLoader;

use super::{
    CausalLM, Decoder, DecoderForCausalLM, deepseek, forms, gemma2, gemma3, gpt_oss, granite, llama, mistral,
    mixtral, olmo2, phi3, qwen2, qwen2_moe, qwen3, qwen3_moe,
};

/// How to build a model of an architecture.
#[derive(Clone, Copy)]
pub(super) struct Architecture {
    /// Name in `architectures`.
    name: &'static str,
    /// Builds everything below the output head.
    pub(super) model: fn(&DecoderConfig<'_>, &mut WeightLoader<'_>) -> Result<Decoder>,
    /// Sets scale and cap of the logits.
    head: fn(&DecoderConfig<'_>, LmHead) -> Result<LmHead>,
}

/// An architecture without scale or cap of the logits.
const fn row(
    name: &'static str,
    model: fn(&DecoderConfig<'_>, &mut WeightLoader<'_>) -> Result<Decoder>,
) -> Architecture {
    Architecture { name, model, head: |_, head| Ok(head) }
}

/// All architectures that generate text.
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

/// Names of the architectures that generate text.
pub fn supported_architectures() -> Vec<&'static str> {
    REGISTRY.iter().map(|a| a.name).collect()
}

/// Builds the first known architecture of the configuration, with the output head from `load_head`.
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

/// The first known architecture of the configuration.
pub(super) fn find(config: &ModelConfig, path: &Path) -> Result<Architecture> {
    let known = config.architectures.iter().find_map(|a| REGISTRY.iter().find(|row| row.name == a));
    known.copied().ok_or_else(|| ModelError::Architecture {
        file: path.to_owned(),
        found: config.architectures.join(", "),
        supported: REGISTRY
            .iter()
            .map(|a| a.name)
            .chain(forms::architectures())
            .collect::<Vec<_>>()
            .join(", "),
    })
}
