//! Gemma 2 (Gemma Team, 2024): norms before and after each block, soft-capped scores and logits, and a sliding window
//! in every other layer. Reference: `srt/models/gemma2.py`.

use crate::config::DecoderConfig;
use crate::error::Result;
use crate::layers::{Attention, FeedForward, GatedMLP, LayerStep, LmHead, RMSNorm, ResidualStream};
use crate::loader::{NormStorage, WeightLoader};
use crate::ops::Ops;

use super::decoder::{Decoder, DecoderLayer, LayerName};

/// `Gemma2Model`.
pub(super) fn model(config: &DecoderConfig<'_>, weights: &mut WeightLoader<'_>) -> Result<Decoder> {
    let config = &config.with_norm_storage(NormStorage::LessOne);
    let windows = config.windows(|layer| layer.is_multiple_of(2))?;
    let cap = config.number("attn_logit_softcapping", Some(50.0))?;
    let shape = config.attention(config.attention_bias, config.attention_bias);
    let scale = query_scale(config)?;
    let model = Decoder::load(config, weights, vec![config.rotary()?], |weights, layer| {
        let attention = Attention::load(weights, &layer.of("self_attn"), shape)?.with_options(|options| {
            options.scale = scale;
            options.logit_cap = cap;
            options.sliding_window = windows.of(layer.index);
        });
        GemmaDecoderLayer::load(config, weights, layer, attention)
    })?;
    Ok(model.with_embedding_scale((config.hidden_size as f64).sqrt()))
}

/// Adds the soft cap of the logits.
pub(super) fn head(config: &DecoderConfig<'_>, head: LmHead) -> Result<LmHead> {
    Ok(head.with_softcap(config.number("final_logit_softcapping", Some(30.0))?))
}

/// `query_pre_attn_scalar^-0.5`.
pub(super) fn query_scale(config: &DecoderConfig<'_>) -> Result<f64> {
    Ok(config.number("query_pre_attn_scalar", Some(256.0))?.unwrap_or(256.0).powf(-0.5))
}

/// The layer of Gemma 2 and 3.
#[derive(Debug)]
pub(super) struct GemmaDecoderLayer {
    input_layernorm: RMSNorm,
    self_attn: Attention,
    post_attention_layernorm: RMSNorm,
    pre_feedforward_layernorm: RMSNorm,
    mlp: GatedMLP,
    post_feedforward_layernorm: RMSNorm,
}

impl GemmaDecoderLayer {
    /// Loads norms and feed-forward block for an attention block.
    pub(super) fn load(
        config: &DecoderConfig<'_>,
        weights: &mut WeightLoader<'_>,
        name: &LayerName,
        self_attn: Attention,
    ) -> Result<Self> {
        Ok(Self {
            input_layernorm: config.norm(weights, &name.of("input_layernorm"))?,
            self_attn,
            post_attention_layernorm: config.norm(weights, &name.of("post_attention_layernorm"))?,
            pre_feedforward_layernorm: config.norm(weights, &name.of("pre_feedforward_layernorm"))?,
            mlp: GatedMLP::load(weights, &name.of("mlp"), config.mlp()?)?,
            post_feedforward_layernorm: config.norm(weights, &name.of("post_feedforward_layernorm"))?,
        })
    }
}

impl DecoderLayer for GemmaDecoderLayer {
    fn forward(&self, ops: &dyn Ops, stream: &mut ResidualStream, step: &LayerStep<'_>) -> Result<()> {
        let x = stream.normalized(ops, &self.input_layernorm)?;
        let x = self.self_attn.forward(ops, &x, step)?;
        stream.add(ops, self.post_attention_layernorm.forward(ops, &x)?)?;
        let x = stream.normalized(ops, &self.pre_feedforward_layernorm)?;
        let x = self.mlp.forward(ops, &x, step.ctx)?;
        stream.add(ops, self.post_feedforward_layernorm.forward(ops, &x)?)
    }
}
