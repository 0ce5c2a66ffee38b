//! Checks whether a model can be served in place of another, by comparing their configurations. Compares meaning, not
//! spelling: a GGUF file and a Hugging Face folder of the same model spell many keys differently.

use std::path::Path;

use serde_json::Value;
use sglang_checkpoint::{ModelConfig, RopeScaling};

use crate::config::DecoderConfig;
use crate::layers::RotaryEmbedding;

/// A key in which two models differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The key, as in `config.json`.
    pub(crate) key: &'static str,
    /// Its value in the first model.
    pub(crate) expected: String,
    /// Its value in the second model.
    pub(crate) found: String,
}

/// Files may store the same number as float32 or as decimal text.
const TOLERANCE: f64 = 1e-5;

/// Numbers that only some families have. If only one of two files has such a number, it is the family's default.
const NUMBERS: [&str; 10] = [
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "query_pre_attn_scalar",
    "embedding_multiplier",
    "residual_multiplier",
    "attention_multiplier",
    "logits_scaling",
    "num_experts_per_tok",
    "routed_scaling_factor",
    "swiglu_limit",
];

/// The first key that affects the model's results and differs between `served` and `other`. Number formats, special
/// tokens, context length and tied output heads may differ. `context_length` is the served length.
pub(crate) fn difference(
    served: &ModelConfig,
    other: &ModelConfig,
    context_length: usize,
) -> Option<Difference> {
    let differs = |key, expected: String, found: String| {
        (expected != found).then_some(Difference { key, expected, found })
    };
    let number = |key, a: usize, b: usize| differs(key, a.to_string(), b.to_string());
    let switch = |key, a: bool, b: bool| differs(key, a.to_string(), b.to_string());
    let real = |key, a: f64, b: f64| {
        (!is_close(a, b)).then(|| Difference { key, expected: a.to_string(), found: b.to_string() })
    };
    let raw = |config: &ModelConfig, key| config.raw.get(key).and_then(Value::as_f64);
    let window = |config: &ModelConfig| {
        let counts = config.sliding_window.filter(|window| *window < context_length);
        counts.map_or("none".to_owned(), |window| window.to_string())
    };
    architectures(served, other)
        .or_else(|| number("vocab_size", served.vocab_size, other.vocab_size))
        .or_else(|| number("hidden_size", served.hidden_size, other.hidden_size))
        .or_else(|| number("intermediate_size", served.intermediate_size, other.intermediate_size))
        .or_else(|| number("num_hidden_layers", served.num_hidden_layers, other.num_hidden_layers))
        .or_else(|| number("num_attention_heads", served.num_attention_heads, other.num_attention_heads))
        .or_else(|| number("num_key_value_heads", served.num_key_value_heads, other.num_key_value_heads))
        .or_else(|| number("head_dim", served.head_dim, other.head_dim))
        .or_else(|| switch("attention_bias", attention_bias(served), attention_bias(other)))
        .or_else(|| switch("mlp_bias", served.mlp_bias, other.mlp_bias))
        .or_else(|| match activation(&served.hidden_act) == activation(&other.hidden_act) {
            true => None,
            false => differs("hidden_act", served.hidden_act.clone(), other.hidden_act.clone()),
        })
        .or_else(|| real("rms_norm_eps", served.rms_norm_eps, other.rms_norm_eps))
        .or_else(|| real("rope_theta", served.rope_theta, other.rope_theta))
        .or_else(|| real("partial_rotary_factor", served.partial_rotary_factor, other.partial_rotary_factor))
        .or_else(|| rotation(served, other, context_length))
        .or_else(|| differs("sliding_window", window(served), window(other)))
        .or_else(|| NUMBERS.into_iter().find_map(|key| real(key, raw(served, key)?, raw(other, key)?)))
}

fn is_close(a: f64, b: f64) -> bool {
    (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
}

fn architectures(served: &ModelConfig, other: &ModelConfig) -> Option<Difference> {
    let families = |config: &ModelConfig| -> Vec<String> {
        config.architectures.iter().map(|name| family(name).to_owned()).collect()
    };
    let names = |config: &ModelConfig| config.architectures.join(", ");
    (families(served) != families(other)).then(|| Difference {
        key: "architectures",
        expected: names(served),
        found: names(other),
    })
}

/// One name for classes that compute the same with the same configuration. GGUF files label Mistral's models as Llama
/// and OLMo 3 as OLMo 2, and the text part of a multimodal model is a text model.
fn family(architecture: &str) -> &str {
    match architecture {
        "MistralForCausalLM" | "Mistral3ForConditionalGeneration" => "LlamaForCausalLM",
        "Gemma3ForConditionalGeneration" => "Gemma3ForCausalLM",
        "Olmo3ForCausalLM" => "Olmo2ForCausalLM",
        other => other,
    }
}

/// Whether the attention projections have biases; false for families in which the configuration does not decide.
fn attention_bias(config: &ModelConfig) -> bool {
    let fixed = ["Qwen2", "Phi3", "Mistral", "Mixtral"];
    config.attention_bias && !fixed.iter().any(|family| config.architecture().starts_with(family))
}

/// One name for equal activation functions.
fn activation(name: &str) -> &str {
    match name {
        "swish" => "silu",
        "gelu_new" | "gelu_fast" => "gelu_pytorch_tanh",
        other => other,
    }
}

/// Compares the rotation angles.
fn rotation(served: &ModelConfig, other: &ModelConfig, context_length: usize) -> Option<Difference> {
    // Only sliding-window layers may have a separate rotation.
    let has_windows = served.sliding_window.is_some() && other.sliding_window.is_some();
    let rotations = |config: &ModelConfig| -> Option<Vec<RotaryEmbedding>> {
        let decoder = DecoderConfig::new(config, context_length, Path::new(""));
        let mut all = vec![decoder.rotary().ok()?];
        if has_windows {
            let theta = config.rope_local_theta.unwrap_or(config.rope_theta);
            all.push(decoder.rotary_of(theta, config.rope_local_scaling.as_ref()).ok()?);
        }
        Some(all)
    };
    // The factor of scores in latent attention.
    let magnitude = |config: &ModelConfig| match &config.rope_scaling {
        Some(RopeScaling::Yarn(yarn)) => yarn.magnitude(yarn.mscale_all_dim.unwrap_or(0.0)),
        _ => 1.0,
    };
    let same = match (rotations(served), rotations(other)) {
        (Some(a), Some(b)) => a.iter().zip(&b).all(|(a, b)| a.is_close(b, TOLERANCE)),
        // Neither model has a rotation.
        (None, None) => true,
        _ => false,
    };
    let text = |config: &ModelConfig| match (&config.rope_freq_factors, &config.rope_scaling) {
        (Some(_), _) => "the divisors in rope_freqs.weight".to_owned(),
        (None, Some(scaling)) => scaling.to_string(),
        (None, None) => "none".to_owned(),
    };
    (!same || !is_close(magnitude(served), magnitude(other))).then(|| Difference {
        key: "rope_scaling",
        expected: text(served),
        found: text(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(changes: Value) -> ModelConfig {
        let mut config = json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 10, "hidden_size": 64,
            "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 256,
        });
        for (key, value) in changes.as_object().unwrap() {
            config[key] = value.clone();
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let checkpoint = sglang_checkpoint::Checkpoint::open(folder.path()).unwrap();
        ModelConfig::from_checkpoint(&checkpoint, None).unwrap()
    }

    fn between(a: Value, b: Value) -> Option<String> {
        let difference = difference(&config(a), &config(b), 256)?;
        Some(format!("{}: {} / {}", difference.key, difference.expected, difference.found))
    }

    #[test]
    fn spellings_of_the_same_model_do_not_differ() {
        let yarn = |extra: Value| {
            let mut scaling = json!({"rope_type": "yarn", "factor": 4.0});
            for (key, value) in extra.as_object().unwrap() {
                scaling[key] = value.clone();
            }
            scaling
        };
        let llama3 = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 128});
        for (a, b) in [
            (json!({}), json!({"rope_scaling": {"rope_type": "default"}})),
            (json!({}), json!({"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}})),
            (json!({}), json!({"rope_scaling": {"type": "linear", "factor": 1.0}})),
            (
                json!({"rope_theta": 5e5}),
                json!({"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}),
            ),
            (
                json!({"rope_theta": 5e5, "rope_scaling": llama3}),
                json!({"rope_parameters": {"rope_theta": 500000, "rope_type": "llama3", "factor": 8,
                    "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 128}}),
            ),
            (
                json!({"rope_scaling": yarn(json!({}))}),
                json!({"rope_scaling": yarn(json!({"original_max_position_embeddings": 256, "beta_fast": 32,
                    "beta_slow": 1, "truncate": true, "attention_factor": 1.138_629_436_111_989}))}),
            ),
            (
                json!({"rope_scaling": {"type": "dynamic", "factor": 2}}),
                json!({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}),
            ),
            (json!({"num_key_value_heads": null}), json!({"num_key_value_heads": 4, "head_dim": 16})),
            (json!({"rms_norm_eps": 1e-6}), json!({"rms_norm_eps": 9.999999974752427e-7})),
            (json!({"hidden_act": "silu"}), json!({"hidden_act": "swish"})),
            (json!({}), json!({"architectures": ["MistralForCausalLM"], "model_type": "mistral"})),
            (
                json!({}),
                json!({"tie_word_embeddings": true, "sliding_window": 256, "dtype": "float16",
                "max_position_embeddings": 512, "eos_token_id": 3}),
            ),
            (
                json!({"architectures": ["Qwen2ForCausalLM"], "attention_bias": true}),
                json!({"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "sliding_window": 8}),
            ),
        ] {
            assert_eq!(between(a.clone(), b.clone()), None, "{a} {b}");
            assert_eq!(between(b.clone(), a.clone()), None, "{b} {a}");
        }
    }

    #[test]
    fn other_models_differ_in_words_of_their_configuration() {
        let linear = json!({"rope_scaling": {"rope_type": "linear", "factor": 2.0}});
        let longrope = json!({"rope_type": "longrope", "short_factor": vec![1.0; 8], "long_factor": vec![2.0; 8],
            "original_max_position_embeddings": 128});
        for (a, b, expected) in [
            (json!({}), linear.clone(), r#"rope_scaling: none / {"rope_type":"linear","factor":2.0}"#),
            (
                linear,
                json!({"rope_scaling": {"type": "yarn", "factor": 4}}),
                r#"rope_scaling: {"rope_type":"linear","factor":2.0} / {"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":256}"#,
            ),
            (
                json!({"rope_scaling": longrope}),
                json!({}),
                r#"rope_scaling: {"rope_type":"longrope","short_factor":[1.0,1.0,1.0,"#,
            ),
            (json!({"partial_rotary_factor": 0.5}), json!({}), "partial_rotary_factor: 0.5 / 1"),
            (json!({}), json!({"rope_theta": 5.0}), "rope_theta: 10000 / 5"),
            (json!({}), json!({"sliding_window": 8}), "sliding_window: none / 8"),
            (json!({}), json!({"hidden_act": "relu"}), "hidden_act: silu / relu"),
            (json!({}), json!({"attention_bias": true}), "attention_bias: false / true"),
            (
                json!({}),
                json!({"architectures": ["Qwen3ForCausalLM"]}),
                "architectures: LlamaForCausalLM / Qwen3ForCausalLM",
            ),
            (json!({"logits_scaling": 2.0}), json!({"logits_scaling": 3.0}), "logits_scaling: 2 / 3"),
        ] {
            let found = between(a.clone(), b.clone()).unwrap_or_default();
            assert!(found.starts_with(expected), "{found}");
        }
    }
}
