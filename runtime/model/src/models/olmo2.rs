//! OLMo 2 (Walsh et al., 2024): norms follow the blocks, and queries and keys are normalised over all heads. OLMo 3 has
//! sliding windows in three of four layers, whose rotation is not scaled. Reference: `srt/models/olmo2.py`.

use crate::config::DecoderConfig;
use crate::error::Result;
use crate::layers::{Attention, FeedForward, GatedMLP, LayerStep, RMSNorm, ResidualStream};
use crate::loader::WeightLoader;
use crate::ops::Ops;

use super::decoder::{Decoder, DecoderLayer};

/// Indices of the rotations of full-attention and sliding-window layers.
const GLOBAL: usize = 0;
const LOCAL: usize = 1;

/// `Olmo2Model` and `Olmo3Model`.
pub(super) fn model(config: &DecoderConfig<'_>, weights: &mut WeightLoader<'_>) -> Result<Decoder> {
    let (heads, bias) = (config.heads(), config.attention_bias);
    // OLMo 2 has no `sliding_window`, so all layers have full attention.
    let windows = config.windows(|layer| !(layer + 1).is_multiple_of(4))?;
    let local = config.rotary_of(
        config.rope_local_theta.unwrap_or(config.rope_theta),
        config.rope_local_scaling.as_ref(),
    )?;
    Decoder::load(config, weights, vec![config.rotary()?, local], |weights, layer| {
        let window = windows.of(layer.index);
        let q_norm = config.norm_of(weights, &layer.of("self_attn.q_norm"), heads.q_size())?;
        let k_norm = config.norm_of(weights, &layer.of("self_attn.k_norm"), heads.kv_size())?;
        let attention = Attention::load(weights, &layer.of("self_attn"), config.attention(bias, bias))?;
        Ok(Olmo2DecoderLayer {
            self_attn: attention
                .with_qk_norm(q_norm, k_norm)
                .with_rope(Some(if window.is_some() { LOCAL } else { GLOBAL }))
                .with_sliding_window(window),
            post_attention_layernorm: config.norm(weights, &layer.of("post_attention_layernorm"))?,
            mlp: GatedMLP::load(weights, &layer.of("mlp"), config.mlp()?)?,
            post_feedforward_layernorm: config.norm(weights, &layer.of("post_feedforward_layernorm"))?,
        })
    })
}

#[derive(Debug)]
struct Olmo2DecoderLayer {
    self_attn: Attention,
    post_attention_layernorm: RMSNorm,
    mlp: GatedMLP,
    post_feedforward_layernorm: RMSNorm,
}

impl DecoderLayer for Olmo2DecoderLayer {
    fn forward(&self, ops: &dyn Ops, stream: &mut ResidualStream, step: &LayerStep<'_>) -> Result<()> {
        let x = self.self_attn.forward(ops, stream.sum(ops)?, step)?;
        stream.add(ops, self.post_attention_layernorm.forward(ops, &x)?)?;
        let x = self.mlp.forward(ops, stream.sum(ops)?, step.ctx)?;
        stream.add(ops, self.post_feedforward_layernorm.forward(ops, &x)?)
    }
}
