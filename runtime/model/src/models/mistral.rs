//! Mistral 7B (Jiang et al., 2023): Llama with a sliding window in every layer. Reference: `srt/models/mistral.py`, and
//! transformers for the window.

use crate::config::DecoderConfig;
use crate::error::Result;
use crate::layers::{Attention, GatedMLP};
use crate::loader::WeightLoader;

use super::decoder::{Decoder, PreNormLayer};

/// `MistralModel`.
pub(super) fn model(config: &DecoderConfig<'_>, weights: &mut WeightLoader<'_>) -> Result<Decoder> {
    let shape = config.attention(false, false);
    let windows = config.windows(|_| true)?;
    Decoder::load(config, weights, vec![config.rotary()?], |weights, layer| {
        let attention = Attention::load(weights, &layer.of("self_attn"), shape)?
            .with_sliding_window(windows.of(layer.index));
        let mlp = GatedMLP::load(weights, &layer.of("mlp"), config.mlp()?)?;
        PreNormLayer::load(config, weights, layer, attention, mlp)
    })
}
