//! Phi-3 and Phi-4-mini (Abdin et al., 2024): Llama with merged projections in the checkpoint, a sliding window, and
//! optionally partial rotation of heads. Reference: transformers' `models/phi3`.

use crate::config::DecoderConfig;
use crate::error::Result;
use crate::layers::{Attention, GatedMLP};
use crate::loader::WeightLoader;

use super::decoder::{Decoder, PreNormLayer};

/// `Phi3Model`.
pub(super) fn model(config: &DecoderConfig<'_>, weights: &mut WeightLoader<'_>) -> Result<Decoder> {
    let shape = config.attention(false, false);
    let windows = config.windows(|_| true)?;
    Decoder::load(config, weights, vec![config.rotary()?], |weights, layer| {
        let attention = Attention::load_merged(weights, &layer.of("self_attn"), shape)?
            .with_sliding_window(windows.of(layer.index));
        let mlp = GatedMLP::load_merged(weights, &layer.of("mlp"), config.mlp()?)?;
        PreNormLayer::load(config, weights, layer, attention, mlp)
    })
}
