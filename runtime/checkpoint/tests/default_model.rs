//! The configuration of the default model.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use sglang_checkpoint::{Checkpoint, ModelConfig};

#[test]
fn the_configuration_of_the_default_model_matches_its_publication() {
    let path = std::env::var_os("SGLANG_TEST_MODEL").map(PathBuf::from).unwrap_or_else(|| {
        let cache = std::env::var_os("SGLANG_RS_CACHE").map(PathBuf::from).unwrap_or_else(|| {
            PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/sglang-rs")
        });
        cache.join("models/SmolLM2-135M-Instruct.Q4_1.gguf")
    });
    assert!(path.is_file(), "{} is missing: run scripts/setup or set SGLANG_TEST_MODEL", path.display());
    let checkpoint = Checkpoint::open(&path).unwrap();
    let c = ModelConfig::from_checkpoint(&checkpoint, None).unwrap();
    assert_eq!(
        (c.architecture(), c.vocab_size, c.hidden_size, c.intermediate_size),
        ("LlamaForCausalLM", 49152, 576, 1536)
    );
    assert_eq!(
        (c.num_hidden_layers, c.num_attention_heads, c.num_key_value_heads, c.head_dim),
        (30, 9, 3, 64)
    );
    assert_eq!((c.rope_theta, c.rms_norm_eps, c.max_position_embeddings), (100_000.0, 1e-5, 8192));
    assert_eq!((c.bos_token_id, c.eos_token_ids, c.tie_word_embeddings), (Some(1), vec![2], true));
    assert_eq!(c.torch_dtype, None);
}
