//! Logits and greedy tokens against Hugging Face transformers in float32 (scripts/fixtures.d/llama.py).
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Fixture, Worker, enter, fixture, fixtures, options, relative_error, smollm2};
use sglang_model::{Backend, ModelOptions};

/// Largest relative error of a row of logits.
const TOLERANCE: f64 = 1e-4;

fn check_logits(worker: &mut Worker, fixture: &Fixture) {
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

fn check_greedy(worker: &mut Worker, fixture: &Fixture) {
    for case in &fixture.cases {
        worker.clear();
        assert_eq!(worker.greedy(&case.input_ids, case.greedy.len()), case.greedy, "{:?}", case.input_ids);
    }
}

fn check_folder(name: &str, backend: Backend) {
    let fixture = fixture(name);
    let mut worker = Worker::new(options(fixtures().join(name), backend));
    check_logits(&mut worker, &fixture);
    check_greedy(&mut worker, &fixture);
}

#[test]
fn tied_llama3_rope_with_biases_equals_transformers_on_native_kernels() {
    check_folder("tiny-tied-llama3", Backend::Native);
}

#[test]
fn tied_llama3_rope_with_biases_equals_transformers_on_libtorch() {
    check_folder("tiny-tied-llama3", Backend::Torch);
}

#[test]
fn untied_yarn_from_shards_equals_transformers_on_native_kernels() {
    check_folder("tiny-untied-yarn", Backend::Native);
}

#[test]
fn untied_yarn_from_shards_equals_transformers_on_libtorch() {
    check_folder("tiny-untied-yarn", Backend::Torch);
}

#[test]
fn quantised_smollm2_equals_transformers_on_its_dequantised_weights() {
    let fixture = fixture("smollm2");
    let mut worker = Worker::new(options(smollm2(), Backend::Native));
    check_logits(&mut worker, &fixture);
    check_greedy(&mut worker, &fixture);
}

#[test]
fn dequantised_smollm2_equals_transformers_on_libtorch() {
    let mut fixture = fixture("smollm2");
    let mut worker = Worker::new(options(smollm2(), Backend::Torch));
    check_logits(&mut worker, &fixture);
    fixture.cases.truncate(2);
    fixture.cases.iter_mut().for_each(|c| c.greedy.truncate(16));
    check_greedy(&mut worker, &fixture);
}

#[test]
fn sixteen_bit_formats_stay_close_to_float32() {
    for name in ["tiny-tied-llama3", "tiny-untied-yarn"] {
        for (dtype, tolerance) in [("bfloat16", 5e-2), ("float16", 5e-3)] {
            let fixture = fixture(name);
            let options =
                ModelOptions { dtype: dtype.into(), ..options(fixtures().join(name), Backend::Auto) };
            let mut worker = Worker::new(options);
            for case in &fixture.cases {
                worker.clear();
                let last = worker.logits(&[enter(0, &case.input_ids)]).pop().unwrap();
                let error = relative_error(&last, &case.last);
                assert!(error < tolerance, "{name} in {dtype}: {error:.2e}");
                assert!(error > 1e-6, "{name} in {dtype} is as exact as float32");
            }
        }
    }
}
