//! Drives a model worker like a scheduler does, and reads the fixtures.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sglang_model::runner::ModelRunner;
use sglang_model::{Backend, ModelOptions, load_runner};
use sglang_proto::SamplingParams;
use sglang_proto::forward::{
    EmbeddingSpec, ForwardBatch, ForwardMode, ForwardResult, HiddenStatesSpec, NewRow, ReqSampling,
};
use sglang_proto::worker::{ModelWorker, WorkerError};

/// The results of transformers for one model.
#[derive(Clone)]
pub struct Fixture {
    pub vocab_size: usize,
    pub stride: usize,
    pub cases: Vec<Case>,
}

/// One prompt.
#[derive(Clone)]
pub struct Case {
    pub input_ids: Vec<u32>,
    pub greedy: Vec<u32>,
    pub argmax: Vec<u32>,
    pub logsumexp: Vec<f32>,
    /// Columns 0, stride, ... of the logits at every position.
    pub strided: Vec<Vec<f32>>,
    /// All logits at the last position.
    pub last: Vec<f32>,
}

/// The folder of the fixtures: `SGLANG_TEST_FIXTURES` on a machine that only has the test programs, otherwise beside
/// this file.
pub fn fixtures() -> PathBuf {
    let elsewhere = std::env::var_os("SGLANG_TEST_FIXTURES").map(PathBuf::from);
    elsewhere.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"))
}

pub fn fixture(name: &str) -> Fixture {
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fixtures().join(format!("{name}.json"))).unwrap()).unwrap();
    let blob = std::fs::read(fixtures().join(format!("{name}.bin"))).unwrap();
    let floats: Vec<f32> = blob.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let ids = |v: &serde_json::Value| -> Vec<u32> {
        v.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as u32).collect()
    };
    let (vocab_size, stride) =
        (json["vocab_size"].as_u64().unwrap() as usize, json["stride"].as_u64().unwrap() as usize);
    let columns = vocab_size.div_ceil(stride);
    let case = |c: &serde_json::Value| {
        let input_ids = ids(&c["input_ids"]);
        let (strided_at, last_at) = (c["strided_at"].as_u64().unwrap(), c["last_at"].as_u64().unwrap());
        let strided = &floats[strided_at as usize..][..input_ids.len() * columns];
        Case {
            greedy: ids(&c["greedy"]),
            argmax: ids(&c["argmax"]),
            logsumexp: c["logsumexp"]
                .as_array()
                .unwrap()
                .iter()
                .map(|x| x.as_f64().unwrap() as f32)
                .collect(),
            strided: strided.chunks_exact(columns).map(<[f32]>::to_vec).collect(),
            last: floats[last_at as usize..][..vocab_size].to_vec(),
            input_ids,
        }
    };
    Fixture { vocab_size, stride, cases: json["cases"].as_array().unwrap().iter().map(case).collect() }
}

/// The GGUF file of SmolLM2-135M-Instruct: `SGLANG_TEST_MODEL`, or the path that scripts/setup installs to.
pub fn smollm2() -> PathBuf {
    if let Some(path) = std::env::var_os("SGLANG_TEST_MODEL") {
        return path.into();
    }
    let cache = std::env::var_os("SGLANG_RS_CACHE").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/sglang-rs")
    });
    let path = cache.join("models/SmolLM2-135M-Instruct.Q4_1.gguf");
    assert!(path.is_file(), "{} is missing: run scripts/setup or set SGLANG_TEST_MODEL", path.display());
    path
}

/// The device of the libtorch backend: `SGLANG_TEST_DEVICE`, otherwise the CPU.
fn torch_device() -> String {
    std::env::var("SGLANG_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned())
}

pub fn options(path: impl Into<PathBuf>, backend: Backend) -> ModelOptions {
    ModelOptions {
        device: if backend == Backend::Torch { torch_device() } else { "cpu".to_owned() },
        // The default on a GPU is a 16-bit format.
        dtype: "float32".into(),
        max_total_tokens: Some(4096),
        max_running_requests: Some(16),
        // Tests run in parallel, and libtorch's threads busy-wait for each other.
        threads: Some(if backend == Backend::Torch { 1 } else { 2 }),
        backend,
        // No test contacts the real hub.
        hub: sglang_hub::HubSettings {
            endpoint: "http://127.0.0.1:9".into(),
            ..ModelOptions::new(PathBuf::new()).hub
        },
        ..ModelOptions::new(path.into())
    }
}

/// A runner and a trivial slot allocator.
pub struct Worker {
    pub runner: ModelRunner,
    /// The adapter of new requests that name none.
    pub adapter: Option<String>,
    next_slot: u32,
    forward_id: u64,
}

/// One request's part of a batch.
#[derive(Clone, Default)]
pub struct Part {
    pub row: u32,
    /// The slots of the cached prefix, if the request is new.
    pub enters: Option<Vec<u32>>,
    pub prefix_len: usize,
    pub ids: Vec<i64>,
    pub sample: bool,
    /// Options of a new embedding request.
    pub embedding: Option<Arc<EmbeddingSpec>>,
    /// The adapter of a new request.
    pub lora_id: Option<String>,
    /// First new token whose hidden state is wanted.
    pub hidden_from: Option<u32>,
}

/// Greedy sampling state of a request.
pub fn greedy_sampling(prompt_len: usize) -> Arc<ReqSampling> {
    let mut params = SamplingParams { temperature: 0.0, ..SamplingParams::default() };
    params.normalize(str::len).unwrap();
    Arc::new(ReqSampling {
        params,
        prompt_len: prompt_len as u32,
        output_ids: Vec::new(),
        stop_token_ids: Vec::new(),
        return_logprob: false,
        top_logprobs_num: 0,
        token_ids_logprob: Vec::new(),
        grammar: None,
    })
}

impl Worker {
    pub fn new(options: ModelOptions) -> Self {
        let runner = load_runner(&options, &mut |_, _| {}).unwrap();
        Self { runner, adapter: None, next_slot: 0, forward_id: 0 }
    }

    /// A batch with new slots.
    pub fn batch(&mut self, parts: &[Part]) -> ForwardBatch {
        self.forward_id += 1;
        let decode = parts.iter().all(|p| p.ids.len() == 1 && p.enters.is_none());
        let tokens: usize = parts.iter().map(|p| p.ids.len()).sum();
        // Every second slot in descending order, so that nothing depends on contiguous slots.
        let slots = self.runner.info().max_total_num_tokens;
        let out_cache_loc =
            (0..tokens as u32).map(|i| (slots - 1).wrapping_sub(2 * (self.next_slot + i)) % slots);
        let out_cache_loc: Vec<u32> = out_cache_loc.collect();
        self.next_slot += tokens as u32;
        assert!(2 * self.next_slot < slots, "the test uses up its slots");
        ForwardBatch {
            forward_id: self.forward_id,
            mode: if decode { ForwardMode::Decode } else { ForwardMode::Extend },
            req_pool_indices: parts.iter().map(|p| p.row).collect(),
            prefix_lens: parts.iter().map(|p| p.prefix_len as u32).collect(),
            extend_lens: parts.iter().map(|p| p.ids.len() as u32).collect(),
            sample: parts.iter().map(|p| p.sample).collect(),
            input_ids: parts.iter().flat_map(|p| p.ids.iter().copied()).collect(),
            out_cache_loc,
            new_rows: parts
                .iter()
                .filter_map(|p| {
                    Some(NewRow {
                        req_pool_idx: p.row,
                        prefix_slots: p.enters.clone()?,
                        sampling: greedy_sampling(p.prefix_len + p.ids.len()),
                        embedding: p.embedding.clone(),
                        lora_id: p.lora_id.as_deref().or(self.adapter.as_deref()).map(Into::into),
                    })
                })
                .collect(),
            input_logprobs: Vec::new(),
            hidden_states: parts
                .iter()
                .enumerate()
                .filter_map(|(i, p)| {
                    Some(HiddenStatesSpec { req_index: i as u32, row_start: p.hidden_from? })
                })
                .collect(),
        }
    }

    /// Frees all slots, as if all requests had ended.
    pub fn clear(&mut self) {
        self.next_slot = 0;
    }

    pub fn run(&mut self, parts: &[Part]) -> Result<ForwardResult, WorkerError> {
        let batch = self.batch(parts);
        self.runner.forward(&batch)
    }

    /// Logits of all tokens of a batch.
    pub fn logits(&mut self, parts: &[Part]) -> Vec<Vec<f32>> {
        let batch = self.batch(parts);
        self.runner.all_logits(&batch).unwrap()
    }

    /// Prefills a prompt and decodes greedily. Every step but the first refers to its token as the last sampled one.
    pub fn greedy(&mut self, prompt: &[u32], count: usize) -> Vec<u32> {
        let mut output = vec![self.run(&[enter(0, prompt)]).unwrap().next_token_ids[0].unwrap()];
        while output.len() < count {
            let prefix_len = prompt.len() + output.len() - 1;
            let part = Part { row: 0, prefix_len, ids: vec![-1], sample: true, ..Part::default() };
            output.push(self.run(&[part]).unwrap().next_token_ids[0].unwrap());
        }
        output
    }
}

/// A new request with its whole prompt.
pub fn enter(row: u32, prompt: &[u32]) -> Part {
    Part { row, enters: Some(Vec::new()), ids: as_ids(prompt), sample: true, ..Part::default() }
}

pub fn as_ids(ids: &[u32]) -> Vec<i64> {
    ids.iter().map(|&id| i64::from(id)).collect()
}

/// The larger of two errors relative to `expected`: by norm, and by largest entry.
pub fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let pairs = || found.iter().zip(expected).map(|(&a, &b)| (f64::from(a) - f64::from(b), f64::from(b)));
    let norm =
        pairs().map(|(d, _)| d * d).sum::<f64>().sqrt() / pairs().map(|(_, b)| b * b).sum::<f64>().sqrt();
    let largest = |x: f64, y: f64| x.max(y.abs());
    let max = pairs().map(|(d, _)| d).fold(0.0, largest) / pairs().map(|(_, b)| b).fold(0.0, largest);
    assert!(norm.is_finite() && max.is_finite());
    norm.max(max)
}

/// Largest relative error of a row of logits.
const TOLERANCE: f64 = 1e-4;

/// Compares the logits at all positions of all prompts.
pub fn check_logits(worker: &mut Worker, fixture: &Fixture) {
    for case in &fixture.cases {
        worker.clear();
        let rows = worker.logits(&[enter(0, &case.input_ids)]);
        assert_eq!(rows.len(), case.input_ids.len());
        for (p, row) in rows.iter().enumerate() {
            assert_eq!(row.len(), fixture.vocab_size);
            let strided: Vec<f32> = row.iter().copied().step_by(fixture.stride).collect();
            let error = relative_error(&strided, &case.strided[p]);
            assert!(error < TOLERANCE, "prompt of {} tokens, position {p}: {error:.2e}", rows.len());
            let best = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let expected = case.argmax[p] as usize;
            assert!(row[expected] >= best - 1e-3, "position {p}: {expected} is not the most likely token");
            let sum: f64 = row.iter().map(|&x| f64::from(x - best).exp()).sum();
            assert!((f64::from(best) + sum.ln() - f64::from(case.logsumexp[p])).abs() < 2e-3);
        }
        let error = relative_error(rows.last().unwrap(), &case.last);
        assert!(error < TOLERANCE, "last position: {error:.2e}");
    }
}

/// Compares the greedy continuations of all prompts.
pub fn check_greedy(worker: &mut Worker, fixture: &Fixture) {
    for case in &fixture.cases {
        worker.clear();
        assert_eq!(worker.greedy(&case.input_ids, case.greedy.len()), case.greedy, "{:?}", case.input_ids);
    }
}

/// Prefills `prompts` in one step and decodes them together for `steps` steps. Returns each row's logits per step.
pub fn decode_logits(worker: &mut Worker, prompts: &[Vec<u32>], steps: usize) -> Vec<Vec<Vec<f32>>> {
    let mut logits = vec![Vec::new(); prompts.len()];
    let parts: Vec<Part> = prompts.iter().enumerate().map(|(i, p)| enter(i as u32, p)).collect();
    worker.logits(&parts);
    for step in 0..steps {
        let part = |(i, p): (usize, &Vec<u32>)| Part {
            row: i as u32,
            prefix_len: p.len() + step,
            ids: vec![(7 * step + 3) as i64],
            sample: true,
            ..Part::default()
        };
        let parts: Vec<Part> = prompts.iter().enumerate().map(part).collect();
        for (i, row) in worker.logits(&parts).into_iter().enumerate() {
            logits[i].push(row);
        }
    }
    logits
}

/// The last row of logits of a prompt prefilled in chunks.
pub fn chunked(worker: &mut Worker, prompt: &[u32], chunk: usize) -> Vec<f32> {
    let mut last = Vec::new();
    for (i, ids) in prompt.chunks(chunk).enumerate() {
        let enters = (i == 0).then(Vec::new);
        let part = Part { row: 2, enters, prefix_len: i * chunk, ids: as_ids(ids), ..Part::default() };
        last = worker.logits(&[part]).pop().unwrap();
    }
    last
}
