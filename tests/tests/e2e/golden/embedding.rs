//! Vectors: all-MiniLM-L6-v2, and the generating model as an embedding model.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use sglang_e2e::{Server, ServerOptions};
use sglang_golden::{Exchange, exchanges};

use super::harness::replay_as;

/// all-MiniLM-L6-v2 without the pooling files, which the reference does not read.
fn minilm() -> tempfile::TempDir {
    let default = || sglang_e2e::model_path().with_file_name("all-MiniLM-L6-v2");
    let path = std::env::var_os("SGLANG_TEST_MINILM").map_or_else(default, PathBuf::from);
    assert!(path.is_dir(), "{} is missing: run scripts/setup --test-models", path.display());
    let folder = tempfile::tempdir().unwrap();
    for entry in path.read_dir().unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() && entry.file_name() != "modules.json" {
            symlink(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    folder
}

fn of_the_causal_model(exchange: &Exchange) -> bool {
    exchange.name.starts_with("causal-")
}

#[test]
fn an_encoder_answers_as_the_references() {
    let model = minilm();
    let flags = ["--is-embedding", "--disable-radix-cache", "--enable-metrics"];
    let server = Server::start_with(&ServerOptions {
        model: Some(model.path().to_owned()),
        ..ServerOptions::with_args(&flags)
    })
    .unwrap();
    let names = (model.path().to_str().unwrap(), "MODELS/minilm");
    replay_as(&server, "embedding", |exchange| !of_the_causal_model(exchange), Some(names));
}

#[test]
fn a_generating_model_that_embeds_answers_as_the_references() {
    let server = Server::start(&["--is-embedding"]).unwrap();
    let path = sglang_e2e::model_path();
    let names = (path.to_str().unwrap(), "MODELS/smollm2-135m-fp32");
    replay_as(&server, "embedding", of_the_causal_model, Some(names));
    assert!(exchanges("embedding").iter().any(of_the_causal_model));
}
