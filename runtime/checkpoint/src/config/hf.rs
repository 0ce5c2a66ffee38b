//! Reads the `config.json` of a Hugging Face model.

use std::path::Path;

use serde_json::{Map, Value};

use super::{ModelConfig, defaults, rope, rope_keys};
use crate::error::CheckpointError;
use crate::json::{self, JsonFile};

/// Keys for the longest sequence, in order of priority, before `max_position_embeddings` (reference:
/// `CONTEXT_LENGTH_KEYS`).
const CONTEXT_LENGTH_KEYS: [&str; 4] =
    ["max_sequence_length", "seq_length", "max_seq_len", "model_max_length"];

/// Moves the keys of a nested `text_config` (multimodal checkpoints) to the top level, where they override others.
pub(super) fn flatten_text_config(path: &Path, value: Value) -> Result<Map<String, Value>, CheckpointError> {
    let Value::Object(mut top) = value else {
        return Err(CheckpointError::malformed(path, "content", "a JSON object", json::shorten(&value)));
    };
    if let Some(Value::Object(text)) = top.get("text_config").cloned() {
        for (key, inner) in text {
            if key != "architectures" || !top.contains_key("architectures") {
                top.insert(key, inner);
            }
        }
    }
    Ok(top)
}

/// Reads the keys that all architectures share.
pub(super) fn parse(path: &Path, config: Map<String, Value>) -> Result<ModelConfig, CheckpointError> {
    let context_factor = rope_keys::context_factor(&config);
    let raw = Value::Object(config);
    let c = JsonFile::new(path, &raw);
    let model_type = c.str("model_type")?.unwrap_or_default().to_owned();
    let defaults = defaults::of(&model_type);
    let architectures = c.strings("architectures")?.unwrap_or_default();
    if architectures.is_empty() && model_type.is_empty() {
        return Err(c.missing("architectures", "a list such as [\"LlamaForCausalLM\"]"));
    }
    let positive = |key: &str| at_least_one(&c, key);
    let sizes = defaults.sizes.as_ref();
    let size = |key: &str, default: Option<usize>| match (positive(key)?, default) {
        (Some(n), _) | (None, Some(n)) => Ok(n),
        (None, None) => Err(c.missing(key, "a positive integer")),
    };
    let hidden_size = size("hidden_size", None)?;
    let num_attention_heads = size("num_attention_heads", sizes.map(|s| s.num_attention_heads))?;
    let num_key_value_heads = positive("num_key_value_heads")?
        .unwrap_or_else(|| sizes.map_or(num_attention_heads, |s| s.num_key_value_heads));
    if !num_attention_heads.is_multiple_of(num_key_value_heads) {
        let expected = format!("a divisor of num_attention_heads ({num_attention_heads})");
        return Err(c.wrong("num_key_value_heads", &expected, &num_key_value_heads.into()));
    }
    // Latent attention has several head widths; other code needs the number of rotated columns.
    let head_dim = match positive("kv_lora_rank")? {
        Some(_) => positive("qk_rope_head_dim")?,
        None => positive("head_dim")?,
    };
    let head_dim = match head_dim.or(defaults.head_dim) {
        Some(n) => n,
        None if hidden_size.is_multiple_of(num_attention_heads) => hidden_size / num_attention_heads,
        None => {
            let expected =
                format!("a multiple of num_attention_heads ({num_attention_heads}), or a key `head_dim`");
            return Err(c.wrong("hidden_size", &expected, &hidden_size.into()));
        }
    };
    let max_position_embeddings = positive("max_position_embeddings")?
        .unwrap_or_else(|| sizes.map_or(2048, |s| s.max_position_embeddings));
    let mut context_length = max_position_embeddings;
    for key in CONTEXT_LENGTH_KEYS {
        if let Some(length) = positive(key)? {
            context_length = length;
            break;
        }
    }
    let rope = rope::read(&c, max_position_embeddings)?;
    let norm_eps = match c.f64("rms_norm_eps")? {
        Some(eps) => Some(eps),
        None => c.f64("layer_norm_eps")?,
    };
    let hidden_act = match c.str("hidden_activation")? {
        Some(act) => Some(act),
        None => c.str("hidden_act")?,
    };
    let dtype = match c.str("dtype")? {
        Some(dtype) => Some(dtype),
        None => c.str("torch_dtype")?,
    };
    let uses_window = c.bool("use_sliding_window")?.unwrap_or(defaults.use_sliding_window);
    // If the key is absent, the family's default applies; null means no window.
    let sliding_window = match raw.get("sliding_window") {
        None => defaults.sliding_window,
        Some(_) => c.usize("sliding_window")?,
    };
    Ok(ModelConfig {
        vocab_size: size("vocab_size", sizes.map(|s| s.vocab_size))?,
        hidden_size,
        // Models that have only expert layers have no dense width.
        intermediate_size: c.usize("intermediate_size")?.unwrap_or(0),
        num_hidden_layers: size("num_hidden_layers", None)?,
        num_attention_heads,
        num_key_value_heads,
        head_dim,
        max_position_embeddings,
        context_length: (context_length as f64 * context_factor) as usize,
        rms_norm_eps: norm_eps.unwrap_or(defaults.norm_eps),
        rope_theta: rope.theta.unwrap_or(defaults.rope_theta),
        rope_local_theta: rope.local_theta.or(defaults.rope_local_theta),
        partial_rotary_factor: rope.partial_rotary_factor.unwrap_or(1.0),
        rope_scaling: rope.scaling,
        rope_local_scaling: rope.local_scaling,
        rope_freq_factors: None,
        tie_word_embeddings: c.bool("tie_word_embeddings")?.unwrap_or(defaults.tie_word_embeddings),
        attention_bias: c.bool("attention_bias")?.unwrap_or(false),
        mlp_bias: c.bool("mlp_bias")?.unwrap_or(false),
        hidden_act: hidden_act.unwrap_or(defaults.hidden_act).to_owned(),
        torch_dtype: dtype.map(|d| d.trim_start_matches("torch.").to_owned()),
        bos_token_id: first_id(&c, "bos_token_id")?,
        eos_token_ids: sorted_ids(&c, "eos_token_id")?,
        pad_token_id: padding_id(&c)?,
        sliding_window: sliding_window.filter(|n| uses_window && *n > 0),
        architectures,
        model_type,
        pooling: None,
        raw,
    })
}

fn at_least_one(c: &JsonFile<'_>, key: &str) -> Result<Option<usize>, CheckpointError> {
    match c.usize(key)? {
        Some(0) => Err(c.wrong(key, "a positive integer", &0.into())),
        other => Ok(other),
    }
}

fn first_id(c: &JsonFile<'_>, key: &str) -> Result<Option<u32>, CheckpointError> {
    Ok(c.token_ids(key)?.and_then(|ids| ids.first().copied()))
}

fn sorted_ids(c: &JsonFile<'_>, key: &str) -> Result<Vec<u32>, CheckpointError> {
    let mut ids = c.token_ids(key)?.unwrap_or_default();
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Some checkpoints write -1 for "no padding token".
fn padding_id(c: &JsonFile<'_>) -> Result<Option<u32>, CheckpointError> {
    match c.get("pad_token_id") {
        Some(Value::Number(n)) if n.as_i64().is_some_and(|n| n < 0) => Ok(None),
        _ => c.u32("pad_token_id"),
    }
}
