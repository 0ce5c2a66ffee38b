//! Compares logits and greedy tokens with Hugging Face transformers in float32 (scripts/fixtures.d/llama.py).
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{
    Worker, check_greedy, check_logits, enter, fixture, fixtures, options, relative_error, smollm2,
};
use sglang_model::{Backend, ModelOptions};

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
