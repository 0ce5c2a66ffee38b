//! Greedy continuations against llama.cpp's on the same GGUF files (scripts/fixtures.d/llama_cpp.py).
//!
//! llama.cpp rounds activations to 8 bits before it multiplies them with quantised weights; here they stay float32. So
//! logits differ by that rounding, and where two tokens are about as likely the two may choose differently. That it is
//! this and nothing else shows a second recording, of the same weights as float32 numbers, which llama.cpp multiplies in
//! float32.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::PathBuf;

use common::{Worker, enter, fixtures, options, smollm2};
use serde_json::Value;
use sglang_model::Backend;

/// What llama.cpp made of a prompt.
struct Case {
    prompt: String,
    input_ids: Vec<u32>,
    greedy: Vec<u32>,
    /// The runner-up of each step, and how far its logit is below.
    second: Vec<u32>,
    gap: Vec<f64>,
}

/// The recording of a file, `cases`, or of its weights in `float32`.
fn cases(name: &str, recording: &str) -> Vec<Case> {
    let path = fixtures().join("llama_cpp").join(format!("{name}.json"));
    let fixture: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let ids = |v: &Value| -> Vec<u32> {
        v.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
    };
    let case = |v: &Value| Case {
        prompt: v["prompt"].as_str().unwrap().to_owned(),
        input_ids: ids(&v["input_ids"]),
        greedy: ids(&v["greedy"]),
        second: ids(&v["second"]),
        gap: v["gap"].as_array().unwrap().iter().map(|g| g.as_f64().unwrap()).collect(),
    };
    fixture[recording].as_array().unwrap().iter().map(case).collect()
}

/// What a comparison found.
#[derive(Default)]
struct Found {
    /// Prompts whose continuation is llama.cpp's, token for token.
    equal: usize,
    /// At the first difference of each other prompt: how far llama.cpp's choice is above the next token there, and ours
    /// above llama.cpp's here.
    first_differences: Vec<(f64, f64)>,
    /// Prompts.
    prompts: usize,
    /// Differences of the distance between llama.cpp's two best tokens, at every step and after llama.cpp's tokens.
    errors: Vec<f64>,
    /// Steps after llama.cpp's tokens at which another token would have been chosen.
    other: usize,
}

impl Found {
    /// The error that a share of all steps stays below.
    fn error(&self, share: f64) -> f64 {
        self.errors[(share * (self.errors.len() - 1) as f64) as usize]
    }
}

fn compare(worker: &mut Worker, name: &str, recording: &str) -> Found {
    let mut found = Found::default();
    for case in cases(name, recording) {
        found.prompts += 1;
        worker.clear();
        let own = worker.greedy(&case.input_ids, case.greedy.len());
        worker.clear();
        let (last, before) = case.greedy.split_last().unwrap();
        let rows = worker.logits(&[enter(0, &[&case.input_ids, before].concat())]);
        let rows = &rows[case.input_ids.len() - 1..];
        assert_eq!((rows.len(), case.greedy.last()), (case.greedy.len(), Some(last)));
        match own.iter().zip(&case.greedy).position(|(a, b)| a != b) {
            None => found.equal += 1,
            Some(i) => {
                let distance = rows[i][own[i] as usize] - rows[i][case.greedy[i] as usize];
                let (prompt, gap) = (&case.prompt, case.gap[i]);
                println!(
                    "{name}: {prompt:?} differs from token {i} on, gap {gap} there and {distance:.4} here"
                );
                found.first_differences.push((gap, f64::from(distance)));
            }
        }
        for (i, row) in rows.iter().enumerate() {
            let (first, second) = (case.greedy[i] as usize, case.second[i] as usize);
            let gap = f64::from(row[first]) - f64::from(row[second]);
            found.errors.push((gap - case.gap[i]).abs());
            let best = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            found.other += usize::from(row[first] < best);
        }
    }
    found.errors.sort_by(f64::total_cmp);
    println!(
        "{name}, {recording}: {} of {} continuations equal; first differences at gaps {:?}; {} of {} single steps differ; \
         error of a gap: median {:.4}, 90 % {:.4}, 99 % {:.4}, most {:.4}",
        found.equal,
        found.prompts,
        found.first_differences,
        found.other,
        found.errors.len(),
        found.error(0.5),
        found.error(0.9),
        found.error(0.99),
        found.error(1.0)
    );
    assert_eq!(found.prompts, 20);
    found
}

/// Holds a file to llama.cpp: in float32 the continuations are equal and distances of logits within `float32_error`; of
/// the file itself each continuation is equal, or differs first where llama.cpp's two best tokens are closer than the
/// error that a tenth of all such distances has.
fn check(model: PathBuf, name: &str, float32_error: f64) {
    let mut worker = Worker::new(options(model, Backend::Native));
    let float32 = compare(&mut worker, name, "float32");
    assert_eq!((float32.equal, float32.other), (20, 0));
    assert!(float32.error(1.0) < float32_error);
    let quantised = compare(&mut worker, name, "cases");
    let (usual, largest) = (quantised.error(0.9), quantised.error(1.0));
    assert!(usual < 0.35 && largest < 1.5);
    assert!(quantised.first_differences.iter().all(|(there, here)| *there < usual && *here < largest));
    assert!(quantised.other * 25 < quantised.errors.len());
}

#[test]
fn smollm2_continues_as_in_llama_cpp() {
    check(smollm2(), "SmolLM2-135M-Instruct.Q4_1", 1e-3);
}

#[test]
fn gemma3_continues_as_in_llama_cpp() {
    let default = || smollm2().with_file_name("gemma-3-270m-q4_k_m.gguf");
    let model = std::env::var_os("SGLANG_TEST_GEMMA").map_or_else(default, PathBuf::from);
    // llama.cpp takes GELU from a table of half-precision numbers.
    check(model, "gemma-3-270m-q4_k_m", 2e-2);
}
