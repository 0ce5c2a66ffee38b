//! Greedy continuations against llama.cpp's on the same GGUF files (scripts/fixtures.d/llama_cpp.py).
//!
//! llama.cpp rounds activations to 8 bits before it multiplies them with quantised weights; here they stay float32. So
//! logits differ by more than rounding, and where two tokens are about as likely the two may choose differently.
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

fn cases(name: &str) -> Vec<Case> {
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
    fixture["cases"].as_array().unwrap().iter().map(case).collect()
}

/// What a comparison found.
#[derive(Debug, Default)]
struct Found {
    /// Prompts whose continuation is llama.cpp's, token for token.
    equal: usize,
    /// llama.cpp's distance between the two tokens at the first difference of each other prompt.
    first_differences: Vec<f64>,
    /// Differences of the distance between llama.cpp's two best tokens, at every step and after llama.cpp's tokens.
    errors: Vec<f64>,
    /// Steps after llama.cpp's tokens at which another token would have been chosen.
    other: usize,
}

fn compare(model: PathBuf, name: &str) -> Found {
    let mut worker = Worker::new(options(model, Backend::Native));
    let mut found = Found::default();
    for case in cases(name) {
        worker.clear();
        let own = worker.greedy(&case.input_ids, case.greedy.len());
        match own.iter().zip(&case.greedy).position(|(a, b)| a != b) {
            None => found.equal += 1,
            Some(i) => {
                let (prompt, gap) = (&case.prompt, case.gap[i]);
                println!("{name}: {prompt:?} differs from token {i} on, gap {gap}");
                assert_eq!(own[i], case.second[i], "{prompt:?}: not even llama.cpp's runner-up");
                found.first_differences.push(gap);
            }
        }
        worker.clear();
        let (last, before) = case.greedy.split_last().unwrap();
        let rows = worker.logits(&[enter(0, &[&case.input_ids, before].concat())]);
        let rows = &rows[case.input_ids.len() - 1..];
        assert_eq!((rows.len(), case.greedy.last()), (case.greedy.len(), Some(last)));
        for (i, row) in rows.iter().enumerate() {
            let (first, second) = (case.greedy[i] as usize, case.second[i] as usize);
            let gap = f64::from(row[first]) - f64::from(row[second]);
            found.errors.push((gap - case.gap[i]).abs());
            let best = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            found.other += usize::from(row[first] < best);
        }
    }
    found.errors.sort_by(f64::total_cmp);
    let at = |share: f64| found.errors[(share * (found.errors.len() - 1) as f64) as usize];
    println!(
        "{name}: {} of 20 continuations equal; first differences at gaps {:?}; {} of {} single steps differ; error of a gap: \
         median {:.4}, 90 % {:.4}, 99 % {:.4}, most {:.4}",
        found.equal,
        found.first_differences,
        found.other,
        found.errors.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
    found
}

#[test]
fn smollm2_continues_as_in_llama_cpp() {
    let _ = compare(smollm2(), "SmolLM2-135M-Instruct.Q4_1");
}

#[test]
fn gemma3_continues_as_in_llama_cpp() {
    let default = || smollm2().with_file_name("gemma-3-270m-q4_k_m.gguf");
    let model = std::env::var_os("SGLANG_TEST_GEMMA").map_or_else(default, PathBuf::from);
    let _ = compare(model, "gemma-3-270m-q4_k_m");
}
