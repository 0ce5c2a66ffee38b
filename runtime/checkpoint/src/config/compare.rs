//! Whether two configurations describe models that one can be served in the place of the other.

use super::ModelConfig;

/// A key in which two models differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The key, as in `config.json`.
    pub key: &'static str,
    /// Its value in the first model.
    pub expected: String,
    /// Its value in the second.
    pub found: String,
}

/// Files hold the same number in float32 and in decimal.
const TOLERANCE: f64 = 1e-5;

impl ModelConfig {
    /// The first key that decides what a model computes and is not the same in `other`. Number formats, special tokens
    /// and the length of the context may differ.
    pub fn difference(&self, other: &Self) -> Option<Difference> {
        let differs = |key, expected: String, found: String| {
            (expected != found).then_some(Difference { key, expected, found })
        };
        let number = |key, a: usize, b: usize| differs(key, a.to_string(), b.to_string());
        let switch = |key, a: bool, b: bool| differs(key, a.to_string(), b.to_string());
        let real = |key, a: f64, b: f64| {
            let same = (a - b).abs() <= TOLERANCE * a.abs().max(b.abs());
            (!same).then(|| Difference { key, expected: a.to_string(), found: b.to_string() })
        };
        None.or_else(|| {
            differs("architectures", self.architectures.join(", "), other.architectures.join(", "))
        })
        .or_else(|| number("vocab_size", self.vocab_size, other.vocab_size))
        .or_else(|| number("hidden_size", self.hidden_size, other.hidden_size))
        .or_else(|| number("intermediate_size", self.intermediate_size, other.intermediate_size))
        .or_else(|| number("num_hidden_layers", self.num_hidden_layers, other.num_hidden_layers))
        .or_else(|| number("num_attention_heads", self.num_attention_heads, other.num_attention_heads))
        .or_else(|| number("num_key_value_heads", self.num_key_value_heads, other.num_key_value_heads))
        .or_else(|| number("head_dim", self.head_dim, other.head_dim))
        .or_else(|| switch("tie_word_embeddings", self.tie_word_embeddings, other.tie_word_embeddings))
        .or_else(|| switch("attention_bias", self.attention_bias, other.attention_bias))
        .or_else(|| switch("mlp_bias", self.mlp_bias, other.mlp_bias))
        .or_else(|| differs("hidden_act", self.hidden_act.clone(), other.hidden_act.clone()))
        .or_else(|| real("rms_norm_eps", self.rms_norm_eps, other.rms_norm_eps))
        .or_else(|| real("rope_theta", self.rope_theta, other.rope_theta))
        .or_else(|| {
            let text = |c: &Self| format!("{:?}", c.rope_scaling);
            differs("rope_scaling", text(self), text(other))
        })
        .or_else(|| {
            let text = |c: &Self| format!("{:?}", c.rope_freq_factors);
            differs("rope_freqs.weight", text(self), text(other))
        })
        .or_else(|| {
            let text = |c: &Self| format!("{:?}", c.sliding_window);
            differs("sliding_window", text(self), text(other))
        })
    }
}
