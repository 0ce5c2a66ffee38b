//! Weight updates: afterwards the worker behaves like a new one with the new weights, and after a failure as before.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::Path;

use common::{Worker, enter, fixture, fixtures, options};
use serde_json::json;
use sglang_model::Backend;
use sglang_proto::worker::{ModelWorker, StageError};

const MODEL: &str = "tiny-untied-yarn";
const PROMPT: [u32; 6] = [3, 1, 4, 1, 5, 9];

fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixtures().join(MODEL)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

/// A copy with other weights: every seventh number has its sign flipped.
fn other_weights() -> tempfile::TempDir {
    let folder = copy();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "safetensors") {
            let mut bytes = std::fs::read(&path).unwrap();
            let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            // In both little-endian float32 and bfloat16, the highest bit of every fourth byte is a sign.
            for byte in bytes[start..].iter_mut().skip(3).step_by(28) {
                *byte ^= 0x80;
            }
            std::fs::write(&path, bytes).unwrap();
        }
    }
    folder
}

fn change_config(folder: &Path, key: &str, value: serde_json::Value) {
    let path = folder.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config[key] = value;
    std::fs::write(&path, config.to_string()).unwrap();
}

fn logits(worker: &mut Worker) -> Vec<Vec<f32>> {
    worker.clear();
    worker.logits(&[enter(0, &PROMPT)])
}

fn stage_and_swap(worker: &mut Worker, path: &Path) {
    let stager = worker.runner.stager().unwrap();
    let path = path.to_str().unwrap().to_owned();
    // Read on another thread, as in the scheduler.
    let staged = std::thread::spawn(move || stager.stage(&path, "auto").unwrap()).join().unwrap();
    worker.runner.swap_weights(staged).unwrap();
}

#[test]
fn updated_weights_give_the_bits_of_a_new_worker_there_and_back() {
    let other = other_weights();
    for backend in [Backend::Native, Backend::Torch] {
        let mut worker = Worker::new(options(fixtures().join(MODEL), backend));
        let mut fresh = Worker::new(options(other.path(), backend));
        let (first, second) = (logits(&mut worker), logits(&mut fresh));
        assert_ne!(first, second);
        let weight = |worker: &Worker| worker.runner.get_weights_by_name("model.norm.weight", 5).unwrap();
        let old_weight = weight(&worker);
        stage_and_swap(&mut worker, other.path());
        assert_eq!(logits(&mut worker), second);
        assert_eq!(weight(&worker), weight(&fresh));
        stage_and_swap(&mut worker, &fixtures().join(MODEL));
        assert_eq!(logits(&mut worker), first);
        assert_eq!(weight(&worker), old_weight);
    }
}

#[test]
fn requests_continue_after_an_update_with_their_keys_and_values() {
    let other = other_weights();
    let case = &fixture(MODEL).cases[1];
    let mut worker = Worker::new(options(fixtures().join(MODEL), Backend::Native));
    let first = worker.run(&[enter(0, &case.input_ids)]).unwrap().next_token_ids[0].unwrap();
    assert_eq!(first, case.greedy[0]);
    stage_and_swap(&mut worker, other.path());
    let part = common::Part {
        row: 0,
        prefix_len: case.input_ids.len(),
        ids: vec![-1],
        sample: true,
        ..Default::default()
    };
    assert!(worker.run(&[part]).unwrap().next_token_ids[0].is_some());
}

#[test]
fn weights_that_do_not_fit_are_refused_by_name_and_the_old_ones_stay() {
    type Break = fn(&Path);
    let cases: [(&str, Break); 7] = [
        ("num_hidden_layers: expected 2 as in the served model, found 3", |f| {
            change_config(f, "num_hidden_layers", json!(3));
        }),
        ("architectures: expected LlamaForCausalLM as in the served model, found QwenForCausalLM", |f| {
            change_config(f, "architectures", json!(["QwenForCausalLM"]));
        }),
        ("rms_norm_eps: expected", |f| change_config(f, "rms_norm_eps", json!(0.001))),
        ("config.json", |f| std::fs::write(f.join("config.json"), "{").unwrap()),
        ("model-00003-of-00005.safetensors", |f| {
            std::fs::remove_file(f.join("model-00003-of-00005.safetensors")).unwrap();
        }),
        ("model-00002-of-00005.safetensors", |f| {
            let path = f.join("model-00002-of-00005.safetensors");
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("expected 5 shards, found no model-00004-of-00005.safetensors", |f| {
            std::fs::remove_file(f.join("model.safetensors.index.json")).unwrap();
            std::fs::remove_file(f.join("model-00004-of-00005.safetensors")).unwrap();
        }),
    ];
    let mut worker = Worker::new(options(fixtures().join(MODEL), Backend::Native));
    let before = logits(&mut worker);
    for (expected, change) in cases {
        let folder = copy();
        change(folder.path());
        let error =
            worker.runner.stager().unwrap().stage(folder.path().to_str().unwrap(), "auto").unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected), "{text:?} should say {expected:?}");
        let prefix = match error {
            StageError::Iterator(_) => "Failed to get weights iterator: ",
            StageError::Load(_) => "Failed to update weights: ",
            StageError::Loader(_) => panic!("{text}"),
        };
        assert!(text.starts_with(prefix));
        assert_eq!(logits(&mut worker), before);
    }
}

#[test]
fn a_folder_with_weights_alone_must_have_the_served_models_tensors() {
    let folder = other_weights();
    std::fs::remove_file(folder.path().join("config.json")).unwrap();
    let mut worker = Worker::new(options(fixtures().join(MODEL), Backend::Native));
    stage_and_swap(&mut worker, folder.path());
    let mut tied = Worker::new(options(fixtures().join("tiny-tied-llama3"), Backend::Native));
    let before = logits(&mut tied);
    let error = tied.runner.stager().unwrap().stage(folder.path().to_str().unwrap(), "auto").unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("Failed to update weights: ") && text.contains("expected ["), "{text}");
    assert_eq!(logits(&mut tied), before);
}

#[test]
fn missing_models_and_formats_without_weights_have_the_documented_errors() {
    let worker = Worker::new(options(fixtures().join(MODEL), Backend::Native));
    let stager = worker.runner.stager().unwrap();
    assert_eq!(
        stager.stage("qwen/qwen2.5-0.5b-instruct-wrong", "auto").unwrap_err().to_string(),
        "Failed to get weights iterator: qwen/qwen2.5-0.5b-instruct-wrong (repository not found)."
    );
    let model = fixtures().join(MODEL);
    let text = stager.stage(model.to_str().unwrap(), "dummy").unwrap_err().to_string();
    assert!(text.starts_with("Failed to get model loader: load format dummy"), "{text}");
    let text = stager.stage(model.to_str().unwrap(), "gguf").unwrap_err().to_string();
    assert!(text.starts_with("Failed to get weights iterator: --load-format gguf"), "{text}");
}

#[test]
fn weights_are_found_by_the_names_of_the_checkpoint() {
    for backend in [Backend::Native, Backend::Torch] {
        let worker = Worker::new(options(fixtures().join(MODEL), backend));
        let get = |name: &str, size| worker.runner.get_weights_by_name(name, size);
        // Rows of merged projections are found under their separate names.
        let rows = |name: &str| get(name, 100_000).unwrap().as_array().unwrap().len();
        assert_eq!(rows("model.layers.0.mlp.gate_proj.weight"), 200);
        assert_eq!(rows("model.layers.1.mlp.up_proj.weight"), 200);
        assert_ne!(
            get("model.layers.0.mlp.gate_proj.weight", 1),
            get("model.layers.0.mlp.up_proj.weight", 1)
        );
        assert_eq!(rows("model.embed_tokens.weight"), 300);
        assert_eq!(get("model.embed_tokens.weight", 2).unwrap()[1].as_array().unwrap().len(), 144);
        assert_eq!(get("no.such.weight", 1), None);
    }
}

/// Models that exist as a folder and as a GGUF file.
fn both_forms() -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(fixtures().join("decoders")).unwrap().map(|f| f.unwrap().path());
    files.filter(|f| f.extension().is_some_and(|e| e == "gguf")).collect()
}

#[test]
fn a_gguf_file_and_the_folder_of_the_same_model_can_replace_each_other() {
    let models = both_forms();
    assert!(models.len() >= 9);
    for gguf in models {
        let folder = gguf.with_extension("");
        println!("{}", folder.display());
        let facts: serde_json::Value =
            serde_json::from_slice(&std::fs::read(gguf.with_extension("json")).unwrap()).unwrap();
        // Keys that GGUF files cannot store.
        let overrides = facts["gguf_overrides"].as_object().cloned().unwrap_or_default();
        let context_length = facts["context_length"].as_u64().map(|n| n as u32);
        let of = |path: &Path| sglang_model::ModelOptions {
            overrides: overrides.clone(),
            context_length,
            ..options(path, Backend::Native)
        };
        let (mut from_file, mut from_folder) = (Worker::new(of(&gguf)), Worker::new(of(&folder)));
        let expected = [logits(&mut from_file), logits(&mut from_folder)];
        stage_and_swap(&mut from_file, &folder);
        stage_and_swap(&mut from_folder, &gguf);
        for (worker, expected) in [(&mut from_file, &expected[1]), (&mut from_folder, &expected[0])] {
            for (row, expected) in logits(worker).iter().zip(expected) {
                let error = common::relative_error(row, expected);
                assert!(error < 1e-4, "{error:.2e}");
            }
        }
    }
}
