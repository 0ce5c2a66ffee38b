//! Invalid batches and checkpoints are refused with a one-line error, and the worker continues.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::Path;

use common::{Part, Worker, enter, fixture, fixtures, options};
use sglang_model::{Backend, load_runner};
use sglang_proto::forward::{ForwardBatch, InputLogprobSpec};
use sglang_proto::worker::{ModelWorker, WorkerError};

const MODEL: &str = "tiny-untied-yarn";

fn tiny() -> Worker {
    Worker::new(options(fixtures().join(MODEL), Backend::Native))
}

fn refusal(worker: &mut Worker, batch: &ForwardBatch) -> String {
    match worker.runner.forward(batch) {
        Err(WorkerError::InvalidBatch(text)) => text,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn invalid_batches_are_refused_and_change_nothing() {
    type Change = fn(&mut ForwardBatch);
    let cases: [(&str, Change); 18] = [
        ("prefix_lens has 0 entries for 2 requests", |b| b.prefix_lens.clear()),
        ("sample has 1 entries for 2 requests", |b| b.sample.truncate(1)),
        ("input_ids has 23 entries, the extend lengths add up to 22", |b| b.input_ids.push(1)),
        ("out_cache_loc has 21 entries", |b| b.out_cache_loc.truncate(21)),
        ("out_cache_loc 4096 is not below 4096", |b| b.out_cache_loc[3] = 4096),
        ("appears twice", |b| b.out_cache_loc[3] = b.out_cache_loc[20]),
        ("pool row 16 is not below 16", |b| b.req_pool_indices[1] = 16),
        ("pool row 0 appears twice", |b| b.req_pool_indices[1] = 0),
        ("0 new tokens in a prefill step", |b| {
            b.extend_lens[0] = 0;
            b.input_ids.truncate(17);
            b.out_cache_loc.truncate(17);
        }),
        ("5 new tokens in a decode step", |b| b.mode = sglang_proto::forward::ForwardMode::Decode),
        ("prefix of 1 tokens, row 0 has 0", |b| b.prefix_lens[0] = 1),
        ("input id 300 is not below the vocabulary's size 300", |b| b.input_ids[4] = 300),
        ("no token has been sampled for pool row 8", |b| b.input_ids[4] = -9),
        ("no token has been sampled for pool row", |b| b.input_ids[4] = i64::MIN),
        ("prefix slot 5000 is not below 4096", |b| b.new_rows[0].prefix_slots = vec![5000]),
        ("new row 99 is not below 16", |b| b.new_rows[0].req_pool_idx = 99),
        ("pool row 1 was never entered", |b| b.new_rows.truncate(1)),
        ("request 0 has 5 new tokens, rows up to 6 are asked for", |b| {
            b.input_logprobs = vec![InputLogprobSpec {
                req_index: 0,
                row_start: 4,
                targets: vec![1, 2],
                top_logprobs_num: 0,
                token_ids_logprob: Vec::new(),
            }];
        }),
    ];
    let fixture = fixture(MODEL);
    let mut worker = tiny();
    for (expected, change) in cases {
        worker.clear();
        let mut batch =
            worker.batch(&[enter(0, &fixture.cases[1].input_ids), enter(1, &fixture.cases[2].input_ids)]);
        change(&mut batch);
        let text = refusal(&mut worker, &batch);
        assert!(text.contains(expected), "{text:?} should say {expected:?}");
    }
    worker.clear();
    assert_eq!(worker.greedy(&fixture.cases[1].input_ids, 4), fixture.cases[1].greedy[..4]);
}

#[test]
fn a_request_longer_than_the_context_is_refused() {
    let mut worker = tiny();
    let prompt = vec![1; 261];
    let batch = worker.batch(&[enter(0, &prompt)]);
    assert!(refusal(&mut worker, &batch).contains("0 + 261 tokens, the context ends at 260"));
}

#[test]
fn an_unusable_logit_bias_is_refused_by_row() {
    let mut worker = tiny();
    let mut batch = worker.batch(&[Part { row: 3, ..enter(3, &[1, 2]) }]);
    let mut sampling = (*batch.new_rows[0].sampling).clone();
    sampling.params.logit_bias = Some([("300".to_owned(), 1.0)].into());
    batch.new_rows[0].sampling = sampling.into();
    let text = refusal(&mut worker, &batch);
    assert!(text.starts_with("row 3: ") && text.contains("300"), "{text}");
}

/// A copy of the checkpoint with a changed config.json.
fn with_config(change: impl FnOnce(&mut serde_json::Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixtures().join(MODEL)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let path = folder.path().join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut config);
    std::fs::write(&path, config.to_string()).unwrap();
    folder
}

fn load_error(path: &Path) -> String {
    let text = load_runner(&options(path, Backend::Native), &mut |_, _| {}).unwrap_err().to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn a_missing_tensor_is_named_with_its_file() {
    let folder = with_config(|c| c["num_hidden_layers"] = 3.into());
    let text = load_error(folder.path());
    assert!(text.contains("model.layers.2.") && text.contains("found nothing"), "{text}");
    assert!(text.contains(folder.path().to_str().unwrap()), "{text}");
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both_shapes() {
    let folder = with_config(|c| c["intermediate_size"] = 201.into());
    let text = load_error(folder.path());
    assert!(text.contains("mlp.gate_proj.weight: expected [201, 144]"), "{text}");
    assert!(text.contains("found [200, 144]"), "{text}");
}

#[test]
fn an_unknown_architecture_is_named_with_the_known_ones() {
    let folder = with_config(|c| c["architectures"] = serde_json::json!(["FancyForCausalLM"]));
    let text = load_error(folder.path());
    assert!(text.contains("architecture FancyForCausalLM is not supported"), "{text}");
    assert!(text.contains("LlamaForCausalLM"), "{text}");
}

#[test]
fn a_truncated_shard_is_named() {
    let folder = with_config(|_| {});
    let shard = folder.path().join("model-00003-of-00005.safetensors");
    let bytes = std::fs::read(&shard).unwrap();
    std::fs::write(&shard, &bytes[..bytes.len() / 2]).unwrap();
    assert!(load_error(folder.path()).contains("model-00003-of-00005.safetensors"));
}

/// Overwrites the weights of the final norm in its shard.
fn poison_final_norm(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "safetensors") {
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let header_len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header_len]).unwrap();
        if let Some(offsets) = header["model.norm.weight"]["data_offsets"].as_array() {
            let at = 8 + header_len + offsets[0].as_u64().unwrap() as usize;
            bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
            std::fs::write(&path, bytes).unwrap();
            return;
        }
    }
    panic!("no shard holds model.norm.weight");
}

#[test]
fn logits_that_are_not_numbers_are_flagged_and_later_steps_run() {
    let folder = with_config(|_| {});
    poison_final_norm(folder.path());
    let mut worker = Worker::new(options(folder.path(), Backend::Native));
    for row in [0, 1] {
        let result = worker.run(&[enter(row, &[1, 2, 3])]).unwrap();
        assert_eq!(result.nan, [true]);
        assert!(result.next_token_ids[0].unwrap() < 300);
    }
}

#[test]
fn invalid_options_are_named_with_what_would_be_valid() {
    type Change = fn(&mut sglang_model::ModelOptions);
    let cases: [(&str, Change); 8] = [
        ("--mem-fraction-static 0.000001: ", |o| {
            o.max_total_tokens = None;
            o.mem_fraction_static = Some(0.000_001);
        }),
        ("--device tpu: expected auto, cpu, cuda or cuda:N", |o| o.device = "tpu".into()),
        ("--dtype int4: expected auto, float32, bfloat16 or float16", |o| o.dtype = "int4".into()),
        ("--context-length 257: the model was made for 256 positions", |o| o.context_length = Some(257)),
        ("--load-format gguf: the model is a folder", |o| o.load_format = "gguf".into()),
        ("--load-format pt: expected auto, safetensors, gguf or dummy", |o| o.load_format = "pt".into()),
        ("--max-total-tokens 4000000000: a token takes", |o| o.max_total_tokens = Some(4_000_000_000)),
        ("--enable-deterministic-inference", |o| {
            o.backend = Backend::Torch;
            o.deterministic = true;
        }),
    ];
    for (expected, change) in cases {
        let mut options = options(fixtures().join(MODEL), Backend::Auto);
        change(&mut options);
        let text = load_runner(&options, &mut |_, _| {}).unwrap_err().to_string();
        assert!(text.starts_with(expected), "{text:?} should start with {expected:?}");
    }
}

#[test]
fn a_longer_context_than_the_models_can_be_allowed() {
    let longer = |model: &str, length| sglang_model::ModelOptions {
        context_length: Some(length),
        longer_context: true,
        ..options(fixtures().join(model), Backend::Native)
    };
    let worker = Worker::new(longer(MODEL, 1000));
    assert_eq!(worker.runner.info().context_length, 1000);
}

#[test]
fn random_weights_need_no_weight_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(fixtures().join(MODEL).join("config.json"), folder.path().join("config.json")).unwrap();
    let dummy = |backend| {
        let options =
            sglang_model::ModelOptions { load_format: "dummy".into(), ..options(folder.path(), backend) };
        Worker::new(options).logits(&[enter(0, &[1, 2, 3])])
    };
    let native = dummy(Backend::Native);
    assert_eq!(native, dummy(Backend::Native), "the same every time");
    assert!(common::relative_error(&native[2], &dummy(Backend::Torch)[2]) < 1e-5);
    assert!(native[2].iter().any(|&x| x != native[2][0]), "not all logits are equal");
}
