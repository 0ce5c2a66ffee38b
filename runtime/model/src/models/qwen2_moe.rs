//! Qwen1.5-MoE and Qwen2-MoE: Qwen2 with experts and a gated shared expert. Reference: `srt/models/qwen2_moe.py`.

use crate::config::DecoderConfig;
use crate::error::Result;
use crate::layers::{Attention, MlpShape};
use crate::loader::{ExpertNames, WeightLoader};

use super::decoder::{Decoder, PreNormLayer};
use super::moe::{MoeShape, SparseLayers, gated_shared_expert};

/// Default of `max_window_layers`.
const MAX_WINDOW_LAYERS: usize = 28;

/// `Qwen2MoeForCausalLM`.
pub(super) fn model(config: &DecoderConfig<'_>, weights: &mut WeightLoader<'_>) -> Result<Decoder> {
    let qkv_bias = config.raw.get("qkv_bias").is_none_or(|v| v.as_bool() != Some(false));
    let attention = config.attention(qkv_bias, false);
    let moe = MoeShape::new(config, "moe_intermediate_size", config.flag("norm_topk_prob")?)?;
    // 0 means that there is none.
    let shared = match config.count("shared_expert_intermediate_size")? {
        Some(0) => None,
        _ => {
            let intermediate_size = config.required("shared_expert_intermediate_size")?;
            Some(MlpShape { intermediate_size, bias: false, ..config.mlp()? })
        }
    };
    let sparse = SparseLayers::new(config)?;
    let max_window_layers = config.count("max_window_layers")?.unwrap_or(MAX_WINDOW_LAYERS);
    let windows = config.windows(|layer| layer.is_multiple_of(2) && layer < max_window_layers)?;
    Decoder::load(config, weights, vec![config.rotary()?], |weights, layer| {
        let attention = Attention::load(weights, &layer.of("self_attn"), attention)?
            .with_sliding_window(windows.of(layer.index));
        let mlp = sparse.load(config, weights, layer, |weights| {
            let block = moe.load(config, weights, layer, "mlp", ExpertNames::PROJ)?;
            let Some(shared) = shared else { return Ok(block) };
            let shared = gated_shared_expert(weights, &layer.of("mlp.shared_expert"), shared)?;
            Ok(block.with_shared_expert(shared))
        })?;
        PreNormLayer::load(config, weights, layer, attention, mlp)
    })
}
