//! Walls between crates and folders that imports alone do not show.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The core of the tokenizer manager serves no HTTP: neither at run time nor in its tests.
#[test]
fn the_tokenizer_manager_does_not_depend_on_an_http_framework() {
    let manifest = std::fs::read_to_string(workspace().join("runtime/tokenizer_manager/Cargo.toml")).unwrap();
    let crates: Vec<&str> = manifest.lines().filter_map(|line| line.split(['.', ' ', '=']).next()).collect();
    assert!(crates.contains(&"tokio"), "{crates:?}");
    let http = ["actix", "sglang-http-server", "hyper", "axum"];
    let wrong: Vec<&&str> =
        crates.iter().filter(|name| http.iter().any(|http| name.starts_with(http))).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
