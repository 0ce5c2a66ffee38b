//! A model's shape as its code needs it, checked.

use std::path::Path;

use sglang_checkpoint::ModelConfig;

use crate::error::{ModelError, Result};
use crate::layers::{RopeParameters, RotaryEmbedding};
use crate::ops::HeadLayout;

/// What Llama-like models are made from. Field names are those of `config.json`.
#[derive(Clone, Debug)]
pub struct LlamaConfig {
    /// Token ids.
    pub vocab_size: usize,
    /// Columns of the residual stream.
    pub hidden_size: usize,
    /// Columns inside the feed-forward blocks.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub heads: HeadLayout,
    /// Added to the mean square before the root.
    pub rms_norm_eps: f64,
    /// Rotary frequencies.
    pub rotary: RotaryEmbedding,
    /// Whether the output matrix is the embedding.
    pub tie_word_embeddings: bool,
    /// Whether the query, key and value projections have biases.
    pub attention_bias: bool,
    /// Whether the attention's output projection has a bias.
    pub attention_out_bias: bool,
    /// Whether the feed-forward projections have biases.
    pub mlp_bias: bool,
}

impl LlamaConfig {
    /// Takes what Llama needs from a configuration; `path` is the model's, for messages.
    ///
    /// # Errors
    /// An activation other than SiLU, or heads of an odd width.
    pub fn new(config: &ModelConfig, context_length: usize, path: &Path) -> Result<Self> {
        let fail = |field: &str, why: String| ModelError::Config {
            file: path.to_owned(),
            field: field.to_owned(),
            why,
        };
        if config.hidden_act != "silu" {
            return Err(fail(
                "hidden_act",
                format!("{} is not supported by this architecture; expected silu", config.hidden_act),
            ));
        }
        if !config.head_dim.is_multiple_of(2) {
            return Err(fail("head_dim", format!("expected an even number, found {}", config.head_dim)));
        }
        let rotary = RotaryEmbedding::new(&RopeParameters {
            theta: config.rope_theta,
            rotary_dim: config.head_dim,
            scaling: config.rope_scaling.as_ref(),
            divisors: config.rope_freq_factors.as_deref(),
            max_position_embeddings: config.max_position_embeddings,
            context_length,
        });
        if rotary.rotary_dim() != config.head_dim {
            let why = format!("expected {} entries in each list of factors", config.head_dim / 2);
            return Err(fail("rope_scaling", why));
        }
        Ok(Self {
            vocab_size: config.vocab_size,
            hidden_size: config.hidden_size,
            intermediate_size: config.intermediate_size,
            num_hidden_layers: config.num_hidden_layers,
            heads: HeadLayout {
                num_heads: config.num_attention_heads,
                num_kv_heads: config.num_key_value_heads,
                head_dim: config.head_dim,
            },
            rms_norm_eps: config.rms_norm_eps,
            rotary,
            tie_word_embeddings: config.tie_word_embeddings,
            attention_bias: config.attention_bias,
            attention_out_bias: config.attention_bias,
            mlp_bias: config.mlp_bias,
        })
    }
}
