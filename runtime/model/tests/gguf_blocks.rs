//! A model whose matrices have GGUF types that are repacked or dequantised on loading, as one file and split into
//! parts.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../checkpoint/tests/common/mod.rs"]
mod files;

use std::path::Path;

use common::{Worker, enter, options, relative_error};
use files::{GgufWriter, Meta};
use serde_json::Value;
use sglang_checkpoint::GgmlType;
use sglang_model::Backend;

const COLUMNS: usize = 256;

fn fixture() -> Value {
    let path = common::fixtures().join("gguf_blocks.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn numbers(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(number).collect()
}

/// The same pseudo-random blocks that `scripts/fixtures.d/gguf_blocks.py` makes.
fn blocks(tensor: &Value) -> (GgmlType, Vec<u8>) {
    let name = tensor["type"].as_str().unwrap();
    let ty = GgmlType::ALL.into_iter().find(|ty| ty.name() == name).unwrap();
    let (mut state, exponent) = (number(&tensor["seed"]) as u32, number(&tensor["exponent"]) as u8);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let length = ty.bytes_for(number(&tensor["rows"]) * COLUMNS).unwrap();
    let mut data: Vec<u8> = (0..length).map(|_| next()).collect();
    for block in data.chunks_mut(ty.block_bytes()) {
        for offset in numbers(&tensor["scales"]) {
            block[offset + 1] = block[offset + 1] & 0x83 | exponent << 2;
        }
        if ty == GgmlType::IQ1_M {
            block[55] = block[55] & 0x0F | (exponent >> 2) << 4;
            block[53] = block[53] & 0x3F | (exponent & 3) << 6;
        }
    }
    (ty, data)
}

fn writer() -> GgufWriter {
    GgufWriter::default()
        .text("general.architecture", "llama")
        .meta("llama.block_count", Meta::U32(2))
        .meta("llama.context_length", Meta::U32(64))
        .meta("llama.embedding_length", Meta::U32(COLUMNS as u32))
        .meta("llama.feed_forward_length", Meta::U32(256))
        .meta("llama.attention.head_count", Meta::U32(4))
        .meta("llama.attention.head_count_kv", Meta::U32(2))
        .meta("llama.attention.layer_norm_rms_epsilon", Meta::F32(1e-5))
        .meta("llama.rope.freq_base", Meta::F32(10_000.0))
        .meta("tokenizer.ggml.eos_token_id", Meta::U32(2))
}

/// The model as one file.
fn model() -> GgufWriter {
    let mut writer = writer();
    for tensor in fixture()["tensors"].as_array().unwrap() {
        let (ty, data) = blocks(tensor);
        let dims = vec![COLUMNS as u64, tensor["rows"].as_u64().unwrap()];
        writer.tensors.push((tensor["name"].as_str().unwrap().to_owned(), dims, ty.id(), data));
    }
    for norm in ["output_norm", "blk.0.attn_norm", "blk.0.ffn_norm", "blk.1.attn_norm", "blk.1.ffn_norm"] {
        writer = writer.f32_tensor(&format!("{norm}.weight"), &[COLUMNS as u64], &[1.0; COLUMNS]);
    }
    writer
}

/// Writes the model as three files; the first has no tensors.
fn write_split(dir: &Path) {
    let whole = model();
    let middle = whole.tensors.len() / 2;
    let parts = [&[][..], &whole.tensors[..middle], &whole.tensors[middle..]];
    for (number, tensors) in parts.into_iter().enumerate() {
        let mut part = if number == 0 { writer() } else { GgufWriter::default() };
        part = part.meta("split.no", Meta::U16(number as u16)).meta("split.count", Meta::U16(3));
        part.tensors = tensors.to_vec();
        part.write(&dir.join(format!("m-{:05}-of-00003.gguf", number + 1)));
    }
}

fn check(path: &Path) {
    let fixture = fixture();
    let prompt: Vec<u32> = numbers(&fixture["prompt"]).iter().map(|id| *id as u32).collect();
    let expected: Vec<f32> =
        fixture["logits"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
    let greedy: Vec<u32> = numbers(&fixture["greedy"]).iter().map(|id| *id as u32).collect();
    for backend in [Backend::Native, Backend::Torch] {
        let mut worker = Worker::new(options(path, backend));
        let logits = worker.logits(&[enter(0, &prompt)]).pop().unwrap();
        let error = relative_error(&logits, &expected);
        assert!(error < 1e-4, "{backend:?}: {error:.2e}");
        worker.clear();
        assert_eq!(worker.greedy(&prompt, greedy.len()), greedy, "{backend:?}");
    }
}

#[test]
fn logits_and_tokens_are_those_of_transformers_with_the_values_of_the_gguf_package() {
    let types: std::collections::BTreeSet<String> =
        fixture()["tensors"].as_array().unwrap().iter().map(|t| t["type"].to_string()).collect();
    assert_eq!(types.len(), 13);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    model().write(&path);
    check(&path);
}

#[test]
fn a_split_model_is_served_like_a_whole_one_from_its_folder_and_from_any_part() {
    let dir = tempfile::tempdir().unwrap();
    write_split(dir.path());
    check(dir.path());
    check(&dir.path().join("m-00003-of-00003.gguf"));
}
