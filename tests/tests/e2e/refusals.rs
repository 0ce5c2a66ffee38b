//! Starts that fail because model, tokenizer and arguments do not fit together: one line says which file, what was
//! expected and what was found.

use std::path::{Path, PathBuf};

use sglang_e2e::{Server, ServerOptions, model_path};

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/model/tests/fixtures/tiny-tied-llama3")
}

/// The launcher's line of a failed start.
fn refusal(model: &Path, args: &[&str]) -> String {
    let options = ServerOptions { model: Some(model.to_owned()), ..ServerOptions::with_args(args) };
    let mut server = Server::spawn(&options).unwrap();
    let status = server.wait().unwrap();
    let log = server.log_text();
    assert_eq!(status.code(), Some(2), "{args:?}: {log}");
    let last = log.lines().next_back().unwrap_or_default();
    let (_, why) = last.split_once("cannot start: ").unwrap_or_else(|| panic!("no line says why:\n{log}"));
    let own = log.find(&format!("hit an exception: {why}"));
    assert!(
        own.is_some_and(|own| own < log.rfind(why).unwrap()),
        "the process's own line comes first:\n{log}"
    );
    last.to_owned()
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
fn whatever_the_command_line_names_wrongly_ends_the_start_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a model").unwrap();
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    for model in [&text, &empty] {
        assert!(refusal(model, &[]).contains(model.to_str().unwrap()));
    }
    let (model, text) = (model_path(), text.to_str().unwrap());
    for (args, named) in [
        (&["--tokenizer-path", "/no/such/tokenizer"][..], "/no/such/tokenizer"),
        (&["--chat-template", "/no/such/template.jinja"], "/no/such/template.jinja"),
        (&["--completion-template", "/no/such/template.json"], "--completion-template"),
        (&["--lora-paths", "/no/such/adapter"], "/no/such/adapter"),
        (&["--context-length", "9999999"], "--context-length 9999999"),
        (&["--quantization", "awq"], "--quantization awq"),
        (&["--expert-distribution-recorder-mode", "stat"], "--expert-distribution-recorder-mode"),
        (&["--tokenizer-path", text], text),
    ] {
        let line = refusal(&model, args);
        assert!(line.contains(named), "{args:?}: {line}");
    }
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
