//! Gemma 3 (Gemma Team, 2025), the text model: Gemma 2 with normalised queries and keys and without soft caps. Five
//! sliding-window layers, which have a separate rotation, alternate with one full-attention layer. Reference:
//! `srt/models/gemma3_causal.py`.

use crate::config::DecoderConfig;
use crate::error::Result;
use crate::layers::{Attention, LmHead};
use crate::loader::{NormStorage, WeightLoader};

use super::decoder::Decoder;
use super::gemma2::{GemmaDecoderLayer, query_scale};

/// Indices of the rotations of full-attention and sliding-window layers.
const GLOBAL: usize = 0;
const LOCAL: usize = 1;

/// `Gemma3TextModel`.
pub(super) fn model(config: &DecoderConfig<'_>, weights: &mut WeightLoader<'_>) -> Result<Decoder> {
    if config.flag("use_bidirectional_attention")? {
        let why = "true is not supported by this architecture; expected false".to_owned();
        return Err(config.wrong("use_bidirectional_attention", why));
    }
    let config = &config.with_norm_storage(NormStorage::LessOne);
    let every = config.count("sliding_window_pattern")?.unwrap_or(6).max(1);
    let windows = config.windows(|layer| !(layer + 1).is_multiple_of(every))?;
    let cap = config.number("attn_logit_softcapping", None)?;
    let shape = config.attention(config.attention_bias, config.attention_bias);
    let scale = query_scale(config)?;
    let local =
        config.rotary_of(config.rope_local_theta.unwrap_or(10_000.0), config.rope_local_scaling.as_ref())?;
    let model = Decoder::load(config, weights, vec![config.rotary()?, local], |weights, layer| {
        let q_norm = config.norm_of(weights, &layer.of("self_attn.q_norm"), config.head_dim)?;
        let k_norm = config.norm_of(weights, &layer.of("self_attn.k_norm"), config.head_dim)?;
        let window = windows.of(layer.index);
        let attention = Attention::load(weights, &layer.of("self_attn"), shape)?
            .with_qk_norm(q_norm, k_norm)
            .with_rope(Some(if window.is_some() { LOCAL } else { GLOBAL }))
            .with_options(|options| {
                options.scale = scale;
                options.logit_cap = cap;
                options.sliding_window = window;
            });
        GemmaDecoderLayer::load(config, weights, layer, attention)
    })?;
    Ok(model.with_embedding_scale((config.hidden_size as f64).sqrt()))
}

/// Adds the soft cap of the logits if the configuration has one.
pub(super) fn head(config: &DecoderConfig<'_>, head: LmHead) -> Result<LmHead> {
    Ok(head.with_softcap(config.number("final_logit_softcapping", None)?))
}
