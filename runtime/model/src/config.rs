//! The checked configuration of a decoder.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sglang_checkpoint::{ModelConfig, RopeScaling};

use crate::error::{ModelError, Result};
use crate::layers::{AttentionShape, MlpShape, NormKind, RMSNorm, RopeParameters, RotaryEmbedding};
use crate::loader::{NormStorage, WeightLoader};
use crate::ops::{Activation, HeadLayout};

/// A configuration with the values that decoders derive from it. Dereferences to [`ModelConfig`], which has the keys
/// that all families share.
#[derive(Clone, Debug)]
pub struct DecoderConfig<'a> {
    config: &'a ModelConfig,
    path: PathBuf,
    /// Context length that the model is served with.
    pub context_length: usize,
    norm_storage: NormStorage,
}

/// The sliding window of each layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerWindows(Vec<Option<usize>>);

impl LayerWindows {
    /// The window of a layer in tokens; `None` for full attention.
    pub fn of(&self, layer: usize) -> Option<usize> {
        self.0.get(layer).copied().flatten()
    }
}

impl Deref for DecoderConfig<'_> {
    type Target = ModelConfig;

    fn deref(&self) -> &ModelConfig {
        self.config
    }
}

impl<'a> DecoderConfig<'a> {
    /// Wraps a configuration; `path` is the model's path, for error messages.
    pub fn new(config: &'a ModelConfig, context_length: usize, path: &Path) -> Self {
        Self { config, path: path.to_owned(), context_length, norm_storage: NormStorage::Plain }
    }

    /// The same configuration with another stored form of norm weights.
    #[must_use]
    pub fn with_norm_storage(&self, norm_storage: NormStorage) -> Self {
        Self { norm_storage, ..self.clone() }
    }

    /// An error about a field.
    pub fn wrong(&self, field: &str, why: impl Into<String>) -> ModelError {
        ModelError::Config { file: self.path.clone(), field: field.to_owned(), why: why.into() }
    }

    /// Attention heads.
    pub fn heads(&self) -> HeadLayout {
        HeadLayout {
            num_heads: self.num_attention_heads,
            num_kv_heads: self.num_key_value_heads,
            head_dim: self.head_dim,
        }
    }

    /// The shape of the attention block.
    pub fn attention(&self, qkv_bias: bool, out_bias: bool) -> AttentionShape {
        AttentionShape { hidden_size: self.hidden_size, heads: self.heads(), qkv_bias, out_bias }
    }

    /// The shape of the dense feed-forward block, with biases if `mlp_bias` is set.
    ///
    /// # Errors
    /// Same as [`DecoderConfig::activation`].
    pub fn mlp(&self) -> Result<MlpShape> {
        Ok(MlpShape {
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            activation: self.activation()?,
            bias: self.mlp_bias,
        })
    }

    /// The activation that `hidden_act` (or `hidden_activation`) names.
    ///
    /// # Errors
    /// The activation is not supported.
    pub fn activation(&self) -> Result<Activation> {
        match self.hidden_act.as_str() {
            "silu" | "swish" => Ok(Activation::Silu),
            "gelu_pytorch_tanh" | "gelu_new" | "gelu_fast" => Ok(Activation::GeluTanh),
            other => Err(self.wrong(
                "hidden_act",
                format!("{other} is not supported by this architecture; expected silu or gelu_pytorch_tanh"),
            )),
        }
    }

    /// Loads a norm over the residual stream.
    ///
    /// # Errors
    /// Its weight is missing or has another shape.
    pub fn norm(&self, weights: &mut WeightLoader<'_>, name: &str) -> Result<RMSNorm> {
        self.norm_of(weights, name, self.hidden_size)
    }

    /// Loads a norm over `size` columns.
    ///
    /// # Errors
    /// Its weight is missing or has another shape.
    pub fn norm_of(&self, weights: &mut WeightLoader<'_>, name: &str, size: usize) -> Result<RMSNorm> {
        self.norm_kind().load(weights, name, size)
    }

    /// The properties that all norms of the model share.
    pub fn norm_kind(&self) -> NormKind {
        NormKind { eps: self.rms_norm_eps, storage: self.norm_storage }
    }

    /// The rotary embedding of `rope_theta` and `rope_scaling`.
    ///
    /// # Errors
    /// The number of rotated columns is odd, or a list of factors has the wrong length.
    pub fn rotary(&self) -> Result<RotaryEmbedding> {
        self.rotary_of(self.rope_theta, self.rope_scaling.as_ref())
    }

    /// A rotary embedding with another base or scaling.
    ///
    /// # Errors
    /// Same as [`DecoderConfig::rotary`].
    pub fn rotary_of(&self, theta: f64, scaling: Option<&RopeScaling>) -> Result<RotaryEmbedding> {
        // Rounding can leave the product just below a whole number.
        let rotary_dim = (self.head_dim as f64 * self.partial_rotary_factor + 1e-6) as usize;
        if rotary_dim == 0 || !rotary_dim.is_multiple_of(2) || rotary_dim > self.head_dim {
            let field = if self.partial_rotary_factor == 1.0 { "head_dim" } else { "partial_rotary_factor" };
            let why = format!(
                "{rotary_dim} of {} columns would be rotated; expected an even number",
                self.head_dim
            );
            return Err(self.wrong(field, why));
        }
        let rotary = RotaryEmbedding::new(&RopeParameters {
            theta,
            rotary_dim,
            scaling,
            divisors: self.rope_freq_factors.as_deref(),
            max_position_embeddings: self.max_position_embeddings,
            context_length: self.context_length,
        });
        let divisors = self.rope_freq_factors.as_ref().map_or(rotary_dim / 2, Vec::len);
        if rotary.rotary_dim() != rotary_dim || divisors != rotary_dim / 2 {
            let why = format!("expected {} entries in each list of factors", rotary_dim / 2);
            return Err(self.wrong("rope_scaling", why));
        }
        Ok(rotary)
    }

    /// The windows of all layers. Layers that `layer_types` lists as sliding have the window `sliding_window`; without
    /// such a list, `is_sliding` decides.
    ///
    /// # Errors
    /// `layer_types` is not a list of known names, one per layer.
    pub fn windows(&self, is_sliding: impl Fn(usize) -> bool) -> Result<LayerWindows> {
        let sliding: Vec<bool> = match self.raw.get("layer_types").filter(|v| !v.is_null()) {
            Some(types) => self.layer_types(types)?,
            None => (0..self.num_hidden_layers).map(is_sliding).collect(),
        };
        Ok(LayerWindows(sliding.into_iter().map(|s| self.sliding_window.filter(|_| s)).collect()))
    }

    fn layer_types(&self, value: &Value) -> Result<Vec<bool>> {
        let kind = |v: &Value| match v.as_str() {
            Some("sliding_attention") => Some(true),
            Some("full_attention") => Some(false),
            _ => None,
        };
        let list = value.as_array().and_then(|list| list.iter().map(kind).collect::<Option<Vec<_>>>());
        list.filter(|list| list.len() == self.num_hidden_layers).ok_or_else(|| {
            let layers = self.num_hidden_layers;
            self.wrong(
                "layer_types",
                format!("expected full_attention or sliding_attention for each of {layers} layers"),
            )
        })
    }

    /// A number that only some families have: `default` if the key is absent, `None` if it is null.
    ///
    /// # Errors
    /// The value is not a positive number.
    pub fn number(&self, key: &str, default: Option<f64>) -> Result<Option<f64>> {
        match self.raw.get(key) {
            None => Ok(default),
            Some(Value::Null) => Ok(None),
            Some(v) => match v.as_f64().filter(|x| *x > 0.0 && x.is_finite()) {
                Some(x) => Ok(Some(x)),
                None => Err(self.wrong(key, format!("expected a positive number, found {v}"))),
            },
        }
    }

    /// A count that only some families have.
    ///
    /// # Errors
    /// The value is not a non-negative integer.
    pub fn count(&self, key: &str) -> Result<Option<usize>> {
        match self.raw.get(key).filter(|v| !v.is_null()) {
            None => Ok(None),
            Some(v) => match v.as_u64().and_then(|n| usize::try_from(n).ok()) {
                Some(n) => Ok(Some(n)),
                None => Err(self.wrong(key, format!("expected a non-negative integer, found {v}"))),
            },
        }
    }

    /// A required count.
    ///
    /// # Errors
    /// The key is missing, or the value is not a positive integer.
    pub fn required(&self, key: &str) -> Result<usize> {
        match self.count(key)? {
            Some(n) if n > 0 => Ok(n),
            Some(_) => Err(self.wrong(key, "expected a positive integer, found 0")),
            None => Err(self.wrong(key, "expected a positive integer, found nothing")),
        }
    }

    /// A list of layers that only some families have; empty if absent.
    ///
    /// # Errors
    /// The value is not a list of existing layers.
    pub fn layers(&self, key: &str) -> Result<Vec<usize>> {
        let Some(value) = self.raw.get(key).filter(|v| !v.is_null()) else { return Ok(Vec::new()) };
        let layer = |v: &Value| usize::try_from(v.as_u64()?).ok().filter(|i| *i < self.num_hidden_layers);
        let list = value.as_array().and_then(|list| list.iter().map(layer).collect());
        let why =
            || format!("expected a list of layers from 0 to {}", self.num_hidden_layers.saturating_sub(1));
        list.ok_or_else(|| self.wrong(key, why()))
    }

    /// A boolean that only some families have; false if absent.
    ///
    /// # Errors
    /// The value is neither true nor false.
    pub fn flag(&self, key: &str) -> Result<bool> {
        match self.raw.get(key).filter(|v| !v.is_null()) {
            None => Ok(false),
            Some(v) => {
                v.as_bool().ok_or_else(|| self.wrong(key, format!("expected true or false, found {v}")))
            }
        }
    }
}

/// Routed experts per layer, under any of the key names that families use; `None` for a model without experts.
pub fn num_experts(config: &ModelConfig) -> Option<usize> {
    let names = ["num_experts", "num_local_experts", "n_routed_experts"];
    let number = names.iter().find_map(|name| config.raw.get(name)?.as_u64());
    number.and_then(|n| usize::try_from(n).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration with four layers and some keys changed.
    fn config(changes: Value) -> ModelConfig {
        let mut config = serde_json::json!({
            "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "vocab_size": 10, "hidden_size": 64,
            "intermediate_size": 8, "num_hidden_layers": 4, "num_attention_heads": 4, "sliding_window": 9,
        });
        for (key, value) in changes.as_object().unwrap() {
            config[key] = value.clone();
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let checkpoint = sglang_checkpoint::Checkpoint::open(folder.path()).unwrap();
        ModelConfig::from_checkpoint(&checkpoint, None).unwrap()
    }

    fn decoder(config: &ModelConfig) -> DecoderConfig<'_> {
        DecoderConfig::new(config, 256, Path::new("model"))
    }

    #[test]
    fn listed_layer_types_override_the_familys_rule() {
        let windows = |changes: Value| -> Vec<Option<usize>> {
            let config = config(changes);
            let windows = decoder(&config).windows(|layer| layer % 3 != 2).unwrap();
            (0..4).map(|layer| windows.of(layer)).collect()
        };
        assert_eq!(windows(serde_json::json!({})), [Some(9), Some(9), None, Some(9)]);
        let types = ["full_attention", "full_attention", "sliding_attention", "full_attention"];
        assert_eq!(windows(serde_json::json!({"layer_types": types})), [None, None, Some(9), None]);
        assert_eq!(windows(serde_json::json!({"layer_types": types, "sliding_window": null})), [None; 4]);
    }

    #[test]
    fn an_absent_number_is_the_default_and_a_null_is_none() {
        let number = |changes: Value| {
            let config = config(changes);
            decoder(&config).number("cap", Some(30.0)).map_err(|e| e.to_string())
        };
        assert_eq!(number(serde_json::json!({})), Ok(Some(30.0)));
        assert_eq!(number(serde_json::json!({"cap": null})), Ok(None));
        assert_eq!(number(serde_json::json!({"cap": 2})), Ok(Some(2.0)));
        let expected = Err("model: cap: expected a positive number, found \"x\"".to_owned());
        assert_eq!(number(serde_json::json!({"cap": "x"})), expected);
    }
}
