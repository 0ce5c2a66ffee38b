//! Rope scaling: how rotary frequencies are adjusted for contexts beyond the trained length.
//!
//! A file has `rope_theta` and `rope_scaling` (with `rope_type` or the older `type`), or `rope_parameters` of
//! transformers 5, which is one object or one object per kind of layer. [`super::rope_keys`] has already reduced both
//! to one.

use std::fmt;

use serde_json::json;

use super::rope_keys::{FULL, SLIDING};
use crate::error::CheckpointError;
use crate::json::JsonFile;

/// A rope scaling (transformers: `modeling_rope_utils.py`).
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// Plain rotary embedding.
    Default,
    /// Positions divided by a factor.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// The base grows with the sequence length (NTK).
    Dynamic {
        /// Context extension beyond the trained length.
        factor: f64,
    },
    /// Llama 3.1: divides low frequencies, keeps high ones, and interpolates between.
    Llama3 {
        /// Divisor of low frequencies.
        factor: f64,
        /// A frequency with fewer turns than this in the trained length is low.
        low_freq_factor: f64,
        /// A frequency with more turns than this in the trained length is high.
        high_freq_factor: f64,
        /// The trained length.
        original_max_position_embeddings: usize,
    },
    /// YaRN.
    Yarn(Yarn),
    /// LongRoPE: one divisor per frequency, with separate lists for short and long contexts.
    Longrope(Longrope),
}

/// Parameters of YaRN (arXiv 2309.00071).
#[derive(Debug, Clone, PartialEq)]
pub struct Yarn {
    /// Context extension: maximum length divided by the trained length.
    pub factor: f64,
    /// The trained length.
    pub original_max_position_embeddings: usize,
    /// Multiplier of cosine and sine; derived from `factor` if absent.
    pub attention_factor: Option<f64>,
    /// Frequencies with more turns than this in the trained length are kept.
    pub beta_fast: f64,
    /// Frequencies with fewer turns than this are divided by `factor`.
    pub beta_slow: f64,
    /// DeepSeek's scale of the attention factor.
    pub mscale: Option<f64>,
    /// DeepSeek's scale over all dimensions.
    pub mscale_all_dim: Option<f64>,
    /// Whether the ends of the band between the two are rounded to whole dimensions.
    pub truncate: bool,
}

impl fmt::Display for RopeScaling {
    /// Writes the object as in `config.json`, without keys that have their default value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut object = match self {
            Self::Default => json!({"rope_type": "default"}),
            Self::Linear { factor } => json!({"rope_type": "linear", "factor": factor}),
            Self::Dynamic { factor } => json!({"rope_type": "dynamic", "factor": factor}),
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                json!({
                    "rope_type": "llama3", "factor": factor, "low_freq_factor": low_freq_factor,
                    "high_freq_factor": high_freq_factor,
                    "original_max_position_embeddings": original_max_position_embeddings,
                })
            }
            Self::Yarn(yarn) => json!({
                "rope_type": "yarn", "factor": yarn.factor,
                "original_max_position_embeddings": yarn.original_max_position_embeddings,
                "attention_factor": yarn.attention_factor,
                "beta_fast": Some(yarn.beta_fast).filter(|beta| *beta != BETA_FAST),
                "beta_slow": Some(yarn.beta_slow).filter(|beta| *beta != BETA_SLOW),
                "mscale": yarn.mscale, "mscale_all_dim": yarn.mscale_all_dim,
                "truncate": Some(yarn.truncate).filter(|truncate| !truncate),
            }),
            Self::Longrope(longrope) => json!({
                "rope_type": "longrope", "short_factor": longrope.short_factor,
                "long_factor": longrope.long_factor,
                "original_max_position_embeddings": longrope.original_max_position_embeddings,
                "factor": longrope.factor, "attention_factor": longrope.attention_factor,
            }),
        };
        if let Some(object) = object.as_object_mut() {
            object.retain(|_, value| !value.is_null());
        }
        object.fmt(f)
    }
}

/// Default of [`Yarn::beta_fast`].
const BETA_FAST: f64 = 32.0;
/// Default of [`Yarn::beta_slow`].
const BETA_SLOW: f64 = 1.0;

impl Yarn {
    /// `0.1 * weight * ln(factor) + 1`, the factor by which YaRN increases cosine and sine; 1 without extension.
    pub fn magnitude(&self, weight: f64) -> f64 {
        if self.factor <= 1.0 { 1.0 } else { 0.1 * weight * self.factor.ln() + 1.0 }
    }
}

/// Parameters of LongRoPE (arXiv 2402.13753).
#[derive(Debug, Clone, PartialEq)]
pub struct Longrope {
    /// Divisors for sequences within the trained length.
    pub short_factor: Vec<f64>,
    /// Divisors for longer sequences.
    pub long_factor: Vec<f64>,
    /// The trained length.
    pub original_max_position_embeddings: usize,
    /// Context extension; `max_position_embeddings / original_max_position_embeddings` if absent.
    pub factor: Option<f64>,
    /// Multiplier of cosine and sine; derived from the extension if absent.
    pub attention_factor: Option<f64>,
}

/// The rope keys of a configuration.
#[derive(Debug, Default)]
pub(super) struct RopeKeys {
    pub(super) theta: Option<f64>,
    pub(super) local_theta: Option<f64>,
    pub(super) partial_rotary_factor: Option<f64>,
    pub(super) scaling: Option<RopeScaling>,
    pub(super) local_scaling: Option<RopeScaling>,
}

/// Reads the rope keys of a configuration object.
pub(super) fn read(config: &JsonFile<'_>, max_position: usize) -> Result<RopeKeys, CheckpointError> {
    let mut keys = RopeKeys {
        theta: config.f64("rope_theta")?,
        local_theta: config.f64("rope_local_base_freq")?,
        partial_rotary_factor: config.f64("partial_rotary_factor")?,
        scaling: None,
        local_scaling: None,
    };
    let parameters = match config.nested("rope_scaling")? {
        Some(scaling) => Some(scaling),
        None => config.nested("rope_parameters")?,
    };
    let Some(mut parameters) = parameters else { return Ok(keys) };
    if let Some(sliding) = parameters.nested_if_object(SLIDING) {
        keys.local_theta = sliding.f64("rope_theta")?.or(keys.local_theta);
        keys.local_scaling = read_scaling(config, &sliding, max_position)?;
    }
    if let Some(full) = parameters.nested_if_object(FULL) {
        parameters = full;
    }
    keys.theta = parameters.f64("rope_theta")?.or(keys.theta);
    keys.partial_rotary_factor = parameters.f64("partial_rotary_factor")?.or(keys.partial_rotary_factor);
    keys.scaling = read_scaling(config, &parameters, max_position)?;
    Ok(keys)
}

fn read_scaling(
    config: &JsonFile<'_>,
    p: &JsonFile<'_>,
    max_position: usize,
) -> Result<Option<RopeScaling>, CheckpointError> {
    let kind = match p.str("rope_type")? {
        Some(kind) => kind,
        None => match p.str("type")? {
            Some(kind) => kind,
            None => return Ok(None),
        },
    };
    let number = |key: &str| p.f64(key)?.ok_or_else(|| p.missing(key, "a number"));
    // Phi-3 has the trained length beside the rope object, not in it.
    let original = || -> Result<Option<usize>, CheckpointError> {
        let key = "original_max_position_embeddings";
        Ok(match p.usize(key)? {
            Some(n) => Some(n),
            None => config.usize(key)?,
        })
    };
    let need_original =
        || original()?.ok_or_else(|| p.missing("original_max_position_embeddings", "a number of tokens"));
    Ok(Some(match kind {
        // "mrope" has extra sections for image positions. For text alone it equals the plain embedding.
        "default" | "mrope" => RopeScaling::Default,
        "linear" => RopeScaling::Linear { factor: number("factor")? },
        "dynamic" => RopeScaling::Dynamic { factor: number("factor")? },
        "llama3" => RopeScaling::Llama3 {
            factor: number("factor")?,
            low_freq_factor: number("low_freq_factor")?,
            high_freq_factor: number("high_freq_factor")?,
            original_max_position_embeddings: need_original()?,
        },
        "yarn" => RopeScaling::Yarn(Yarn {
            factor: number("factor")?,
            original_max_position_embeddings: original()?.unwrap_or(max_position),
            attention_factor: p.f64("attention_factor")?,
            beta_fast: p.f64("beta_fast")?.filter(|beta| *beta != 0.0).unwrap_or(BETA_FAST),
            beta_slow: p.f64("beta_slow")?.filter(|beta| *beta != 0.0).unwrap_or(BETA_SLOW),
            mscale: p.f64("mscale")?,
            mscale_all_dim: p.f64("mscale_all_dim")?,
            truncate: p.bool("truncate")?.unwrap_or(true),
        }),
        "longrope" | "su" => RopeScaling::Longrope(Longrope {
            short_factor: p
                .floats("short_factor")?
                .ok_or_else(|| p.missing("short_factor", "a list of numbers"))?,
            long_factor: p
                .floats("long_factor")?
                .ok_or_else(|| p.missing("long_factor", "a list of numbers"))?,
            original_max_position_embeddings: need_original()?,
            factor: p.f64("factor")?,
            attention_factor: p.f64("attention_factor")?,
        }),
        _ => {
            let expected = "one of default, linear, dynamic, llama3, yarn, longrope, mrope";
            return Err(p.wrong("rope_type", expected, &kind.into()));
        }
    }))
}
