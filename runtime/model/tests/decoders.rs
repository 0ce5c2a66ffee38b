//! Compares every decoder architecture with Hugging Face transformers in float32 (scripts/fixtures.d/decoders.py), from
//! both kinds of checkpoint and on both backends.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{
    Fixture, Part, Worker, as_ids, check_greedy, check_logits, chunked, decode_logits, enter, fixture,
    fixtures, options, relative_error,
};
use sglang_model::{Backend, ModelOptions, load_runner, models::supported_architectures};

/// Cases of the script; each is the name of its checkpoint.
const CASES: [&str; 11] = [
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma2",
    "gemma3",
    "phi3",
    "phi3-long",
    "granite",
    "olmo2",
    "olmo3",
];
const BACKENDS: [Backend; 2] = [Backend::Native, Backend::Torch];

/// Fixture and options of a case. The path is the checkpoint's without extension.
fn case(name: &str, backend: Backend) -> (Fixture, ModelOptions) {
    let json = std::fs::read(fixtures().join(format!("decoders/{name}.json"))).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let path = fixtures().join("decoders").join(json["model"].as_str().unwrap());
    let context_length = json["context_length"].as_u64().map(|n| n as u32);
    (fixture(&format!("decoders/{name}")), ModelOptions { context_length, ..options(path, backend) })
}

fn each_case(check: impl Fn(&str, Backend, Fixture, Worker)) {
    for name in CASES {
        for backend in BACKENDS {
            let (fixture, options) = case(name, backend);
            println!("{name} on {backend:?}"); // shown when an assertion fails
            check(name, backend, fixture, Worker::new(options));
        }
    }
}

#[test]
fn every_architecture_gives_the_logits_of_transformers() {
    each_case(|_, _, fixture, mut worker| check_logits(&mut worker, &fixture));
}

#[test]
fn every_architecture_continues_greedily_as_transformers_does() {
    each_case(|_, _, fixture, mut worker| check_greedy(&mut worker, &fixture));
}

#[test]
fn every_architecture_is_the_same_from_a_gguf_file() {
    for name in CASES {
        let json = std::fs::read(fixtures().join(format!("decoders/{name}.json"))).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        // Keys that GGUF files cannot store.
        let Some(overrides) = json["gguf_overrides"].as_object() else { continue };
        for backend in BACKENDS {
            println!("{name} on {backend:?}");
            let (fixture, options) = case(name, backend);
            let model_path = options.model_path.with_extension("gguf");
            let mut worker =
                Worker::new(ModelOptions { model_path, overrides: overrides.clone(), ..options });
            check_logits(&mut worker, &fixture);
        }
    }
}

#[test]
fn a_batch_equals_its_requests_alone_on_every_architecture() {
    each_case(|_, backend, fixture, mut worker| {
        let prompts: Vec<Vec<u32>> = fixture.cases.iter().map(|c| c.input_ids.clone()).collect();
        let together = decode_logits(&mut worker, &prompts, 4);
        for (i, prompt) in prompts.iter().enumerate() {
            worker.clear();
            let alone = decode_logits(&mut worker, std::slice::from_ref(prompt), 4);
            for (a, b) in together[i].iter().zip(&alone[0]) {
                assert_same(a, b, backend);
            }
        }
    });
}

#[test]
fn a_prompt_in_chunks_equals_the_whole_on_every_architecture() {
    each_case(|_, backend, fixture, mut worker| {
        let prompt = &fixture.cases.last().unwrap().input_ids;
        let whole = worker.logits(&[enter(0, prompt)]).pop().unwrap();
        for chunk in [1, 7, 30] {
            worker.clear();
            assert_same(&chunked(&mut worker, prompt, chunk), &whole, backend);
        }
    });
}

#[test]
fn a_cached_prefix_equals_a_fresh_prompt_on_every_architecture() {
    each_case(|_, backend, fixture, mut worker| {
        let prompt = &fixture.cases.last().unwrap().input_ids;
        let batch = worker.batch(&[enter(0, prompt)]);
        let fresh = worker.runner.all_logits(&batch).unwrap().pop().unwrap();
        let prefix_len = prompt.len() - 9;
        let part = Part {
            row: 5,
            enters: Some(batch.out_cache_loc[..prefix_len].to_vec()),
            prefix_len,
            ids: as_ids(&prompt[prefix_len..]),
            ..Part::default()
        };
        assert_same(&worker.logits(&[part]).pop().unwrap(), &fresh, backend);
    });
}

/// The project's kernels must give equal bits; those of libtorch depend on shapes.
fn assert_same(found: &[f32], expected: &[f32], backend: Backend) {
    match backend {
        Backend::Torch => assert!(relative_error(found, expected) < 1e-5),
        _ => assert!(found == expected, "error {:.2e}", relative_error(found, expected)),
    }
}

#[test]
fn sixteen_bit_formats_stay_close_to_float32_on_every_architecture() {
    for name in CASES {
        for dtype in ["bfloat16", "float16"] {
            let (fixture, options) = case(name, Backend::Auto);
            let mut worker = Worker::new(ModelOptions { dtype: dtype.into(), ..options });
            let case = &fixture.cases.last().unwrap();
            let last = worker.logits(&[enter(0, &case.input_ids)]).pop().unwrap();
            let error = relative_error(&last, &case.last);
            assert!(error > 1e-6 && error < 0.1, "{name} in {dtype}: {error:.2e}");
        }
    }
}

/// The error of loading a checkpoint's configuration with some keys changed, without weights.
fn changed(name: &str, changes: serde_json::Value) -> String {
    let folder = tempfile::tempdir().unwrap();
    let config = std::fs::read(fixtures().join("decoders").join(name).join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let options = ModelOptions { load_format: "dummy".into(), ..options(folder.path(), Backend::Native) };
    let text = load_runner(&options, &mut |_, _| {}).unwrap_err().to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with(folder.path().to_str().unwrap()), "{text}");
    text
}

#[test]
fn invalid_configurations_are_refused_by_field() {
    let layers = serde_json::json!(["full_attention", "chunked_attention", "full_attention"]);
    let rope = serde_json::json!({"rope_type": "spiral"});
    let short = serde_json::json!({"rope_type": "longrope", "short_factor": [1.0], "long_factor": [1.0]});
    let partial = serde_json::json!({"partial_rotary_factor": 0.2});
    let cases = [
        (
            "qwen3",
            "layer_types",
            layers,
            "layer_types: expected full_attention or sliding_attention for each of 3",
        ),
        (
            "qwen3",
            "layer_types",
            serde_json::json!(["full_attention"]),
            "layer_types: expected full_attention or",
        ),
        ("qwen3", "rope_parameters", rope, "rope_parameters.rope_type`: expected one of default, linear"),
        ("phi3", "rope_parameters", short, "rope_scaling: expected 8 entries in each list"),
        ("phi3", "rope_parameters", partial, "partial_rotary_factor: 3 of 16 columns would be rotated"),
        ("llama", "head_dim", 13.into(), "head_dim: 13 of 13 columns would be rotated; expected an even"),
        ("llama", "hidden_act", "relu".into(), "hidden_act: relu is not supported by this architecture"),
        (
            "gemma2",
            "attn_logit_softcapping",
            (-1).into(),
            "softcapping: expected a positive number, found -1",
        ),
        ("gemma3", "use_bidirectional_attention", true.into(), "use_bidirectional_attention: true is not"),
        ("qwen2", "max_window_layers", "x".into(), "layers: expected a non-negative integer, found \"x\""),
    ];
    for (name, field, value, expected) in cases {
        let text = changed(name, serde_json::json!({ field: value }));
        assert!(text.contains(expected), "{text:?} should say {expected:?}");
    }
}

#[test]
fn every_architecture_runs_on_random_weights() {
    for name in CASES {
        let (_, options) = case(name, Backend::Native);
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(options.model_path.join("config.json"), folder.path().join("config.json")).unwrap();
        let dummy = ModelOptions { load_format: "dummy".into(), model_path: folder.path().into(), ..options };
        let row = Worker::new(dummy).logits(&[enter(0, &[1, 2, 3])]).pop().unwrap();
        assert!(row.iter().all(|x| x.is_finite()) && row.iter().any(|x| *x != row[0]), "{name}");
    }
}

#[test]
fn names_of_multimodal_and_of_headless_checkpoints_are_found() {
    let prefixes = [
        ("model.language_model.", "lm_head."),
        ("language_model.model.", "language_model.lm_head."),
        ("", "lm_head."),
    ];
    let (fixture, options) = case("olmo2", Backend::Native);
    for (model, head) in prefixes {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(options.model_path.join("config.json"), folder.path().join("config.json")).unwrap();
        let bytes = std::fs::read(options.model_path.join("model.safetensors")).unwrap();
        let header_len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header_len]).unwrap();
        let renamed: serde_json::Map<String, serde_json::Value> = header
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| {
                let name = match (name.strip_prefix("model."), name.strip_prefix("lm_head.")) {
                    (Some(rest), _) => format!("{model}{rest}"),
                    (_, Some(rest)) => format!("{head}{rest}"),
                    _ => name.clone(),
                };
                (name, value.clone())
            })
            .collect();
        let renamed = serde_json::Value::Object(renamed).to_string();
        let mut out = (renamed.len() as u64).to_le_bytes().to_vec();
        out.extend_from_slice(renamed.as_bytes());
        out.extend_from_slice(&bytes[8 + header_len..]);
        std::fs::write(folder.path().join("model.safetensors"), out).unwrap();
        let mut worker = Worker::new(ModelOptions { model_path: folder.path().into(), ..options.clone() });
        let case = &fixture.cases[2];
        let last = worker.logits(&[enter(0, &case.input_ids)]).pop().unwrap();
        assert!(relative_error(&last, &case.last) < 1e-4, "{model}");
    }
}

/// The architectures of all checkpoints in a folder and its subfolders.
fn architectures_in(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(architectures_in(&path));
        } else if path.ends_with("config.json") {
            let config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let names = config["architectures"].as_array().cloned().unwrap_or_default();
            found.extend(names.iter().filter_map(|name| name.as_str().map(str::to_owned)));
        }
    }
    found
}

#[test]
fn every_architecture_that_generates_has_a_fixture() {
    let mut covered = architectures_in(&fixtures());
    // The text parts of multimodal classes are the same models with other tensor names.
    covered.push("Gemma3ForConditionalGeneration".to_owned());
    covered.push("Mistral3ForConditionalGeneration".to_owned());
    let generates =
        |name: &&str| ["ForCausalLM", "ForConditionalGeneration"].iter().any(|end| name.ends_with(end));
    let missing: Vec<&str> = supported_architectures()
        .into_iter()
        .filter(generates)
        .filter(|name| !covered.iter().any(|c| c == name))
        .collect();
    assert!(missing.is_empty(), "{missing:?} have no fixture");
}
