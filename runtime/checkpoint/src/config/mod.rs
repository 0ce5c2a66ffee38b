//! The model's configuration: typed fields for the keys of `config.json` that all architectures share, and the whole
//! file as raw JSON.
//!
//! GGUF metadata is first converted to the same form ([`gguf`]), so that overrides and defaults work the same for both.

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

/// A model's configuration (reference: `configs/model_config.py` and the configuration classes of transformers).
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Class names, such as `LlamaForCausalLM`. The first known one is used.
    pub architectures: Vec<String>,
    /// Family name, such as `llama`.
    pub model_type: String,
    /// Vocabulary size: rows of the embedding.
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
    /// `max_position_embeddings`, which rope scaling is computed from. For the usable length see
    /// [`ModelConfig::usable_positions`].
    pub max_position_embeddings: usize,
    /// Longest sequence that the configuration allows: the first of its length keys, times the factor of a
    /// `rope_scaling` without an original length (reference: `get_context_length`).
    pub context_length: usize,
    /// Epsilon of the norms (`rms_norm_eps`, or `layer_norm_eps` of encoder models).
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Base of the rotary frequencies of sliding-window layers if it differs (Gemma 3).
    pub rope_local_theta: Option<f64>,
    /// Fraction of each head's columns that is rotated.
    pub partial_rotary_factor: f64,
    /// Scaling of the rotary frequencies; `None` if the file has none.
    pub rope_scaling: Option<RopeScaling>,
    /// Scaling for sliding-window layers if it differs.
    pub rope_local_scaling: Option<RopeScaling>,
    /// The `head_dim / 2` frequency divisors of a GGUF file's `rope_freqs.weight`, llama.cpp's form of llama3 scaling.
    /// With them, `rope_scaling` is `None`.
    pub rope_freq_factors: Option<Vec<f32>>,
    /// Whether the output head shares the embedding's weights.
    pub tie_word_embeddings: bool,
    /// Whether the attention projections have biases.
    pub attention_bias: bool,
    /// Whether the MLP projections have biases.
    pub mlp_bias: bool,
    /// Activation function of the MLP, such as `silu`.
    pub hidden_act: String,
    /// Element type of the saved weights (`dtype` or `torch_dtype`), such as `bfloat16`.
    pub torch_dtype: Option<String>,
    /// Beginning-of-sequence token.
    pub bos_token_id: Option<u32>,
    /// End-of-sequence tokens from the configuration and `generation_config.json`, sorted.
    pub eos_token_ids: Vec<u32>,
    /// Padding token.
    pub pad_token_id: Option<u32>,
    /// Size in tokens of the sliding window; `None` without sliding-window layers.
    pub sliding_window: Option<usize>,
    /// Pooling of an embedding model; `None` for a generating model. See [`ModelConfig::read_pooling`].
    pub pooling: Option<PoolingConfig>,
    /// The whole configuration after overrides and with a nested `text_config` moved to the top level. For keys that
    /// only some architectures have.
    pub raw: Value,
}

impl ModelConfig {
    /// Reads the configuration of a checkpoint. `overrides` is the JSON object of `--json-model-override-args`; its
    /// keys replace those of the file.
    ///
    /// # Errors
    /// [`CheckpointError`] with the names of the file and the key.
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

    /// Reads a configuration object. `path` only appears in error messages.
    fn from_json(path: &Path, value: Value, overrides: Option<&Value>) -> Result<Self, CheckpointError> {
        let mut config = hf::flatten_text_config(path, value)?;
        rope_keys::unify(&mut config);
        if let Some(overrides) = overrides {
            apply_overrides(path, &mut config, overrides)?;
        }
        hf::parse(path, config)
    }

    /// The first architecture, or an empty string.
    pub fn architecture(&self) -> &str {
        self.architectures.first().map_or("", String::as_str)
    }
}

/// Replaces keys by those of `--json-model-override-args`. Keys in its `text_config` count as top-level keys.
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
