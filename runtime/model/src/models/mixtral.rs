//! Mixtral (Jiang et al., 2024): Mistral with experts. Reference: `srt/models/mixtral.py`.

use crate::config::DecoderConfig;
use crate::error::Result;
use crate::layers::Attention;
use crate::loader::{ExpertNames, WeightLoader};

use super::decoder::{Decoder, PreNormLayer};
use super::moe::MoeShape;

/// `MixtralForCausalLM`.
pub(super) fn model(config: &DecoderConfig<'_>, weights: &mut WeightLoader<'_>) -> Result<Decoder> {
    let attention = config.attention(false, false);
    let windows = config.windows(|_| true)?;
    let moe = MoeShape::new(config, "intermediate_size", true)?;
    Decoder::load(config, weights, vec![config.rotary()?], |weights, layer| {
        let attention = Attention::load(weights, &layer.of("self_attn"), attention)?
            .with_sliding_window(windows.of(layer.index));
        let mlp = moe.load(config, weights, layer, "block_sparse_moe", ExpertNames::MIXTRAL)?;
        PreNormLayer::load(config, weights, layer, attention, mlp)
    })
}
