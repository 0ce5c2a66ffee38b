//! OLMo 2 (Walsh et al., 2024): blocks are normalised after they have run, and queries and keys over all their heads.
//! Reference: `srt/models/olmo2.py`.

use crate::config::DecoderConfig;
use crate::error::Result;
use crate::layers::{Attention, FeedForward, GatedMLP, LayerStep, RMSNorm, ResidualStream};
use crate::loader::WeightLoader;
use crate::ops::Ops;

use super::decoder::{Decoder, DecoderLayer};

/// `Olmo2Model`.
pub(super) fn model(config: &DecoderConfig<'_>, weights: &mut WeightLoader<'_>) -> Result<Decoder> {
    let (heads, bias) = (config.heads(), config.attention_bias);
    Decoder::load(config, weights, vec![config.rotary()?], |weights, layer| {
        let q_norm = config.norm_of(weights, &layer.of("self_attn.q_norm"), heads.q_size())?;
        let k_norm = config.norm_of(weights, &layer.of("self_attn.k_norm"), heads.kv_size())?;
        let attention = Attention::load(weights, &layer.of("self_attn"), config.attention(bias, bias))?;
        Ok(Olmo2DecoderLayer {
            self_attn: attention.with_qk_norm(q_norm, k_norm),
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
