//! Granite 3 (IBM, 2024): Llama with factors for embeddings, scores, block outputs and logits. Reference:
//! `srt/models/granite.py`.

use crate::config::DecoderConfig;
use crate::error::Result;
use crate::layers::{Attention, FeedForward, GatedMLP, LayerStep, LmHead, RMSNorm, ResidualStream};
use crate::loader::WeightLoader;
use crate::ops::Ops;

use super::decoder::{Decoder, DecoderLayer};

/// `GraniteModel`.
pub(super) fn model(config: &DecoderConfig<'_>, weights: &mut WeightLoader<'_>) -> Result<Decoder> {
    let shape = config.attention(config.attention_bias, config.attention_bias);
    let attention_multiplier = factor(config, "attention_multiplier")?;
    let residual_multiplier = factor(config, "residual_multiplier")?;
    let model = Decoder::load(config, weights, vec![config.rotary()?], |weights, layer| {
        let attention = Attention::load(weights, &layer.of("self_attn"), shape)?;
        Ok(GraniteDecoderLayer {
            input_layernorm: config.norm(weights, &layer.of("input_layernorm"))?,
            self_attn: attention.with_options(|options| options.scale = attention_multiplier),
            post_attention_layernorm: config.norm(weights, &layer.of("post_attention_layernorm"))?,
            mlp: GatedMLP::load(weights, &layer.of("mlp"), config.mlp()?)?,
            residual_multiplier,
        })
    })?;
    Ok(model.with_embedding_scale(factor(config, "embedding_multiplier")?))
}

/// Adds the divisor of the logits.
pub(super) fn head(config: &DecoderConfig<'_>, head: LmHead) -> Result<LmHead> {
    Ok(head.with_scale(1.0 / factor(config, "logits_scaling")?))
}

fn factor(config: &DecoderConfig<'_>, key: &str) -> Result<f64> {
    Ok(config.number(key, None)?.unwrap_or(1.0))
}

#[derive(Debug)]
struct GraniteDecoderLayer {
    input_layernorm: RMSNorm,
    self_attn: Attention,
    post_attention_layernorm: RMSNorm,
    mlp: GatedMLP,
    residual_multiplier: f64,
}

impl DecoderLayer for GraniteDecoderLayer {
    fn forward(&self, ops: &dyn Ops, stream: &mut ResidualStream, step: &LayerStep<'_>) -> Result<()> {
        let x = stream.normalized(ops, &self.input_layernorm)?;
        let mut x = self.self_attn.forward(ops, &x, step)?;
        ops.scale(&mut x, self.residual_multiplier)?;
        stream.add(ops, x)?;
        let x = stream.normalized(ops, &self.post_attention_layernorm)?;
        let mut x = self.mlp.forward(ops, &x, step.ctx)?;
        ops.scale(&mut x, self.residual_multiplier)?;
        stream.add(ops, x)
    }
}
