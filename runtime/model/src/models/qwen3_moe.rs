//! Qwen3-MoE: Qwen3 with experts. Reference: `srt/models/qwen3_moe.py`.

use crate::config::DecoderConfig;
use crate::error::Result;
use crate::loader::{ExpertNames, WeightLoader};

use super::decoder::{Decoder, PreNormLayer};
use super::moe::{MoeShape, SparseLayers};
use super::qwen3;

/// `Qwen3MoeForCausalLM`.
pub(super) fn model(config: &DecoderConfig<'_>, weights: &mut WeightLoader<'_>) -> Result<Decoder> {
    let windows = config.windows(|_| true)?;
    let moe = MoeShape::new(config, "moe_intermediate_size", config.flag("norm_topk_prob")?)?;
    let sparse = SparseLayers::new(config)?;
    Decoder::load(config, weights, vec![config.rotary()?], |weights, layer| {
        let attention =
            qwen3::attention(config, weights, layer)?.with_sliding_window(windows.of(layer.index));
        let mlp = sparse.load(config, weights, layer, |weights| {
            moe.load(config, weights, layer, "mlp", ExpertNames::PROJ)
        })?;
        PreNormLayer::load(config, weights, layer, attention, mlp)
    })
}
