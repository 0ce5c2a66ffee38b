//! Llama (Touvron et al., 2023). Reference: `srt/models/llama.py`.

use crate::config::DecoderConfig;
use crate::error::Result;
use crate::layers::{Attention, GatedMLP};
use crate::loader::WeightLoader;

use super::decoder::{Decoder, PreNormLayer};

/// `LlamaModel`. All attention projections have biases if `attention_bias` is set.
pub(super) fn model(config: &DecoderConfig<'_>, weights: &mut WeightLoader<'_>) -> Result<Decoder> {
    let shape = config.attention(config.attention_bias, config.attention_bias);
    Decoder::load(config, weights, vec![config.rotary()?], |weights, layer| {
        let attention = Attention::load(weights, &layer.of("self_attn"), shape)?;
        let mlp = GatedMLP::load(weights, &layer.of("mlp"), config.mlp()?)?;
        PreNormLayer::load(config, weights, layer, attention, mlp)
    })
}
