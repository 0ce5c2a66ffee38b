//! gpt-oss: experts with biases and a clamped activation, attention with sinks, and a sliding window in every other
//! layer. Reference: `srt/models/gpt_oss.py`.

use crate::config::DecoderConfig;
use crate::error::Result;
use crate::layers::{Attention, SparseMoeBlock};
use crate::loader::WeightLoader;
use crate::ops::Activation;

use super::decoder::{Decoder, PreNormLayer};
use super::moe::MoeShape;

/// Default of `swiglu_alpha`, the steepness of the activation's sigmoid.
const ALPHA: f64 = 1.702;
/// Default of `swiglu_limit`, the bound of the activation.
const LIMIT: f64 = 7.0;

/// `GptOssForCausalLM`.
pub(super) fn model(config: &DecoderConfig<'_>, weights: &mut WeightLoader<'_>) -> Result<Decoder> {
    let bias = config.raw.get("attention_bias").is_none_or(|v| v.as_bool() != Some(false));
    let attention = config.attention(bias, bias);
    let alpha = config.number("swiglu_alpha", Some(ALPHA))?.unwrap_or(ALPHA);
    let limit = config.number("swiglu_limit", Some(LIMIT))?.unwrap_or(LIMIT);
    // The softmax is over the chosen experts only, which equals dividing by their sum.
    let moe = MoeShape::new(config, "intermediate_size", true)?;
    let moe = MoeShape { activation: Activation::ClampedSwiglu { alpha, limit }, ..moe };
    let windows = config.windows(|layer| layer.is_multiple_of(2))?;
    let (hidden, num_heads) = (config.hidden_size, config.num_attention_heads);
    Decoder::load(config, weights, vec![config.rotary()?], |weights, layer| {
        let sinks = weights.float_vector(&layer.of("self_attn.sinks"), num_heads)?;
        let attention = Attention::load(weights, &layer.of("self_attn"), attention)?
            .with_sliding_window(windows.of(layer.index))
            .with_options(|options| options.sinks = Some(sinks));
        let router = layer.of("mlp.router");
        let mlp = SparseMoeBlock {
            layer_idx: layer.index,
            gate: weights.linear(&[(&router, moe.num_experts)], hidden, true)?,
            topk: moe.topk.clone(),
            experts: weights.interleaved_experts(
                &layer.of("mlp.experts"),
                moe.num_experts,
                hidden,
                moe.intermediate_size,
                moe.activation,
            )?,
            shared_expert: None,
        };
        PreNormLayer::load(config, weights, layer, attention, mlp)
    })
}
