//! Walls between crates and folders that imports alone do not show.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sglang_structure::{Crate, imports};

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

/// The dialect that a module of the HTTP server belongs to.
fn dialect(module: &[String]) -> Option<&str> {
    match module {
        [apis, dialect, ..] if apis == "apis" => Some(dialect),
        _ => None,
    }
}

/// What dialects share is beside them, so that one can be read, changed or taken out without the others.
#[test]
fn no_dialect_imports_another() {
    let krate = Crate::read(&workspace().join("runtime/http_server")).unwrap();
    let imports = imports(&krate);
    let dialects: BTreeSet<&str> = imports.iter().filter_map(|import| dialect(&import.from)).collect();
    assert_eq!(
        dialects.into_iter().collect::<Vec<_>>(),
        ["anthropic", "native", "ollama", "openai", "responses"]
    );
    let crosses = |from: Option<&str>, to: Option<&str>| from.is_some() && to.is_some() && from != to;
    let wrong: Vec<String> = imports
        .iter()
        .filter(|import| crosses(dialect(&import.from), dialect(&import.to)))
        .map(|import| format!("{} -> {}::{}", import.from.join("::"), import.to.join("::"), import.name))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
