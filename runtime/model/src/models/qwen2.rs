//! Qwen2 and Qwen2.5 (Yang et al., 2024): Llama with biases on queries, keys and values. Reference:
//! `srt/models/qwen2.py`.

use crate::config::{DecoderConfig, LayerWindows};
use crate::error::Result;
use crate::layers::{Attention, GatedMLP};
use crate::loader::WeightLoader;

use super::decoder::{Decoder, PreNormLayer};

/// `Qwen2Model`.
pub(super) fn model(config: &DecoderConfig<'_>, weights: &mut WeightLoader<'_>) -> Result<Decoder> {
    let shape = config.attention(true, false);
    let windows = windows(config)?;
    Decoder::load(config, weights, vec![config.rotary()?], |weights, layer| {
        let attention = Attention::load(weights, &layer.of("self_attn"), shape)?
            .with_sliding_window(windows.of(layer.index));
        let mlp = GatedMLP::load(weights, &layer.of("mlp"), config.mlp()?)?;
        PreNormLayer::load(config, weights, layer, attention, mlp)
    })
}

/// Sliding windows begin at layer `max_window_layers`, if `use_sliding_window` is set.
pub(super) fn windows(config: &DecoderConfig<'_>) -> Result<LayerWindows> {
    let first = config.count("max_window_layers")?.unwrap_or(28);
    config.windows(|layer| layer >= first)
}
