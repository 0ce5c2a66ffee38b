//! The cost of reading a checkpoint.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs::OpenOptions;
use std::io::{Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Worker, check_logits, fixture, fixtures, options};
use sglang_model::Backend;

const MODEL: &str = "tiny-tied-llama3";
/// Bytes of a tensor that no model uses.
const UNUSED: u64 = 8_000_000_000;

/// Copies the fixture and adds a tensor of 8 GB, as a sparse file that takes no disk space.
fn with_unused_tensor(folder: &Path) {
    std::fs::copy(fixtures().join(MODEL).join("config.json"), folder.join("config.json")).unwrap();
    let bytes = std::fs::read(fixtures().join(MODEL).join("model.safetensors")).unwrap();
    let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header: serde_json::Value = serde_json::from_slice(header).unwrap();
    let end = data.len() as u64;
    header["vision.unused.weight"] =
        serde_json::json!({"dtype": "F32", "shape": [UNUSED / 4], "data_offsets": [end, end + UNUSED]});
    let mut header = header.to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file =
        OpenOptions::new().create_new(true).write(true).open(folder.join("model.safetensors")).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(&header).unwrap();
    file.write_all(data).unwrap();
    let end = file.stream_position().unwrap();
    file.set_len(end + UNUSED).unwrap();
}

fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn tensors_that_the_model_does_not_use_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    with_unused_tensor(folder.path());
    for backend in [Backend::Native, Backend::Torch] {
        let started = Instant::now();
        let mut worker = Worker::new(options(folder.path(), backend));
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
        check_logits(&mut worker, &fixture(MODEL));
    }
    assert!(resident() < 2_000_000_000, "{} bytes", resident());
}
