//! Model configurations from all formats and spellings.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{GgufWriter, Meta};
use serde_json::{Value, json};
use sglang_checkpoint::config::{Longrope, Yarn};
use sglang_checkpoint::{Checkpoint, GenerationConfig, ModelConfig, RopeScaling};

fn base() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 100, "hidden_size": 64,
        "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 5000.0, "torch_dtype": "bfloat16",
        "bos_token_id": 1, "eos_token_id": [3, 2]
    })
}

/// Parses `base` with some keys replaced (null removes a key) and other files beside it.
fn parse_with(
    changes: Value,
    files: &[(&str, &str)],
    overrides: Option<&Value>,
) -> Result<ModelConfig, String> {
    let mut config = base();
    for (key, value) in changes.as_object().unwrap() {
        config.as_object_mut().unwrap().insert(key.clone(), value.clone());
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    ModelConfig::from_checkpoint(&checkpoint, overrides).map_err(|e| e.to_string())
}

fn parse(changes: Value) -> Result<ModelConfig, String> {
    parse_with(changes, &[], None)
}

#[test]
fn a_plain_config_is_read_with_derived_values() {
    let c = parse(json!({})).unwrap();
    assert_eq!((c.architecture(), c.model_type.as_str()), ("LlamaForCausalLM", "llama"));
    assert_eq!((c.head_dim, c.num_key_value_heads, c.rope_theta), (16, 2, 5000.0));
    assert_eq!((c.eos_token_ids, c.bos_token_id, c.pad_token_id), (vec![2, 3], Some(1), None));
    assert_eq!((c.torch_dtype.as_deref(), c.hidden_act.as_str()), (Some("bfloat16"), "silu"));
    assert!(
        !c.tie_word_embeddings && !c.attention_bias && c.sliding_window.is_none() && c.rope_scaling.is_none()
    );
}

#[test]
fn keys_left_out_have_their_familys_defaults() {
    let leave_out = json!({"num_key_value_heads": null, "rms_norm_eps": null, "rope_theta": null});
    let mut gemma = leave_out.clone();
    gemma["model_type"] = "gemma3_text".into();
    let (llama, gemma) = (parse(leave_out).unwrap(), parse(gemma).unwrap());
    assert_eq!((llama.num_key_value_heads, llama.rms_norm_eps, llama.rope_theta), (4, 1e-6, 10_000.0));
    assert_eq!((gemma.head_dim, gemma.rope_theta, gemma.rope_local_theta), (256, 1e6, Some(1e4)));
    assert!(gemma.tie_word_embeddings && gemma.hidden_act == "gelu_pytorch_tanh");
    let bert = parse(json!({"model_type": "bert", "rms_norm_eps": null, "layer_norm_eps": 1e-12})).unwrap();
    assert_eq!(bert.rms_norm_eps, 1e-12);
}

#[test]
fn the_text_part_of_gemma_3_4b_is_read_with_the_sizes_it_leaves_out() {
    let c = parse(json!({
        "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "vocab_size": null,
        "hidden_size": null, "intermediate_size": null, "num_hidden_layers": null, "num_attention_heads": null,
        "num_key_value_heads": null, "max_position_embeddings": null, "rope_theta": null,
        "text_config": {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
            "num_hidden_layers": 34, "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024}
    }))
    .unwrap();
    assert_eq!((c.num_attention_heads, c.num_key_value_heads, c.head_dim), (8, 4, 256));
    assert_eq!((c.vocab_size, c.max_position_embeddings), (262_208, 131_072));
    assert_eq!((c.sliding_window, c.rope_theta, c.rope_local_theta), (Some(1024), 1e6, Some(1e4)));
    assert_eq!(c.rope_scaling, Some(RopeScaling::Linear { factor: 8.0 }));
}

#[test]
fn rope_is_read_in_both_spellings() {
    let llama3 = json!({"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 256});
    let expected = Some(RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 256,
    });
    for name in ["rope_type", "type"] {
        let mut scaling = llama3.clone();
        scaling[name] = "llama3".into();
        assert_eq!(parse(json!({"rope_scaling": scaling})).unwrap().rope_scaling, expected);
    }
    let mut parameters = llama3.clone();
    parameters["rope_type"] = "llama3".into();
    parameters["rope_theta"] = 7.0.into();
    let new = parse(json!({"rope_parameters": parameters, "rope_theta": null})).unwrap();
    assert_eq!((new.rope_scaling, new.rope_theta), (expected, 7.0));
    let layers = json!({"rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}
    }});
    let gemma = parse(layers).unwrap();
    assert_eq!(gemma.rope_scaling, Some(RopeScaling::Linear { factor: 8.0 }));
    assert_eq!((gemma.rope_theta, gemma.rope_local_theta), (1e6, Some(1e4)));
}

/// The rotations of a configuration: bases for full-attention and sliding-window layers, rotated fraction, scalings.
fn rotation(c: &ModelConfig) -> (f64, f64, f64, [RopeScaling; 2]) {
    let plain = |scaling: &Option<RopeScaling>| scaling.clone().unwrap_or(RopeScaling::Default);
    let scalings = [plain(&c.rope_scaling), plain(&c.rope_local_scaling)];
    (c.rope_theta, c.rope_local_theta.unwrap_or(c.rope_theta), c.partial_rotary_factor, scalings)
}

#[test]
fn every_spelling_of_a_rotation_means_what_it_means_to_transformers_and_the_reference() {
    let fixture: Value = serde_json::from_str(include_str!("fixtures/rope_keys.json")).unwrap();
    let cases = fixture["cases"].as_array().unwrap();
    assert!(cases.len() > 40);
    let dir = tempfile::tempdir().unwrap();
    for case in cases {
        let read = |keys: &Value, overrides: &Value| {
            let mut config = fixture["base"].clone();
            for (key, value) in keys.as_object().unwrap() {
                config[key] = value.clone();
            }
            std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
            let checkpoint = Checkpoint::open(dir.path()).unwrap();
            let overrides = Some(overrides).filter(|o| !o.is_null());
            ModelConfig::from_checkpoint(&checkpoint, overrides).unwrap()
        };
        let found = read(&case["config"], &case["overrides"]);
        // The same rotation in the form that transformers normalises it to.
        let mut keys = case["config"].clone();
        keys.as_object_mut().unwrap().retain(|key, _| !key.starts_with("rope_"));
        keys["rope_parameters"] = case["rope_parameters"].clone();
        let expected = read(&keys, &Value::Null);
        let name = &case["name"];
        assert_eq!(rotation(&found), rotation(&expected), "{name}");
        assert_eq!(found.usable_positions() as u64, case["context_length"].as_u64().unwrap(), "{name}");
    }
}

#[test]
fn overrides_of_a_rotation_win_over_every_spelling_of_the_file() {
    let file = json!({"rope_parameters": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "rope_theta": 7.0}, "rope_theta": null});
    let with = |overrides: Value| parse_with(file.clone(), &[], Some(&overrides)).unwrap();
    let linear = Some(RopeScaling::Linear { factor: 2.0 });
    // The older spelling `type`, a base beside the object, and a removed scaling.
    let c = with(json!({"rope_scaling": {"type": "linear", "factor": 2.0}}));
    assert_eq!((c.rope_scaling, c.rope_theta), (linear.clone(), 7.0));
    let c = with(json!({"rope_theta": 9.0}));
    assert!(matches!(c.rope_scaling, Some(RopeScaling::Llama3 { .. })) && c.rope_theta == 9.0);
    let c = with(json!({"rope_theta": 9.0, "rope_parameters": {"rope_theta": 11.0}}));
    assert_eq!(c.rope_theta, 11.0);
    let c = with(json!({"rope_scaling": null}));
    assert_eq!((c.rope_scaling, c.rope_theta), (None, 7.0));
    // By kind of layer.
    let file = json!({"model_type": "gemma3_text", "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 5.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 6.0}
    }});
    let with = |overrides: Value| parse_with(file.clone(), &[], Some(&overrides)).unwrap();
    let c =
        with(json!({"rope_scaling": {"rope_type": "linear", "factor": 2.0}, "rope_local_base_freq": 8.0}));
    assert_eq!((c.rope_scaling, c.rope_theta, c.rope_local_theta), (linear.clone(), 5.0, Some(8.0)));
    let c = with(json!({"text_config": {"rope_scaling": {"rope_type": "linear", "factor": 2.0}}}));
    assert_eq!((c.usable_positions(), c.rope_scaling), (512, linear));
}

#[test]
fn the_length_of_a_gguf_file_is_not_stretched_again() {
    let stretched = gguf("llama")
        .text("llama.rope.scaling.type", "linear")
        .meta("llama.rope.scaling.factor", Meta::F32(2.0));
    let c = from_gguf(&stretched).unwrap();
    assert_eq!((c.rope_scaling, c.context_length), (Some(RopeScaling::Linear { factor: 2.0 }), 512));
    let bert = parse(json!({"model_type": "bert", "model_max_length": 1_000_000})).unwrap();
    assert_eq!(bert.usable_positions(), 512);
}

#[test]
fn the_other_rope_scalings_are_read() {
    let scaling = |value: Value| parse(json!({"rope_scaling": value})).map(|c| c.rope_scaling);
    assert_eq!(scaling(json!({"type": "default"})), Ok(Some(RopeScaling::Default)));
    assert_eq!(scaling(json!({"type": "mrope", "mrope_section": [1]})), Ok(Some(RopeScaling::Default)));
    assert_eq!(
        scaling(json!({"type": "dynamic", "factor": 2})),
        Ok(Some(RopeScaling::Dynamic { factor: 2.0 }))
    );
    let yarn = Yarn {
        factor: 4.0,
        original_max_position_embeddings: 512,
        attention_factor: None,
        beta_fast: 32.0,
        beta_slow: 1.0,
        mscale: Some(0.7),
        mscale_all_dim: None,
        truncate: true,
    };
    assert_eq!(
        scaling(json!({"type": "yarn", "factor": 4.0, "mscale": 0.7})),
        Ok(Some(RopeScaling::Yarn(yarn)))
    );
    let phi = parse(json!({"original_max_position_embeddings": 128,
        "rope_scaling": {"type": "su", "short_factor": [1.0, 1.5], "long_factor": [2, 3]}}));
    let longrope = Longrope {
        short_factor: vec![1.0, 1.5],
        long_factor: vec![2.0, 3.0],
        original_max_position_embeddings: 128,
        factor: None,
        attention_factor: None,
    };
    assert_eq!(phi.unwrap().rope_scaling, Some(RopeScaling::Longrope(longrope)));
    let error = scaling(json!({"rope_type": "spiral"})).unwrap_err();
    assert!(
        error.contains("config.json: key `rope_scaling.rope_type`: expected one of default, linear"),
        "{error}"
    );
    let error = scaling(json!({"rope_type": "linear"})).unwrap_err();
    assert!(error.contains("key `rope_scaling.factor` is missing (expected a number)"), "{error}");
}

#[test]
fn a_wrong_or_missing_key_is_named_with_file_and_value() {
    let cases = [
        (
            json!({"vocab_size": "many"}),
            "config.json: key `vocab_size`: expected a non-negative integer, found \"many\"",
        ),
        (
            json!({"num_attention_heads": null}),
            "key `num_attention_heads` is missing (expected a positive integer)",
        ),
        (json!({"hidden_size": 0}), "key `hidden_size`: expected a positive integer, found 0"),
        (json!({"hidden_size": 66}), "key `hidden_size`: expected a multiple of num_attention_heads (4)"),
        (
            json!({"num_key_value_heads": 3}),
            "key `num_key_value_heads`: expected a divisor of num_attention_heads (4)",
        ),
        (
            json!({"eos_token_id": "x"}),
            "key `eos_token_id`: expected a token id or a list of token ids, found \"x\"",
        ),
        (json!({"architectures": "Llama"}), "key `architectures`: expected a list of texts, found \"Llama\""),
        (json!({"rope_scaling": 3}), "key `rope_scaling`: expected an object, found 3"),
    ];
    for (changes, expected) in cases {
        let error = parse(changes).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn overrides_replace_keys_at_the_top_and_in_a_nested_text_config() {
    let overrides = json!({"num_hidden_layers": 1, "rope_scaling": {"type": "linear", "factor": 2.0}});
    let c = parse_with(json!({}), &[], Some(&overrides)).unwrap();
    assert_eq!((c.num_hidden_layers, c.rope_scaling), (1, Some(RopeScaling::Linear { factor: 2.0 })));
    let nested =
        json!({"text_config": {"num_hidden_layers": 9, "hidden_size": 128, "model_type": "gemma3_text"}});
    let c = parse_with(nested.clone(), &[], None).unwrap();
    assert_eq!((c.num_hidden_layers, c.hidden_size, c.architecture()), (9, 128, "LlamaForCausalLM"));
    assert_eq!(parse_with(nested, &[], Some(&overrides)).unwrap().num_hidden_layers, 1);
    let error = parse_with(json!({}), &[], Some(&json!([1]))).unwrap_err();
    assert!(error.contains("key `--json-model-override-args`: expected a JSON object"), "{error}");
}

#[test]
fn sliding_windows_count_only_when_they_are_used() {
    assert_eq!(parse(json!({"sliding_window": 8})).unwrap().sliding_window, Some(8));
    assert_eq!(
        parse(json!({"sliding_window": 8, "use_sliding_window": false})).unwrap().sliding_window,
        None
    );
    assert_eq!(parse(json!({"sliding_window": null})).unwrap().sliding_window, None);
    // Families differ in the default of an absent key.
    let window = |changes: Value| parse(changes).unwrap().sliding_window;
    assert_eq!(window(json!({"model_type": "mistral"})), Some(4096));
    assert_eq!(window(json!({"model_type": "mistral", "sliding_window": null})), None);
    assert_eq!(window(json!({"model_type": "qwen2", "sliding_window": 8})), None);
    assert_eq!(
        window(json!({"model_type": "qwen2", "sliding_window": 8, "use_sliding_window": true})),
        Some(8)
    );
}

#[test]
fn a_partial_rotation_is_read_where_either_spelling_has_it() {
    let factor = |changes: Value| parse(changes).unwrap().partial_rotary_factor;
    assert_eq!(factor(json!({})), 1.0);
    assert_eq!(factor(json!({"partial_rotary_factor": 0.75})), 0.75);
    assert_eq!(factor(json!({"rope_parameters": {"partial_rotary_factor": 0.5}})), 0.5);
    let writer = gguf("phi3").meta("phi3.rope.dimension_count", Meta::U32(12));
    assert_eq!(from_gguf(&writer).unwrap().partial_rotary_factor, 0.75);
    let whole = gguf("phi3").meta("phi3.rope.dimension_count", Meta::U32(16));
    assert_eq!(from_gguf(&whole).unwrap().partial_rotary_factor, 1.0);
}

#[test]
fn end_tokens_are_those_of_both_files() {
    let generation = r#"{"eos_token_id": [7, 2], "temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": 0.01, "repetition_penalty": 1.1}"#;
    let c = parse_with(json!({}), &[("generation_config.json", generation)], None).unwrap();
    assert_eq!(c.eos_token_ids, [2, 3, 7]);
    let error = parse_with(json!({}), &[("generation_config.json", r#"{"top_k": "x"}"#)], None).unwrap_err();
    assert!(
        error.contains("generation_config.json: key `top_k`: expected an integer, found \"x\""),
        "{error}"
    );
}

#[test]
fn sampling_defaults_are_read_and_their_absence_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.json"), base().to_string()).unwrap();
    let read = || GenerationConfig::from_checkpoint(&Checkpoint::open(dir.path()).unwrap()).unwrap();
    assert_eq!(read(), None);
    let text = r#"{"temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": null, "eos_token_id": 4}"#;
    std::fs::write(dir.path().join("generation_config.json"), text).unwrap();
    let expected = GenerationConfig {
        temperature: Some(0.6),
        top_p: Some(0.95),
        top_k: Some(20),
        eos_token_ids: vec![4],
        ..GenerationConfig::default()
    };
    assert_eq!(read(), Some(expected));
}

fn gguf(arch: &str) -> GgufWriter {
    let key = |name: &str| format!("{arch}.{name}");
    GgufWriter::default()
        .text("general.architecture", arch)
        .meta(&key("block_count"), Meta::U32(2))
        .meta(&key("context_length"), Meta::U32(512))
        .meta(&key("embedding_length"), Meta::U32(64))
        .meta(&key("feed_forward_length"), Meta::U32(96))
        .meta(&key("attention.head_count"), Meta::U32(4))
        .meta(&key("attention.head_count_kv"), Meta::U32(2))
        .meta(&key("attention.layer_norm_rms_epsilon"), Meta::F32(1e-5))
        .meta("tokenizer.ggml.eos_token_id", Meta::U32(2))
        .meta("tokenizer.ggml.eot_token_id", Meta::U32(5))
        .f32_tensor("token_embd.weight", &[64, 3], &[0.0; 192])
}

fn from_gguf(writer: &GgufWriter) -> Result<ModelConfig, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    writer.write(&path);
    ModelConfig::from_checkpoint(&Checkpoint::open(&path).unwrap(), None).map_err(|e| e.to_string())
}

#[test]
fn gguf_families_become_their_classes() {
    let cases = [
        ("llama", "LlamaForCausalLM", "llama"),
        ("qwen2", "Qwen2ForCausalLM", "qwen2"),
        ("qwen3", "Qwen3ForCausalLM", "qwen3"),
        ("gemma3", "Gemma3ForCausalLM", "gemma3_text"),
        ("gpt-oss", "GptOssForCausalLM", "gpt_oss"),
    ];
    for (arch, class, model_type) in cases {
        let c = from_gguf(&gguf(arch)).unwrap();
        assert_eq!((c.architecture(), c.model_type.as_str()), (class, model_type));
        assert_eq!((c.vocab_size, c.hidden_size, c.head_dim, c.num_hidden_layers), (3, 64, 16, 2));
        assert_eq!((c.rms_norm_eps, c.eos_token_ids.as_slice()), (1e-5, &[2, 5][..]));
        assert!(c.tie_word_embeddings);
    }
    let error = from_gguf(&gguf("mamba")).unwrap_err();
    assert!(error.contains("key `general.architecture`: expected one of llama, qwen2"), "{error}");
}

#[test]
fn gguf_tensors_decide_on_heads_biases_and_rope_factors() {
    let writer = gguf("llama")
        .meta("llama.attention.key_length", Meta::U32(32))
        .meta("llama.rope.freq_base", Meta::F32(500_000.0))
        .f32_tensor("output.weight", &[64, 3], &[0.0; 192])
        .f32_tensor("rope_freqs.weight", &[4], &[1.0, 1.5, 8.0, 8.0])
        .f32_tensor("blk.0.attn_q.bias", &[64], &[0.0; 64]);
    let c = from_gguf(&writer).unwrap();
    assert!(!c.tie_word_embeddings && c.attention_bias && !c.mlp_bias);
    assert_eq!((c.head_dim, c.rope_theta), (32, 500_000.0));
    assert_eq!(c.rope_freq_factors, Some(vec![1.0, 1.5, 8.0, 8.0]));
}

#[test]
fn gguf_experts_and_rope_scaling_are_read() {
    let writer = gguf("llama")
        .meta("llama.expert_count", Meta::U32(8))
        .meta("llama.expert_used_count", Meta::U32(2))
        .text("llama.rope.scaling.type", "yarn")
        .meta("llama.rope.scaling.factor", Meta::F32(4.0))
        .meta("llama.rope.scaling.original_context_length", Meta::U32(128));
    let c = from_gguf(&writer).unwrap();
    assert_eq!((c.architecture(), &c.raw["num_experts_per_tok"]), ("MixtralForCausalLM", &json!(2)));
    let Some(RopeScaling::Yarn(yarn)) = c.rope_scaling else { panic!("{:?}", c.rope_scaling) };
    assert_eq!((yarn.factor, yarn.original_max_position_embeddings), (4.0, 128));
}

#[test]
fn gguf_files_of_deepseek_are_read_in_their_older_and_newer_form() {
    let older = gguf("deepseek2")
        .meta("deepseek2.rope.dimension_count", Meta::U32(6))
        .meta("deepseek2.attention.kv_lora_rank", Meta::U32(24))
        .meta("deepseek2.attention.key_length", Meta::U32(20))
        .meta("deepseek2.attention.value_length", Meta::U32(10))
        .meta("deepseek2.expert_count", Meta::U32(8))
        .meta("deepseek2.expert_used_count", Meta::U32(2))
        .meta("deepseek2.expert_group_count", Meta::U32(4))
        .meta("deepseek2.expert_group_used_count", Meta::U32(3))
        .text("deepseek2.rope.scaling.type", "yarn")
        .meta("deepseek2.rope.scaling.factor", Meta::F32(40.0))
        .meta("deepseek2.rope.scaling.yarn_log_multiplier", Meta::F32(0.0707));
    let c = from_gguf(&older).unwrap();
    assert_eq!((c.architecture(), c.model_type.as_str()), ("DeepseekV2ForCausalLM", "deepseek_v2"));
    assert_eq!((c.head_dim, c.partial_rotary_factor, c.num_key_value_heads), (6, 1.0, 4));
    let key = |key: &str| c.raw[key].clone();
    assert_eq!(
        (key("qk_nope_head_dim"), key("v_head_dim"), key("q_lora_rank")),
        (14.into(), 10.into(), Value::Null)
    );
    assert_eq!(
        (key("topk_method"), key("n_group"), key("topk_group")),
        ("group_limited_greedy".into(), 4.into(), 3.into())
    );
    let Some(RopeScaling::Yarn(yarn)) = &c.rope_scaling else { panic!("{:?}", c.rope_scaling) };
    assert_eq!((yarn.mscale, yarn.mscale_all_dim), (Some(0.707), Some(0.707)));
    let newer = gguf("deepseek2")
        .meta("deepseek2.rope.dimension_count", Meta::U32(6))
        .meta("deepseek2.attention.kv_lora_rank", Meta::U32(24))
        .meta("deepseek2.attention.q_lora_rank", Meta::U32(30))
        .meta("deepseek2.attention.key_length", Meta::U32(30))
        .meta("deepseek2.attention.value_length", Meta::U32(24))
        .meta("deepseek2.attention.key_length_mla", Meta::U32(20))
        .meta("deepseek2.attention.value_length_mla", Meta::U32(10))
        .meta("deepseek2.expert_count", Meta::U32(8))
        .meta("deepseek2.expert_used_count", Meta::U32(2))
        .meta("deepseek2.expert_gating_func", Meta::U32(2));
    let c = from_gguf(&newer).unwrap();
    assert_eq!((c.architecture(), c.model_type.as_str()), ("DeepseekV3ForCausalLM", "deepseek_v3"));
    assert_eq!((&c.raw["qk_nope_head_dim"], &c.raw["v_head_dim"]), (&json!(14), &json!(10)));
    assert_eq!((&c.raw["q_lora_rank"], &c.raw["topk_method"]), (&json!(30), &json!("noaux_tc")));
    assert_eq!((&c.raw["n_group"], &c.raw["topk_group"]), (&json!(1), &json!(1)));
}

#[test]
fn heads_of_latent_attention_are_as_wide_as_what_is_rotated() {
    let sizes = json!({"kv_lora_rank": 24, "qk_rope_head_dim": 6, "qk_nope_head_dim": 14, "hidden_size": 66});
    assert_eq!(parse(sizes).unwrap().head_dim, 6);
    let other = json!({"kv_lora_rank": 24, "qk_rope_head_dim": 6, "head_dim": 20});
    assert_eq!(parse(other).unwrap().head_dim, 6);
}

#[test]
fn gguf_says_in_three_ways_which_layers_have_a_window() {
    let key = "gemma3.attention.sliding_window_pattern";
    let raw = |writer: &GgufWriter| from_gguf(writer).unwrap().raw;
    assert_eq!(raw(&gguf("gemma3"))["sliding_window_pattern"], 6);
    assert_eq!(raw(&gguf("gemma2"))["sliding_window_pattern"], 2);
    assert_eq!(raw(&gguf("gemma3").meta(key, Meta::U32(4)))["sliding_window_pattern"], 4);
    let listed = raw(&gguf("gemma3").meta(key, Meta::I32s(vec![1, 0])));
    assert_eq!(listed["layer_types"], json!(["sliding_attention", "full_attention"]));
    assert_eq!(from_gguf(&gguf("gemma3").meta(key, Meta::Bool(true))).unwrap_err().lines().count(), 1);
}

#[test]
fn gguf_keys_that_are_missing_or_do_not_fit_are_named() {
    let without = |key: &str| {
        let mut writer = gguf("llama");
        writer.meta.retain(|(k, _)| k != key);
        from_gguf(&writer).unwrap_err()
    };
    assert!(without("llama.block_count").contains("m.gguf: key `llama.block_count` is missing"));
    assert!(
        without("general.architecture").contains("key `general.architecture` is missing (expected text)")
    );
    let mut writer = gguf("llama");
    writer.tensors[0].1 = vec![48, 4];
    let error = from_gguf(&writer).unwrap_err();
    assert!(
        error.contains("tensor `token_embd.weight`: expected shape [vocabulary, 64], found [4, 48]"),
        "{error}"
    );
}
