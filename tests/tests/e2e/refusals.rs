//! Starts that fail because model, tokenizer and arguments do not fit together: one line says which file, what was
//! expected and what was found.

use std::path::{Path, PathBuf};

use sglang_e2e::{Server, ServerOptions, model_path};

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/model/tests/fixtures/tiny-tied-llama3")
}

/// The launcher's line of a start that fails.
fn refusal(model: &Path, args: &[&str]) -> String {
    let options = ServerOptions { model: Some(model.to_owned()), ..ServerOptions::with_args(args) };
    let mut server = Server::spawn(&options).unwrap();
    let status = server.wait().unwrap();
    let log = server.log_text();
    assert_eq!(status.code(), Some(1), "{log}");
    let line = log.lines().rev().find(|l| l.contains("cannot start: "));
    line.unwrap_or_else(|| panic!("no line says why:\n{log}")).to_owned()
}

#[test]
fn a_tokenizer_of_another_model_is_named_with_both_sizes() {
    let tokenizer = model_path();
    let line = refusal(&tiny(), &["--tokenizer-path", tokenizer.to_str().unwrap()]);
    for part in [tokenizer.to_str().unwrap(), "tiny-tied-llama3", "at most 300 tokens", "found 49152"] {
        assert!(line.contains(part), "{line:?} should say {part:?}");
    }
}

#[test]
fn a_model_without_its_tokenizer_says_which_file_is_missing() {
    let line = refusal(&tiny(), &[]);
    assert!(line.contains("tokenizer.json: no such file"), "{line}");
}

#[test]
fn an_override_that_does_not_fit_the_weights_is_named_with_the_tensor_and_both_shapes() {
    let args = ["--skip-tokenizer-init", "--json-model-override-args", r#"{"intermediate_size": 201}"#];
    let line = refusal(&tiny(), &args);
    for part in ["model.safetensors", "mlp.gate_proj.weight", "expected [201, ", "found ["] {
        assert!(line.contains(part), "{line:?} should say {part:?}");
    }
    let args = ["--skip-tokenizer-init", "--json-model-override-args", r#"{"num_hidden_layers": "two"}"#];
    let line = refusal(&tiny(), &args);
    assert!(line.contains("num_hidden_layers") && line.contains("\"two\""), "{line}");
}

#[test]
fn an_override_changes_the_model_that_is_served() {
    let args = ["--skip-tokenizer-init", "--json-model-override-args", r#"{"max_position_embeddings": 64}"#];
    let options = ServerOptions { model: Some(tiny()), ..ServerOptions::with_args(&args) };
    let server = Server::start_with(&options).unwrap();
    let ask = |ids: usize| {
        let body = serde_json::json!({"input_ids": vec![5; ids], "sampling_params": {"max_new_tokens": 2}});
        server.post("/generate", &body).unwrap().status().as_u16()
    };
    assert_eq!((ask(50), ask(65)), (200, 400));
}
