//! Compares quantised checkpoints with transformers in float32 on the same weights, which plain torch code dequantises
//! (scripts/fixtures.d/quantized.py).
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Worker, enter, fixture, fixtures, options, relative_error};
use sglang_model::{Backend, load_runner};

const TOLERANCE: f64 = 1e-4;

fn check(name: &str) {
    let (fixture, folder) = (fixture(&format!("quantized/{name}")), fixtures().join("quantized").join(name));
    for backend in [Backend::Native, Backend::Torch] {
        let mut worker = Worker::new(options(&folder, backend));
        for case in &fixture.cases {
            worker.clear();
            let rows = worker.logits(&[enter(0, &case.input_ids)]);
            for (row, expected) in rows.iter().zip(&case.strided) {
                let error = relative_error(row, expected);
                assert!(error < TOLERANCE, "{name} {backend:?}: {error:.2e}");
            }
            worker.clear();
            assert_eq!(worker.greedy(&case.input_ids, case.greedy.len()), case.greedy, "{name} {backend:?}");
        }
    }
}

#[test]
fn fp8_with_a_scale_per_block_of_odd_size_equals_torch() {
    check("fp8-block");
}

#[test]
fn fp8_with_one_scale_equals_torch() {
    check("fp8-tensor");
}

#[test]
fn awq_equals_torch() {
    check("awq");
}

#[test]
fn gptq_of_4_bits_with_reordered_groups_equals_torch() {
    check("gptq-4-act-order");
}

#[test]
fn gptq_of_8_bits_in_the_second_version_equals_torch() {
    check("gptq-8-v2");
}

#[test]
fn compressed_fp8_with_a_scale_per_row_equals_torch() {
    check("compressed-fp8");
}

#[test]
fn compressed_int8_equals_torch() {
    check("compressed-int8");
}

#[test]
fn compressed_int4_equals_torch_with_and_without_zero_points() {
    check("compressed-int4");
    check("compressed-int4-zero");
}

fn copy(name: &str, change: impl FnOnce(&mut serde_json::Value)) -> tempfile::TempDir {
    let (from, folder) = (fixtures().join("quantized").join(name), tempfile::tempdir().unwrap());
    std::fs::copy(from.join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let mut config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(from.join("config.json")).unwrap()).unwrap();
    change(&mut config["quantization_config"]);
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    folder
}

#[test]
fn settings_that_are_not_read_and_tensors_that_do_not_fit_them_are_named() {
    type Change = fn(&mut serde_json::Value);
    let cases: [(&str, &str, Change); 9] = [
        ("awq", "key `quantization_config.quant_method`: expected fp8, awq, gptq", |q| {
            q["quant_method"] = "bitsandbytes".into();
        }),
        ("awq", "key `quantization_config.bits`: expected 4", |q| q["bits"] = 3.into()),
        ("awq", "key `quantization_config.version`: expected gemm", |q| q["version"] = "gemv".into()),
        ("awq", "qzeros: expected [6, 12], found [3, 12]", |q| q["group_size"] = 16.into()),
        ("gptq-8-v2", "key `quantization_config.bits`: expected 2, 4 or 8", |q| q["bits"] = 3.into()),
        ("gptq-8-v2", "qweight: expected [12, 96], found [24, 96]", |q| q["bits"] = 4.into()),
        ("gptq-8-v2", "checkpoint_format`: expected gptq or gptq_v2", |q| {
            q["checkpoint_format"] = "x".into()
        }),
        ("fp8-block", "weight_scale_inv: expected [2, 3], found [3, 2]", |q| {
            q["weight_block_size"] = serde_json::json!([56, 40]);
        }),
        ("compressed-int4", "key `quantization_config.format`", |q| q["format"] = "marlin-24".into()),
    ];
    for (name, expected, change) in cases {
        let folder = copy(name, change);
        let error = load_runner(&options(folder.path(), Backend::Native), &mut |_, _| {}).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected), "{text:?} should say {expected:?}");
        assert!(text.contains(folder.path().to_str().unwrap()) && text.lines().count() == 1, "{text}");
    }
}

#[test]
fn the_flag_must_say_what_the_checkpoint_is() {
    let load = |name: &str, asked: &str| {
        let mut options = options(fixtures().join(name), Backend::Native);
        options.quantization = Some(asked.to_owned());
        load_runner(&options, &mut |_, _| {}).map(drop).map_err(|e| e.to_string())
    };
    load("quantized/awq", "awq").unwrap();
    assert_eq!(
        load("quantized/awq", "fp8").unwrap_err(),
        "--quantization fp8: the checkpoint is quantised by awq"
    );
    let text = load("tiny-untied-yarn", "fp8").unwrap_err();
    assert!(text.starts_with("--quantization fp8: the checkpoint is not quantised"), "{text}");
}
