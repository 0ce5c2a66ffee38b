//! Compares LoRA adapters with transformers and PEFT in float32 (scripts/fixtures.d/lora.py), alone and mixed in a
//! batch, on both backends.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{
    Part, Worker, as_ids, check_greedy, check_logits, chunked, enter, fixture, fixtures, options,
    relative_error,
};
use serde_json::{Value, json};
use sglang_model::lora::LoraOptions;
use sglang_model::{Backend, ModelOptions, load_runner};
use sglang_proto::lora::LoRARef;
use sglang_proto::worker::{ModelWorker, WorkerError};

const BACKENDS: [Backend; 2] = [Backend::Native, Backend::Torch];
/// Adapters of one model with different ranks, modules, scalings and number formats.
const MIXED: [&str; 4] = ["llama-all", "llama-attention", "llama-rslora", "llama-vocabulary"];

fn folder(adapter: &str) -> PathBuf {
    fixtures().join("lora").join(adapter)
}

fn reference(adapter: &str) -> LoRARef {
    LoRARef::at_start(adapter, folder(adapter).to_str().unwrap(), false)
}

fn id(adapter: &str) -> String {
    reference(adapter).lora_id
}

fn served(adapters: Vec<LoRARef>) -> Option<LoraOptions> {
    Some(LoraOptions { adapters, max_loras_per_batch: 8, ..LoraOptions::default() })
}

/// The script's description of an adapter.
fn facts(adapter: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder(adapter).with_extension("json")).unwrap()).unwrap()
}

fn base(adapter: &str, backend: Backend) -> ModelOptions {
    let facts = facts(adapter);
    let context_length = facts["context_length"].as_u64().map(|n| n as u32);
    ModelOptions { context_length, ..options(fixtures().join(facts["model"].as_str().unwrap()), backend) }
}

fn worker(adapters: &[&str], backend: Backend) -> Worker {
    let lora = served(adapters.iter().map(|a| reference(a)).collect());
    Worker::new(ModelOptions { lora, ..base(adapters[0], backend) })
}

/// Names of all adapters that the script has made.
fn all() -> Vec<String> {
    let files = std::fs::read_dir(fixtures().join("lora")).unwrap().map(|f| f.unwrap().path());
    let mut names: Vec<String> =
        files.filter(|f| f.is_dir()).map(|f| f.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn every_dense_architecture_gives_the_logits_and_tokens_of_peft() {
    let names = all();
    assert_eq!(names.len(), 15, "{names:?}");
    for name in &names {
        for backend in BACKENDS {
            println!("{name} on {backend:?}"); // shown when an assertion fails
            let mut worker = worker(&[name], backend);
            worker.adapter = Some(id(name));
            let fixture = fixture(&format!("lora/{name}"));
            check_logits(&mut worker, &fixture);
            check_greedy(&mut worker, &fixture);
        }
    }
}

#[test]
fn an_adapter_works_on_a_gguf_file_of_its_base() {
    for (name, backend) in [("llama-all", Backend::Native), ("olmo2-all", Backend::Torch)] {
        let options = base(name, backend);
        let model_path = options.model_path.with_extension("gguf");
        let lora = served(vec![reference(name)]);
        let mut worker = Worker::new(ModelOptions { model_path, lora, ..options });
        worker.adapter = Some(id(name));
        check_logits(&mut worker, &fixture(&format!("lora/{name}")));
    }
}

#[test]
fn chunks_of_a_prompt_give_what_the_whole_prompt_gives() {
    let prompt = &fixture("lora/llama-all").cases[3].input_ids;
    let mut worker = worker(&["llama-all"], Backend::Native);
    worker.adapter = Some(id("llama-all"));
    let whole = worker.logits(&[enter(0, prompt)]).pop().unwrap();
    worker.clear();
    assert_eq!(chunked(&mut worker, prompt, 7), whole);
}

/// Prefills the prompts together, each with its adapter, and decodes. Returns each row's logits per step.
fn run(worker: &mut Worker, requests: &[(Vec<u32>, Option<String>)], steps: usize) -> Vec<Vec<Vec<f32>>> {
    worker.clear();
    let part = |(i, (prompt, adapter)): (usize, &(Vec<u32>, Option<String>))| Part {
        lora_id: adapter.clone(),
        ..enter(i as u32, prompt)
    };
    let parts: Vec<Part> = requests.iter().enumerate().map(part).collect();
    let mut prefill = worker.logits(&parts).into_iter();
    let mut logits: Vec<Vec<Vec<f32>>> =
        requests.iter().map(|(prompt, _)| prefill.by_ref().take(prompt.len()).collect()).collect();
    for step in 0..steps {
        let part = |(i, (prompt, _)): (usize, &(Vec<u32>, Option<String>))| Part {
            row: i as u32,
            prefix_len: prompt.len() + step,
            ids: as_ids(&[7 * step as u32 + 3]),
            ..Part::default()
        };
        let parts: Vec<Part> = requests.iter().enumerate().map(part).collect();
        for (i, row) in worker.logits(&parts).into_iter().enumerate() {
            logits[i].push(row);
        }
    }
    logits
}

#[test]
fn a_batch_of_several_adapters_equals_its_requests_alone_and_leaves_the_others_as_they_were() {
    let cases = fixture("lora/llama-all").cases;
    let [all, attention, rslora, vocabulary] = MIXED.map(Some);
    let adapters = [None, all, attention, vocabulary, None, all, rslora, attention, None, vocabulary];
    let requests: Vec<(Vec<u32>, Option<String>)> = adapters
        .iter()
        .enumerate()
        .map(|(i, adapter)| (cases[i % 4].input_ids.clone(), adapter.map(id)))
        .collect();
    for backend in BACKENDS {
        let mut worker = worker(&MIXED, backend);
        let mut plain = Worker::new(base(MIXED[0], backend));
        let together = run(&mut worker, &requests, 5);
        let bases: Vec<_> = requests.iter().map(|(prompt, _)| (prompt.clone(), None)).collect();
        let without = run(&mut plain, &bases, 5);
        for (i, request) in requests.iter().enumerate() {
            let alone = run(&mut worker, std::slice::from_ref(request), 5).remove(0);
            for (a, b) in together[i].iter().zip(&alone) {
                match backend {
                    Backend::Native => assert_eq!(a, b, "request {i}"),
                    _ => assert!(relative_error(a, b) < 1e-5, "request {i}"),
                }
            }
            match request.1 {
                None => assert_eq!(together[i], without[i], "request {i} has no adapter"),
                Some(_) => assert_ne!(together[i], without[i], "request {i} has one"),
            }
        }
        // Requests with different adapters differ from each other, too.
        assert_ne!(together[1][0], together[9][0]);
    }
}

#[test]
fn adapters_come_and_go_between_steps() {
    for backend in BACKENDS {
        let lora = Some(LoraOptions {
            max_rank: Some(8),
            target_modules: Some(vec!["all".to_owned()]),
            max_loras_per_batch: 2,
            ..LoraOptions::default()
        });
        let mut worker = Worker::new(ModelOptions { lora, ..base(MIXED[0], backend) });
        let reader = worker.runner.adapter_reader().unwrap();
        for name in MIXED {
            let fixture = fixture(&format!("lora/{name}"));
            let lora = reference(name);
            let part = Part { lora_id: Some(lora.lora_id.clone()), ..enter(0, &[1, 2]) };
            let refused = worker.run(std::slice::from_ref(&part)).unwrap_err();
            assert!(matches!(refused, WorkerError::InvalidBatch(why) if why.contains("is not loaded")));
            worker.runner.load_adapter(lora.clone(), reader.read(&lora).unwrap()).unwrap();
            let again = worker.runner.load_adapter(lora.clone(), reader.read(&lora).unwrap()).unwrap_err();
            assert_eq!(again, format!("Failed to load LoRA adapter {name} because it is already loaded"));
            worker.adapter = Some(lora.lora_id.clone());
            check_greedy(&mut worker, &fixture);
            worker.adapter = None;
            worker.clear();
            worker.runner.unload_adapter(&lora.lora_id);
            assert!(worker.run(std::slice::from_ref(&part)).is_err());
        }
        let pinned = |name: &str| LoRARef { pinned: Some(true), ..reference(name) };
        let (first, second) = (pinned(MIXED[0]), pinned(MIXED[1]));
        worker.runner.load_adapter(first.clone(), reader.read(&first).unwrap()).unwrap();
        let error = worker.runner.load_adapter(second.clone(), reader.read(&second).unwrap()).unwrap_err();
        assert!(error.contains("not allowed to pin all slots"), "{error}");
    }
}

#[test]
fn new_weights_are_served_with_the_adapters_that_are_there() {
    let mut worker = worker(&MIXED[..1], Backend::Native);
    worker.adapter = Some(id(MIXED[0]));
    let path = worker_path();
    let staged = worker.runner.stager().unwrap().stage(path.to_str().unwrap(), "auto").unwrap();
    let before = worker.runner.info().weight_bytes;
    worker.runner.swap_weights(staged).unwrap();
    assert_eq!(worker.runner.info().weight_bytes, before);
    check_greedy(&mut worker, &fixture("lora/llama-all"));
}

fn worker_path() -> PathBuf {
    base(MIXED[0], Backend::Native).model_path
}

/// Tensors of an adapter: name to shape and bytes.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

fn read_tensors(file: &Path) -> Tensors {
    let bytes = std::fs::read(file).unwrap();
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..start]).unwrap();
    let tensors = header.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__");
    let number = |v: &Value| v.as_u64().unwrap() as usize;
    tensors
        .map(|(name, t)| {
            let shape = t["shape"].as_array().unwrap().iter().map(number).collect();
            let range = start + number(&t["data_offsets"][0])..start + number(&t["data_offsets"][1]);
            (name.clone(), (shape, bytes[range].to_vec()))
        })
        .collect()
}

fn write_tensors(file: &Path, tensors: &Tensors) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, (shape, bytes)) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        header.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": offsets}));
        data.extend_from_slice(bytes);
    }
    let header = Value::Object(header).to_string();
    let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat();
    std::fs::write(file, bytes).unwrap();
}

/// The error text for an adapter with these changes.
fn refusal(options: &LoraOptions, change: impl Fn(&mut Value, &mut Tensors)) -> String {
    let copy = tempfile::tempdir().unwrap();
    let (config, weights) = ("adapter_config.json", "adapter_model.safetensors");
    let mut json: Value =
        serde_json::from_slice(&std::fs::read(folder(MIXED[0]).join(config)).unwrap()).unwrap();
    let mut tensors = read_tensors(&folder(MIXED[0]).join(weights));
    change(&mut json, &mut tensors);
    std::fs::write(copy.path().join(config), json.to_string()).unwrap();
    write_tensors(&copy.path().join(weights), &tensors);
    let lora = LoraOptions {
        adapters: vec![LoRARef::at_start("x", copy.path().to_str().unwrap(), false)],
        ..options.clone()
    };
    let options = ModelOptions { lora: Some(lora), ..base(MIXED[0], Backend::Native) };
    match load_runner(&options, &mut |_, _| {}) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_adapter_that_does_not_fit_is_refused_by_file_and_tensor() {
    let limits = LoraOptions { max_loras_per_batch: 8, ..LoraOptions::default() };
    assert_eq!(refusal(&limits, |_, _| {}), "", "unchanged, it is served");
    let down = "base_model.model.model.layers.1.mlp.down_proj";
    let moved = |tensors: &mut Tensors, to: &str| {
        for matrix in ["A", "B"] {
            let tensor = tensors.remove(&format!("{down}.lora_{matrix}.weight")).unwrap();
            tensors.insert(format!("base_model.model.{to}.lora_{matrix}.weight"), tensor);
        }
    };
    let file = "adapter_model.safetensors: tensor";
    let cases: [(&str, String); 7] = [
        (
            "shape",
            refusal(&limits, |_, t| {
                let b = t.get_mut(&format!("{down}.lora_B.weight")).unwrap();
                b.0.reverse();
            }),
        ),
        ("missing", refusal(&limits, |_, t| drop(t.remove(&format!("{down}.lora_B.weight"))))),
        ("layer", refusal(&limits, |_, t| moved(t, "model.layers.3.mlp.down_proj"))),
        ("module", refusal(&limits, |_, t| moved(t, "model.layers.1.mlp.router"))),
        ("expert", refusal(&limits, |_, t| moved(t, "model.layers.1.mlp.experts.0.down_proj"))),
        ("head", refusal(&limits, |_, t| moved(t, "lm_head"))),
        ("norm", refusal(&limits, |_, t| moved(t, "model.norm"))),
    ];
    let expected = [
        "layers.1.mlp.down_proj.lora_B.weight: expected [42, 3], found [3, 42]",
        "layers.1.mlp.down_proj.lora_B.weight: expected [42, 3], found nothing of that name",
        "layers.3.mlp.down_proj.lora_A.weight: expected a module of the model's 3 layers, found",
        "mlp.router.lora_A.weight: expected one of the layers' modules that adapters can change",
        "experts.0.down_proj.lora_A.weight: expected modules outside of experts",
        "lm_head.lora_A.weight: expected [3, 42], found [3, ",
        "model.norm.lora_A.weight: expected a module that adapters can change (",
    ];
    for ((name, text), expected) in cases.iter().zip(expected) {
        assert!(text.starts_with("Failed to load LoRA adapter x: "), "{name}: {text}");
        assert!(text.contains(file) && text.contains(expected), "{name}: {text}");
        assert!(!text.contains('\n'), "{name}: {text}");
    }
    let small = LoraOptions { max_rank: Some(2), ..limits.clone() };
    let text = refusal(&small, |_, _| {});
    assert!(text.contains("with rank 3 is incompatible with the current LoRA memory pool"), "{text}");
    assert!(text.contains("expected a rank of at most 2, found 3"), "{text}");
    let narrow =
        LoraOptions { target_modules: Some(vec!["q_proj".into(), "o_proj".into()]), ..limits.clone() };
    let text = refusal(&narrow, |_, _| {});
    assert!(
        text.contains("expected modules among o_proj, qkv_proj, found down_proj, gate_up_proj"),
        "{text}"
    );
    assert!(refusal(&limits, |json, _| json["use_dora"] = true.into()).contains("DoRA"));
    let pattern = refusal(&narrow, |json, t| {
        json["target_modules"] = ".*o_proj".into();
        t.retain(|name, _| name.contains("o_proj"));
    });
    assert_eq!(pattern, "", "a pattern means what the weights hold");
}

#[test]
fn experts_stay_as_they_are_beside_adapters_of_attention() {
    let model = fixtures().join("moe/tiny-qwen3-moe");
    let config: Value = serde_json::from_slice(&std::fs::read(model.join("config.json")).unwrap()).unwrap();
    let (hidden, width) = (config["hidden_size"].as_u64().unwrap() as usize, 2);
    let out =
        (config["num_key_value_heads"].as_u64().unwrap() * config["head_dim"].as_u64().unwrap()) as usize;
    let numbers =
        |n: usize| (0..n).flat_map(|i| ((i % 7) as f32 * 0.05 - 0.1).to_le_bytes()).collect::<Vec<u8>>();
    let mut tensors = Tensors::new();
    let module = "base_model.model.model.layers.0.self_attn.v_proj";
    tensors.insert(format!("{module}.lora_A.weight"), (vec![width, hidden], numbers(width * hidden)));
    tensors.insert(format!("{module}.lora_B.weight"), (vec![out, width], numbers(out * width)));
    let copy = tempfile::tempdir().unwrap();
    let adapter = json!({"peft_type": "LORA", "r": width, "lora_alpha": 4, "target_modules": ["v_proj"]});
    std::fs::write(copy.path().join("adapter_config.json"), adapter.to_string()).unwrap();
    write_tensors(&copy.path().join("adapter_model.safetensors"), &tensors);
    let lora = LoRARef::at_start("moe", copy.path().to_str().unwrap(), false);
    for backend in BACKENDS {
        let lora_options = served(vec![lora.clone()]);
        let mut worker = Worker::new(ModelOptions { lora: lora_options, ..options(model.clone(), backend) });
        let requests = [(vec![5, 6, 7], Some(lora.lora_id.clone())), (vec![5, 6, 7], None)];
        let together = run(&mut worker, &requests, 2);
        let mut plain = Worker::new(options(model.clone(), backend));
        let without = run(&mut plain, &requests.clone().map(|(prompt, _)| (prompt, None)), 2);
        for (a, b) in together[1].iter().zip(&without[1]) {
            match backend {
                Backend::Native => assert_eq!(a, b),
                // In libtorch, the products of an expert depend on its other tokens.
                _ => assert!(relative_error(a, b) < 1e-5),
            }
        }
        assert_ne!(together[0], without[0]);
    }
}
