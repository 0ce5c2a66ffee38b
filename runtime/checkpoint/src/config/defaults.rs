//! Defaults of keys that a `config.json` may leave out, per family (as in transformers' configuration classes).

/// Values for missing keys.
pub(super) struct Defaults {
    pub(super) tie_word_embeddings: bool,
    pub(super) norm_eps: f64,
    pub(super) hidden_act: &'static str,
    /// Head width if it is not `hidden_size / num_attention_heads`.
    pub(super) head_dim: Option<usize>,
    pub(super) rope_theta: f64,
    pub(super) rope_local_theta: Option<f64>,
    /// Sliding window if the key is absent.
    pub(super) sliding_window: Option<usize>,
    /// Whether the window applies if `use_sliding_window` is absent.
    pub(super) use_sliding_window: bool,
    /// Sizes that the text part of multimodal checkpoints leaves out.
    pub(super) sizes: Option<Sizes>,
}

/// Size defaults of a configuration class, taken from a released checkpoint.
pub(super) struct Sizes {
    pub(super) vocab_size: usize,
    pub(super) num_attention_heads: usize,
    pub(super) num_key_value_heads: usize,
    pub(super) max_position_embeddings: usize,
}

const LLAMA: Defaults = Defaults {
    tie_word_embeddings: false,
    norm_eps: 1e-6,
    hidden_act: "silu",
    head_dim: None,
    rope_theta: 10_000.0,
    rope_local_theta: None,
    sliding_window: None,
    use_sliding_window: true,
    sizes: None,
};

const GEMMA: Defaults =
    Defaults { tie_word_embeddings: true, hidden_act: "gelu_pytorch_tanh", head_dim: Some(256), ..LLAMA };

/// Defaults of a model type; unknown types get those of Llama.
pub(super) fn of(model_type: &str) -> Defaults {
    match model_type {
        "gemma" => GEMMA,
        "gemma2" => Defaults { sliding_window: Some(4096), ..GEMMA },
        "gemma3" | "gemma3_text" => Defaults {
            rope_theta: 1_000_000.0,
            rope_local_theta: Some(10_000.0),
            sliding_window: Some(4096),
            // Gemma 3 4B leaves these out.
            sizes: Some(Sizes {
                vocab_size: 262_208,
                num_attention_heads: 8,
                num_key_value_heads: 4,
                max_position_embeddings: 131_072,
            }),
            ..GEMMA
        },
        "mistral" => Defaults { sliding_window: Some(4096), ..LLAMA },
        "qwen2" | "qwen2_moe" => Defaults { use_sliding_window: false, ..LLAMA },
        "qwen3" | "qwen3_moe" => Defaults { head_dim: Some(128), use_sliding_window: false, ..LLAMA },
        "phi3" | "olmo2" => Defaults { norm_eps: 1e-5, ..LLAMA },
        "olmo3" => Defaults { norm_eps: 1e-5, rope_theta: 500_000.0, sliding_window: Some(4096), ..LLAMA },
        "mixtral" => Defaults { norm_eps: 1e-5, rope_theta: 1_000_000.0, ..LLAMA },
        "gpt_oss" => Defaults { norm_eps: 1e-5, head_dim: Some(64), rope_theta: 150_000.0, ..LLAMA },
        "bert" | "roberta" | "xlm-roberta" => {
            Defaults { tie_word_embeddings: true, norm_eps: 1e-12, hidden_act: "gelu", ..LLAMA }
        }
        _ => LLAMA,
    }
}
