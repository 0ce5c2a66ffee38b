//! What the model is: the keys of `config.json` that every architecture shares, and the rest as it was written.
//!
//! GGUF metadata is first put into the same form ([`gguf`]), so that overrides and defaults work alike for both.

mod deepseek2;
mod defaults;
mod embedding;
mod gguf;
mod gguf_keys;
mod hf;
mod rope;
mod rope_keys;

use std::path::Path;

use serde_json::{Map, Value};

pub use rope::{Longrope, RopeScaling, Yarn};

use crate::checkpoint::Checkpoint;
use crate::error::CheckpointError;
use crate::generation_config::GenerationConfig;
use crate::json;
use crate::pooling::PoolingConfig;

/// A model's configuration (reference: `configs/model_config.py`, and the config classes of transformers).
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Class names, such as `LlamaForCausalLM`; the first one that is known decides.
    pub architectures: Vec<String>,
    /// Family name, such as `llama`.
    pub model_type: String,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the dense MLP.
    pub intermediate_size: usize,
    /// Number of decoder layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads.
    pub num_key_value_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// `max_position_embeddings`: positions that rotations are computed from. See [`ModelConfig::usable_positions`].
    pub max_position_embeddings: usize,
    /// Longest sequence that the configuration allows: its first key for that, times the stretch of a `rope_scaling` that
    /// does not say what it was stretched from (reference: `get_context_length`).
    pub context_length: usize,
    /// Epsilon of the norms (`rms_norm_eps`, or `layer_norm_eps` of encoder models).
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Base for sliding-window layers where they have their own (Gemma 3).
    pub rope_local_theta: Option<f64>,
    /// Share of each head's columns that is rotated.
    pub partial_rotary_factor: f64,
    /// How rotary frequencies are stretched; `None` when the file says nothing.
    pub rope_scaling: Option<RopeScaling>,
    /// The same for sliding-window layers where they have their own.
    pub rope_local_scaling: Option<RopeScaling>,
    /// Per-frequency divisors that a GGUF file carries as `rope_freqs.weight` (`head_dim / 2` of them): llama.cpp's
    /// form of llama3 scaling. Frequencies are divided by them and `rope_scaling` is then `None`.
    pub rope_freq_factors: Option<Vec<f32>>,
    /// Whether the output head is the embedding.
    pub tie_word_embeddings: bool,
    /// Whether the attention projections have biases.
    pub attention_bias: bool,
    /// Whether the MLP projections have biases.
    pub mlp_bias: bool,
    /// Activation, such as `silu`.
    pub hidden_act: String,
    /// Type the weights were saved in (`dtype` or `torch_dtype`), such as `bfloat16`.
    pub torch_dtype: Option<String>,
    /// Beginning-of-sequence token.
    pub bos_token_id: Option<u32>,
    /// End-of-sequence tokens of the configuration and of `generation_config.json`, sorted.
    pub eos_token_ids: Vec<u32>,
    /// Padding token.
    pub pad_token_id: Option<u32>,
    /// Tokens a sliding-window layer looks back; `None` without such layers.
    pub sliding_window: Option<usize>,
    /// How vectors are made, when the model is to embed; `None` when it generates. See
    /// [`ModelConfig::read_pooling`].
    pub pooling: Option<PoolingConfig>,
    /// The whole configuration after overrides, with a nested `text_config` lifted to the top, for keys that only
    /// some architectures have.
    pub raw: Value,
}

impl ModelConfig {
    /// Reads the configuration of a checkpoint. `overrides` are the top-level keys of `--json-model-override-args`;
    /// they replace the file's.
    ///
    /// # Errors
    /// [`CheckpointError`] naming file and key.
    pub fn from_checkpoint(
        checkpoint: &Checkpoint,
        overrides: Option<&Value>,
    ) -> Result<Self, CheckpointError> {
        let mut freq_factors = None;
        let (path, value) = match checkpoint {
            Checkpoint::Gguf(file) => {
                freq_factors = gguf::rope_freq_factors(file)?;
                (file.path().to_owned(), Value::Object(gguf::to_hf(file)?))
            }
            Checkpoint::HfFolder(folder) => {
                let path = folder.file("config.json");
                let value = json::read(&path)?;
                (path, value)
            }
        };
        let mut config = Self::from_json(&path, value, overrides)?;
        config.rope_freq_factors = freq_factors;
        if let Some(generation) = GenerationConfig::from_checkpoint(checkpoint)? {
            config.eos_token_ids.extend(&generation.eos_token_ids);
            config.eos_token_ids.sort_unstable();
            config.eos_token_ids.dedup();
        }
        Ok(config)
    }

    /// Reads a configuration object; `path` is for messages.
    fn from_json(path: &Path, value: Value, overrides: Option<&Value>) -> Result<Self, CheckpointError> {
        let mut config = hf::flatten_text_config(path, value)?;
        rope_keys::unify(&mut config);
        if let Some(overrides) = overrides {
            apply_overrides(path, &mut config, overrides)?;
        }
        hf::parse(path, config)
    }

    /// The first architecture, or an empty text.
    pub fn architecture(&self) -> &str {
        self.architectures.first().map_or("", String::as_str)
    }
}

/// Replaces keys by those of `--json-model-override-args`; keys of its `text_config` count like those beside it.
fn apply_overrides(
    path: &Path,
    config: &mut Map<String, Value>,
    overrides: &Value,
) -> Result<(), CheckpointError> {
    let Some(new) = overrides.as_object() else {
        let found = json::shorten(overrides);
        let expected = "a JSON object of configuration keys";
        return Err(CheckpointError::wrong_key(path, "--json-model-override-args", expected, found));
    };
    let nested = new.get("text_config").and_then(Value::as_object);
    for new in [Some(new), nested].into_iter().flatten() {
        let kept = |key: &&String| !rope_keys::is_object_key(key) && *key != "text_config";
        for key in new.keys().filter(kept) {
            config.insert(key.clone(), new.get(key).cloned().unwrap_or_default());
        }
        rope_keys::override_with(config, new);
    }
    Ok(())
}
