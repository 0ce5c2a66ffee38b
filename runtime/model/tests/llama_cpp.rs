//! Compares greedy continuations with those of llama.cpp on the same GGUF files (scripts/fixtures.d/llama_cpp.py).
//!
//! llama.cpp rounds activations to 8 bits before it multiplies them with quantised weights; this project keeps float32.
//! Logits differ by that rounding, so the choice may differ if two tokens are almost equally likely. A second recording
//! proves that nothing else differs: it has the same weights in float32, which llama.cpp multiplies in float32.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::PathBuf;

use common::{Worker, enter, fixtures, options, smollm2};
use serde_json::Value;
use sglang_model::Backend;

/// llama.cpp's continuation of a prompt.
struct Case {
    prompt: String,
    input_ids: Vec<u32>,
    greedy: Vec<u32>,
    /// The second best token of each step, and how much lower its logit is.
    second: Vec<u32>,
    gap: Vec<f64>,
}

/// The cases of a recording: `cases` for the file, or `float32` for its weights in float32.
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

/// Results of a comparison.
#[derive(Default)]
struct Found {
    /// Prompts whose continuation equals llama.cpp's.
    equal: usize,
    /// For the first difference of each other prompt: the gap between llama.cpp's two best tokens in llama.cpp, and the
    /// gap between our choice and llama.cpp's here.
    first_differences: Vec<(f64, f64)>,
    /// Number of prompts.
    prompts: usize,
    /// For every step after llama.cpp's tokens: how much the gap between llama.cpp's two best tokens differs.
    errors: Vec<f64>,
    /// Number of steps after llama.cpp's tokens that would have chosen another token.
    other: usize,
}

impl Found {
    /// The quantile of the errors of all steps.
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

/// Compares a file with llama.cpp. In float32, continuations must be equal and gaps of logits within `float32_error`.
/// For the file itself, each continuation must be equal, or first differ where the gap between llama.cpp's two best
/// tokens is smaller than the error that a tenth of all gaps has.
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
    // llama.cpp looks GELU up in a table of half-precision numbers.
    check(model, "gemma-3-270m-q4_k_m", 2e-2);
}
