//! Checkpoints whose configuration ties the output head to the embedding, but whose weights have a separate head.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::{Path, PathBuf};

use common::{Worker, check_logits, fixture, fixtures, options};
use serde_json::{Map, Value, json};
use sglang_model::lora::LoraOptions;
use sglang_model::{Backend, ModelOptions};
use sglang_proto::lora::LoRARef;
use sglang_proto::worker::ModelWorker;

const BACKENDS: [Backend; 2] = [Backend::Native, Backend::Torch];
/// Architectures whose fixtures have a separate output head.
const UNTIED: [&str; 7] = ["llama", "mistral", "qwen2", "phi3", "granite", "olmo2", "olmo3"];

fn tied() -> Map<String, Value> {
    Map::from_iter([("tie_word_embeddings".to_owned(), json!(true))])
}

fn decoder(name: &str) -> PathBuf {
    fixtures().join("decoders").join(name)
}

fn has_head(folder: &Path) -> bool {
    let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
    bytes.windows(16).any(|w| w == b"\"lm_head.weight\"")
}

#[test]
fn a_stored_matrix_counts_in_every_architecture() {
    let mut checked = 0;
    for name in UNTIED.into_iter().filter(|name| has_head(&decoder(name))) {
        for backend in BACKENDS {
            println!("{name} on {backend:?}");
            let facts = std::fs::read(decoder(name).with_extension("json")).unwrap();
            let facts: Value = serde_json::from_slice(&facts).unwrap();
            let context_length = facts["context_length"].as_u64().map(|n| n as u32);
            let options =
                ModelOptions { overrides: tied(), context_length, ..options(decoder(name), backend) };
            check_logits(&mut Worker::new(options), &fixture(&format!("decoders/{name}")));
        }
        checked += 1;
    }
    assert!(checked >= 4, "only {checked} fixtures have an output matrix");
}

#[test]
fn a_stored_matrix_counts_in_a_gguf_file() {
    let options = ModelOptions { overrides: tied(), ..options(decoder("llama.gguf"), Backend::Native) };
    check_logits(&mut Worker::new(options), &fixture("decoders/llama"));
}

#[test]
fn adapters_change_the_stored_matrix() {
    let folder = fixtures().join("lora/llama-vocabulary");
    let adapter = LoRARef::at_start("a", folder.to_str().unwrap(), false);
    let lora =
        LoraOptions { adapters: vec![adapter.clone()], max_loras_per_batch: 2, ..LoraOptions::default() };
    for backend in BACKENDS {
        let options = ModelOptions {
            overrides: tied(),
            lora: Some(lora.clone()),
            ..options(decoder("llama"), backend)
        };
        let mut worker = Worker::new(options);
        worker.adapter = Some(adapter.lora_id.clone());
        check_logits(&mut worker, &fixture("lora/llama-vocabulary"));
    }
}

/// A copy of a tied model with a second, changed copy of the embedding tensor as its head.
fn with_head(name: &str, change: impl Fn(&mut [u8])) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = fixtures().join(name);
    for entry in std::fs::read_dir(&from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let path = folder.path().join("model.safetensors");
    let file = std::fs::read(&path).unwrap();
    let start = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let (mut header, mut data): (Map<String, Value>, Vec<u8>) =
        (serde_json::from_slice(&file[8..start]).unwrap(), file[start..].to_vec());
    let mut head = header["model.embed_tokens.weight"].clone();
    let range: Vec<usize> =
        head["data_offsets"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
    let mut copy = data[range[0]..range[1]].to_vec();
    change(&mut copy);
    head["data_offsets"] = json!([data.len(), data.len() + copy.len()]);
    header.insert("lm_head.weight".to_owned(), head);
    data.extend(copy);
    let header = Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    std::fs::write(path, file).unwrap();
    folder
}

#[test]
fn a_copy_of_the_embedding_takes_no_memory() {
    let copy = with_head("decoders/gemma2", |_| {});
    for backend in BACKENDS {
        let plain = Worker::new(options(decoder("gemma2"), backend));
        let mut copied = Worker::new(options(copy.path(), backend));
        assert_eq!(copied.runner.info().weight_bytes, plain.runner.info().weight_bytes);
        check_logits(&mut copied, &fixture("decoders/gemma2"));
    }
}

#[test]
fn new_weights_with_a_separate_head_are_served_with_it() {
    let other =
        with_head("decoders/gemma2", |bytes| bytes.iter_mut().skip(3).step_by(28).for_each(|b| *b ^= 0x80));
    let prompt = [3, 1, 4, 1, 5];
    let logits = |worker: &mut Worker| {
        worker.clear();
        worker.logits(&[common::enter(0, &prompt)])
    };
    let swap = |worker: &mut Worker, path: &Path| {
        let staged = worker.runner.stager().unwrap().stage(path.to_str().unwrap(), "auto").unwrap();
        worker.runner.swap_weights(staged).unwrap();
    };
    let mut worker = Worker::new(options(decoder("gemma2"), Backend::Native));
    let tied = logits(&mut worker);
    let own = logits(&mut Worker::new(options(other.path(), Backend::Native)));
    assert_ne!(tied, own);
    swap(&mut worker, other.path());
    assert_eq!(logits(&mut worker), own);
    let head = worker.runner.get_weights_by_name("lm_head.weight", 1).unwrap();
    assert_ne!(head, worker.runner.get_weights_by_name("model.embed_tokens.weight", 1).unwrap());
    swap(&mut worker, &decoder("gemma2"));
    assert_eq!(logits(&mut worker), tied);
    let head = worker.runner.get_weights_by_name("lm_head.weight", 1).unwrap();
    assert_eq!(head, worker.runner.get_weights_by_name("model.embed_tokens.weight", 1).unwrap());
}
