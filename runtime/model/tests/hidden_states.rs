//! Hidden states are taken after the final norm, so their products with the output matrix must equal the logits of
//! Hugging Face transformers (scripts/fixtures.d/decoders.py).
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::Path;

use common::{Fixture, Part, Worker, as_ids, enter, fixture, fixtures, options, relative_error};
use sglang_model::{Backend, ModelOptions};
use sglang_proto::forward::HiddenStatesSpec;
use sglang_proto::worker::{ModelWorker, WorkerError};

const CASES: [&str; 10] =
    ["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "granite", "olmo2", "olmo3"];
/// Largest relative error of a row of logits.
const TOLERANCE: f64 = 1e-4;

/// The output matrix of a checkpoint, and how the model turns products into logits.
struct Head {
    rows: Vec<Vec<f32>>,
    divisor: f32,
    softcap: Option<f32>,
}

impl Head {
    fn read(folder: &Path) -> Self {
        let blob = std::fs::read(folder.join("model.safetensors")).unwrap();
        let header_len = u64::from_le_bytes(blob[..8].try_into().unwrap()) as usize;
        let header: serde_json::Value = serde_json::from_slice(&blob[8..8 + header_len]).unwrap();
        let tensor = header.get("lm_head.weight").unwrap_or(&header["model.embed_tokens.weight"]);
        assert_eq!(tensor["dtype"], "BF16");
        let at = |i: usize| 8 + header_len + tensor["data_offsets"][i].as_u64().unwrap() as usize;
        let (columns, []) = blob[at(0)..at(1)].as_chunks::<2>() else { panic!("whole numbers") };
        let numbers: Vec<f32> =
            columns.iter().map(|b| f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16)).collect();
        let hidden = tensor["shape"][1].as_u64().unwrap() as usize;
        let config: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
        Self {
            rows: numbers.chunks_exact(hidden).map(<[f32]>::to_vec).collect(),
            divisor: config["logits_scaling"].as_f64().unwrap_or(1.0) as f32,
            softcap: config["final_logit_softcapping"].as_f64().map(|cap| cap as f32),
        }
    }

    fn logits(&self, hidden: &[f32]) -> Vec<f32> {
        let logit = |row: &Vec<f32>| {
            assert_eq!(row.len(), hidden.len());
            let sum: f64 = row.iter().zip(hidden).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            let logit = sum as f32 / self.divisor;
            self.softcap.map_or(logit, |cap| (logit / cap).tanh() * cap)
        };
        self.rows.iter().map(logit).collect()
    }
}

fn load(name: &str, backend: Backend) -> (Fixture, Head, Worker) {
    let folder = fixtures().join("decoders").join(name);
    let json = std::fs::read(folder.with_extension("json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let context_length = json["context_length"].as_u64().map(|n| n as u32);
    let options = ModelOptions { context_length, ..options(&folder, backend) };
    (fixture(&format!("decoders/{name}")), Head::read(&folder), Worker::new(options))
}

fn wanting(from: u32, part: Part) -> Part {
    Part { hidden_from: Some(from), ..part }
}

/// The hidden states of the only request that wants them.
fn only(worker: &mut Worker, parts: &[Part]) -> Vec<Vec<f32>> {
    let mut given = worker.run(parts).unwrap().hidden_states;
    assert_eq!(given.len(), 1);
    given.pop().unwrap().rows
}

#[test]
fn with_the_output_matrix_they_are_the_logits_of_transformers() {
    for name in CASES {
        for backend in [Backend::Native, Backend::Torch] {
            let (fixture, head, mut worker) = load(name, backend);
            for case in &fixture.cases {
                worker.clear();
                let rows = only(&mut worker, &[wanting(0, enter(0, &case.input_ids))]);
                assert_eq!(rows.len(), case.input_ids.len());
                for (position, (row, expected)) in rows.iter().zip(&case.strided).enumerate() {
                    let logits: Vec<f32> = head.logits(row).into_iter().step_by(fixture.stride).collect();
                    let error = relative_error(&logits, expected);
                    assert!(error < TOLERANCE, "{name} on {backend:?}, position {position}: {error:.2e}");
                }
                let error = relative_error(&head.logits(rows.last().unwrap()), &case.last);
                assert!(error < TOLERANCE, "{name} on {backend:?}, last position: {error:.2e}");
            }
        }
    }
}

#[test]
fn chunks_prefixes_and_neighbours_give_the_same_ones() {
    for backend in [Backend::Native, Backend::Torch] {
        let (fixture, _, mut worker) = load("qwen2", backend);
        let prompt = &fixture.cases[3].input_ids;
        let whole = only(&mut worker, &[wanting(0, enter(0, prompt))]);
        let same = |what: &str, first: usize, rows: &[Vec<f32>]| {
            for (row, expected) in rows.iter().zip(&whole[first..first + rows.len()]) {
                match backend {
                    Backend::Native => assert_eq!(row, expected, "{what}"),
                    _ => assert!(relative_error(row, expected) < 1e-5, "{what}"),
                }
            }
        };
        worker.clear();
        let mut joined = Vec::new();
        for (i, ids) in prompt.chunks(7).enumerate() {
            let part = Part {
                row: 2,
                enters: (i == 0).then(Vec::new),
                prefix_len: 7 * i,
                ids: as_ids(ids),
                ..Part::default()
            };
            // In a batch with one request that wants none and one that wants its last.
            let others = [enter(0, &prompt[..5 + i]), wanting(2, enter(1, &prompt[..3]))];
            let [first, second] = others;
            let result = worker.run(&[first, wanting(0, part), second]).unwrap();
            let [own, last] = result.hidden_states.as_slice() else { panic!("two want some") };
            assert_eq!((own.req_index, last.req_index, last.rows.len()), (1, 2, 1));
            same("beside others", 2, &last.rows);
            joined.extend(own.rows.iter().cloned());
        }
        assert_eq!(joined.len(), prompt.len());
        same("in chunks", 0, &joined);
        // A decode step after the prompt, in the same row.
        let decode = |ids: &[u32], prefix_len| Part {
            row: 2,
            prefix_len,
            ids: as_ids(ids),
            sample: true,
            ..Part::default()
        };
        let step = only(&mut worker, &[wanting(0, decode(&[5], prompt.len()))]);
        worker.clear();
        let longer = [&prompt[..], &[5]].concat();
        let again = only(&mut worker, &[wanting(prompt.len() as u32, enter(0, &longer))]);
        assert_eq!((step.len(), again.len()), (1, 1));
        assert!(relative_error(&step[0], &again[0]) < 1e-5);
    }
}

#[test]
fn a_batch_that_asks_for_positions_out_of_range_is_refused() {
    let (fixture, _, mut worker) = load("llama", Backend::Native);
    let prompt = &fixture.cases[1].input_ids;
    let mut batch = worker.batch(&[enter(0, prompt)]);
    for (req_index, row_start) in [(1, 0), (0, prompt.len() as u32)] {
        batch.hidden_states = vec![HiddenStatesSpec { req_index, row_start }];
        let error = worker.runner.forward(&batch).unwrap_err();
        assert!(matches!(&error, WorkerError::InvalidBatch(why) if why.contains("hidden_states")), "{error}");
    }
    batch.hidden_states.clear();
    assert!(worker.runner.forward(&batch).unwrap().hidden_states.is_empty());
}
