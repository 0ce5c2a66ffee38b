//! Helpers for the tests of this crate.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file of `tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A JSON file of `tests/fixtures`.
pub fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

/// The GGUF file of SmolLM2-135M-Instruct: `SGLANG_TEST_MODEL`, or where scripts/setup puts it.
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
