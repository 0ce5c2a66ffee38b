//! Qwen3 (Yang et al., 2025): every query and key head is normalised before it is rotated. Reference:
//! `srt/models/qwen3.py`.

use crate::config::DecoderConfig;
use crate::error::Result;
use crate::layers::{Attention, GatedMLP};
use crate::loader::WeightLoader;

use super::decoder::{Decoder, LayerName, PreNormLayer};
use super::qwen2;

/// `Qwen3Model`.
pub(super) fn model(config: &DecoderConfig<'_>, weights: &mut WeightLoader<'_>) -> Result<Decoder> {
    let windows = qwen2::windows(config)?;
    Decoder::load(config, weights, vec![config.rotary()?], |weights, layer| {
        let attention = attention(config, weights, layer)?.with_sliding_window(windows.of(layer.index));
        let mlp = GatedMLP::load(weights, &layer.of("mlp"), config.mlp()?)?;
        PreNormLayer::load(config, weights, layer, attention, mlp)
    })
}

/// Attention with a norm per head.
pub(super) fn attention(
    config: &DecoderConfig<'_>,
    weights: &mut WeightLoader<'_>,
    layer: &LayerName,
) -> Result<Attention> {
    let shape = config.attention(config.attention_bias, config.attention_bias);
    let q_norm = config.norm_of(weights, &layer.of("self_attn.q_norm"), config.head_dim)?;
    let k_norm = config.norm_of(weights, &layer.of("self_attn.k_norm"), config.head_dim)?;
    Ok(Attention::load(weights, &layer.of("self_attn"), shape)?.with_qk_norm(q_norm, k_norm))
}
