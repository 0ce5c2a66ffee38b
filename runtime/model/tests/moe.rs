//! Compares mixtures of experts with Hugging Face transformers in float32 (scripts/fixtures.d/moe.py), and with
//! themselves in other batches.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Fixture, Part, Worker, as_ids, chunked, enter, fixture, fixtures, options, relative_error};
use sglang_model::eplb::{RecorderMode, RecorderSettings};
use sglang_model::{Backend, ModelOptions, load_runner};
use sglang_proto::messages::ExpertDistributionReqType::{DumpRecord, StartRecord, StopRecord};
use sglang_proto::worker::ModelWorker;

const FOLDERS: [&str; 9] = [
    "tiny-qwen2-moe",
    "tiny-qwen3-moe",
    "tiny-mixtral",
    "tiny-gpt-oss",
    "tiny-gpt-oss-mxfp4",
    "tiny-deepseek-v2-lite",
    "tiny-deepseek-v2",
    "tiny-deepseek-v3",
    "tiny-deepseek-v3-fp8",
];
/// Largest relative error of a row of logits.
const TOLERANCE: f64 = 1e-4;

fn model_options(name: &str, backend: Backend) -> ModelOptions {
    let is_file = name.ends_with("-gguf");
    let file = if is_file { format!("moe/{name}.gguf") } else { format!("moe/{name}") };
    ModelOptions { dtype: "float32".into(), ..options(fixtures().join(file), backend) }
}

fn worker(name: &str, backend: Backend) -> Worker {
    Worker::new(model_options(name, backend))
}

fn expected(name: &str) -> Fixture {
    fixture(&format!("moe/{name}"))
}

fn check(name: &str) {
    check_loaded(name, |backend| model_options(name, backend));
}

/// Checks the same model from a GGUF file beside the folder.
fn check_gguf(name: &str) {
    let file = fixtures().join(format!("moe/{name}.gguf"));
    check_loaded(name, |backend| ModelOptions { dtype: "float32".into(), ..options(&file, backend) });
}

fn check_loaded(name: &str, options: impl Fn(Backend) -> ModelOptions) {
    let fixture = expected(name);
    for backend in [Backend::Native, Backend::Torch] {
        let mut worker = Worker::new(options(backend));
        for case in &fixture.cases {
            worker.clear();
            let rows = worker.logits(&[enter(0, &case.input_ids)]);
            for (p, row) in rows.iter().enumerate() {
                let strided: Vec<f32> = row.iter().copied().step_by(fixture.stride).collect();
                let error = relative_error(&strided, &case.strided[p]);
                assert!(error < TOLERANCE, "{backend:?}, {} tokens, position {p}: {error:.2e}", rows.len());
            }
            let error = relative_error(rows.last().unwrap(), &case.last);
            assert!(error < TOLERANCE, "{backend:?}, {} tokens: {error:.2e}", rows.len());
            worker.clear();
            let greedy = worker.greedy(&case.input_ids, case.greedy.len());
            assert_eq!(greedy, case.greedy, "{backend:?}, {} tokens", rows.len());
        }
    }
}

#[test]
fn qwen2_moe_with_a_dense_layer_and_a_shared_expert_equals_transformers() {
    check("tiny-qwen2-moe");
}

#[test]
fn qwen3_moe_with_every_other_layer_dense_equals_transformers() {
    check("tiny-qwen3-moe");
}

#[test]
fn mixtral_within_a_window_equals_transformers() {
    check("tiny-mixtral");
}

#[test]
fn gpt_oss_with_sinks_windows_yarn_and_biases_equals_transformers() {
    check("tiny-gpt-oss");
}

#[test]
fn gpt_oss_with_experts_of_four_bits_equals_transformers() {
    check("tiny-gpt-oss-mxfp4");
}

#[test]
fn stacked_quantised_experts_of_a_gguf_file_equal_transformers() {
    check("tiny-qwen2-moe-gguf");
}

#[test]
fn gpt_oss_with_four_bit_blocks_of_a_gguf_file_equals_transformers() {
    check_gguf("tiny-gpt-oss-mxfp4");
}

#[test]
fn deepseek_v2_lite_with_direct_queries_and_greedy_experts_equals_transformers() {
    check("tiny-deepseek-v2-lite");
}

#[test]
fn deepseek_v2_with_compressed_queries_biases_and_groups_equals_transformers() {
    check("tiny-deepseek-v2");
}

#[test]
fn deepseek_v3_with_corrected_sigmoid_scores_equals_transformers() {
    check("tiny-deepseek-v3");
}

#[test]
fn deepseek_v3_in_its_own_block_format_equals_transformers() {
    check("tiny-deepseek-v3-fp8");
}

#[test]
fn deepseek_from_gguf_files_with_merged_and_with_split_heads_equals_transformers() {
    check_gguf("tiny-deepseek-v2-lite");
    check_gguf("tiny-deepseek-v3");
}

/// The fixtures have 3 layers with 36 compressed and 12 rotated columns.
#[test]
fn the_cache_of_deepseek_holds_compressed_rows_alone() {
    for backend in [Backend::Native, Backend::Torch] {
        let worker = worker("tiny-deepseek-v3", backend);
        let info = worker.runner.info();
        let slots = u64::from(info.max_total_num_tokens) + 1;
        assert_eq!(info.kv_cache_bytes, slots * 3 * (36 + 12) * 4, "{backend:?}");
    }
}

/// All forms share the cache; in 16 bits, its contents are close to those in 32 bits.
#[test]
fn deepseek_with_a_cache_of_sixteen_bits_stays_close_to_float32() {
    let case = expected("tiny-deepseek-v3").cases.pop().unwrap();
    for (backend, dtype) in
        [(Backend::Native, "bfloat16"), (Backend::Native, "float16"), (Backend::Torch, "bfloat16")]
    {
        let options = ModelOptions { dtype: dtype.into(), ..model_options("tiny-deepseek-v3", backend) };
        let mut worker = Worker::new(options);
        let error = relative_error(&chunked(&mut worker, &case.input_ids, 40), &case.last);
        assert!(error > 1e-6 && error < 0.1, "{backend:?} in {dtype}: {error:.2e}");
    }
}

/// libtorch expands keys and values for long prompts, but not for short ones.
#[test]
fn expanded_and_absorbed_steps_of_libtorch_agree() {
    for name in ["tiny-deepseek-v2", "tiny-deepseek-v3"] {
        let prompt = expected(name).cases.pop().unwrap().input_ids;
        let mut worker = worker(name, Backend::Torch);
        let whole = worker.logits(&[enter(0, &prompt)]).pop().unwrap();
        for chunk in [1, 7, 64, 100] {
            worker.clear();
            let error = relative_error(&chunked(&mut worker, &prompt, chunk), &whole);
            assert!(error < 1e-5, "{name} in chunks of {chunk}: {error:.2e}");
        }
    }
}

/// Prefills prompts in one step and returns the logits of the next decode step.
fn step(worker: &mut Worker, prompts: &[Vec<u32>]) -> Vec<Vec<f32>> {
    worker.clear();
    let parts: Vec<Part> = prompts.iter().enumerate().map(|(i, p)| enter(i as u32, p)).collect();
    worker.logits(&parts);
    let part = |(i, p): (usize, &Vec<u32>)| Part {
        row: i as u32,
        prefix_len: p.len(),
        ids: vec![9],
        sample: true,
        ..Part::default()
    };
    worker.logits(&prompts.iter().enumerate().map(part).collect::<Vec<_>>())
}

#[test]
fn a_request_in_a_batch_gets_the_bits_it_gets_alone() {
    for name in FOLDERS {
        let prompts: Vec<Vec<u32>> = expected(name).cases.into_iter().map(|c| c.input_ids).collect();
        let mut worker = worker(name, Backend::Native);
        let together = step(&mut worker, &prompts);
        for (i, prompt) in prompts.iter().enumerate() {
            let alone = step(&mut worker, std::slice::from_ref(prompt));
            assert!(together[i] == alone[0], "{name}: prompt {i} differs from itself alone");
        }
    }
}

#[test]
fn a_cached_prefix_and_a_prompt_in_chunks_give_the_bits_of_a_fresh_prompt() {
    for name in FOLDERS {
        let prompt = expected(name).cases.pop().unwrap().input_ids;
        let mut worker = worker(name, Backend::Native);
        let fresh_batch = worker.batch(&[enter(0, &prompt)]);
        let fresh = worker.runner.all_logits(&fresh_batch).unwrap().pop().unwrap();
        let prefix = fresh_batch.out_cache_loc[..33].to_vec();
        let ids = as_ids(&prompt[33..]);
        let part = Part {
            row: 5,
            enters: Some(prefix),
            prefix_len: 33,
            ids,
            sample: false,
            embedding: None,
            lora_id: None,
            hidden_from: None,
        };
        assert!(worker.logits(&[part]).pop().unwrap() == fresh, "{name}: cached prefix");
        worker.clear();
        let mut last = Vec::new();
        for (i, ids) in prompt.chunks(7).enumerate() {
            let enters = (i == 0).then(Vec::new);
            let part = Part {
                row: 2,
                enters,
                prefix_len: 7 * i,
                ids: as_ids(ids),
                sample: false,
                embedding: None,
                lora_id: None,
                hidden_from: None,
            };
            last = worker.logits(&[part]).pop().unwrap();
        }
        assert!(last == fresh, "{name}: chunks");
    }
}

/// The rows of a CSV file of counts.
fn counts_of(path: &std::path::Path) -> Vec<(usize, usize, u64)> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("layer_id,expert_id,count"));
    let numbers = |line: &str| line.split(',').map(|x| x.parse::<u64>().unwrap()).collect::<Vec<_>>();
    lines.map(numbers).map(|n| (n[0] as usize, n[1] as usize, n[2])).collect()
}

#[test]
fn recorded_counts_are_those_of_the_routers_of_transformers() {
    for name in [
        "tiny-qwen2-moe",
        "tiny-qwen3-moe",
        "tiny-mixtral",
        "tiny-gpt-oss",
        "tiny-qwen2-moe-gguf",
        "tiny-deepseek-v2-lite",
        "tiny-deepseek-v2",
        "tiny-deepseek-v3",
    ] {
        let json = std::fs::read(fixtures().join(format!("moe/{name}.json"))).unwrap();
        let counts = serde_json::from_slice::<serde_json::Value>(&json).unwrap()["counts"].take();
        let cases = expected(name).cases;
        for (backend, mode) in [
            (Backend::Native, RecorderMode::Stat),
            (Backend::Native, RecorderMode::PerToken),
            (Backend::Torch, RecorderMode::PerPass),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let settings = RecorderSettings { mode, buffer_size: Some(50), dir: dir.path().to_owned() };
            let options = ModelOptions { expert_recorder: Some(settings), ..model_options(name, backend) };
            let mut worker = Worker::new(options);
            for (case, expected) in cases.iter().zip(counts.as_array().unwrap()) {
                worker.clear();
                worker.runner.expert_distribution(StartRecord).unwrap();
                worker.run(&[enter(0, &case.input_ids)]).unwrap();
                worker.runner.expert_distribution(StopRecord).unwrap();
                worker.runner.expert_distribution(DumpRecord).unwrap();
                let files: Vec<_> =
                    std::fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().path()).collect();
                let csv = files.iter().find(|f| f.extension().is_some_and(|e| e == "csv")).unwrap();
                let mut found =
                    vec![vec![0; expected[0].as_array().unwrap().len()]; expected.as_array().unwrap().len()];
                for (layer, expert, count) in counts_of(csv) {
                    found[layer][expert] = count;
                }
                assert_eq!(serde_json::json!(found), *expected, "{name}, {backend:?}, {mode:?}");
                assert_eq!(files.len(), 2, "{files:?}");
                files.iter().for_each(|f| std::fs::remove_file(f).unwrap());
            }
        }
    }
}

#[test]
fn a_model_without_experts_cannot_be_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let settings =
        RecorderSettings { mode: RecorderMode::Stat, buffer_size: None, dir: dir.path().to_owned() };
    let dense = options(fixtures().join("tiny-untied-yarn"), Backend::Native);
    let dense = ModelOptions { expert_recorder: Some(settings), ..dense };
    let error = load_runner(&dense, &mut |_, _| {}).unwrap_err().to_string();
    assert_eq!(
        error,
        "--expert-distribution-recorder-mode: LlamaForCausalLM has no experts; leave the flag out"
    );
}

#[test]
fn recording_without_a_recorder_is_an_error_and_the_worker_continues() {
    let mut worker = worker("tiny-mixtral", Backend::Native);
    for action in [StartRecord, StopRecord, DumpRecord] {
        assert!(worker.runner.expert_distribution(action).unwrap_err().contains("is off"));
    }
    assert!(worker.run(&[enter(0, &[1, 2, 3])]).is_ok());
}

/// The error of loading a model with some keys of its configuration replaced.
fn refusal(name: &str, overrides: serde_json::Value) -> String {
    let overrides = overrides.as_object().unwrap().clone();
    let options = ModelOptions { overrides, ..model_options(name, Backend::Native) };
    load_runner(&options, &mut |_, _| {}).unwrap_err().to_string()
}

#[test]
fn settings_and_tensors_that_do_not_fit_are_named() {
    use serde_json::json;
    let error = refusal("tiny-qwen2-moe", json!({"num_experts": 8}));
    assert!(
        error.contains("tensor model.layers.0.mlp.gate.weight: expected [8, 96], found [6, 96]"),
        "{error}"
    );
    let error = refusal("tiny-qwen2-moe", json!({"num_experts_per_tok": 7}));
    assert!(error.contains("num_experts_per_tok: 7 experts of 6 cannot be chosen"), "{error}");
    let error = refusal("tiny-qwen2-moe", json!({"moe_intermediate_size": null}));
    assert!(error.contains("moe_intermediate_size: expected a positive integer, found nothing"), "{error}");
    let error = refusal("tiny-qwen2-moe", json!({"decoder_sparse_step": 0}));
    assert!(error.contains("decoder_sparse_step: expected 1 or more"), "{error}");
    let error = refusal("tiny-qwen2-moe", json!({"mlp_only_layers": [3]}));
    assert!(error.contains("mlp_only_layers: expected a list of layers from 0 to 2"), "{error}");
    let error = refusal("tiny-deepseek-v2", json!({"topk_method": "best"}));
    assert!(
        error.contains("topk_method: expected greedy, group_limited_greedy or noaux_tc, found best"),
        "{error}"
    );
    let error = refusal("tiny-deepseek-v2", json!({"scoring_func": "tanh"}));
    assert!(error.contains("scoring_func: expected softmax or sigmoid, found tanh"), "{error}");
    let error = refusal("tiny-deepseek-v2", json!({"n_group": 3}));
    assert!(error.contains("n_group: expected a divisor of 8 experts, found 3"), "{error}");
    let error = refusal("tiny-deepseek-v2", json!({"topk_group": 1}));
    assert!(error.contains("topk_group: 1 of 4 groups cannot give 3 of 8 experts"), "{error}");
    let error = refusal("tiny-deepseek-v2", json!({"moe_layer_freq": 0}));
    assert!(error.contains("moe_layer_freq: expected 1 or more, found 0"), "{error}");
    let error = refusal("tiny-deepseek-v2", json!({"v_head_dim": null}));
    assert!(error.contains("v_head_dim: expected a positive integer, found nothing"), "{error}");
    let error = refusal("tiny-deepseek-v2", json!({"kv_lora_rank": 40}));
    assert!(error.contains("kv_a_proj_with_mqa.weight: expected [52, 48], found [48, 48]"), "{error}");
    let error = refusal("tiny-gpt-oss-mxfp4", json!({"intermediate_size": 32}));
    assert!(error.contains("gate_up_proj_blocks: expected bytes (U8) of shape [5, 64, 3, 16]"), "{error}");
    let error = refusal("tiny-gpt-oss", json!({"num_local_experts": 6}));
    assert!(error.contains("expected [6, 96], found [5, 96]"), "{error}");
    let error = refusal("tiny-qwen2-moe-gguf", json!({"num_experts": 6, "num_local_experts": 6}));
    assert!(error.contains("blk.0.ffn_gate_inp.weight: expected [6, 96], found [5, 96]"), "{error}");
}
