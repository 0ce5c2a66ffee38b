//! LoRA adapters on a real server: a small random model with adapters, compared with transformers and PEFT
//! (scripts/fixtures.d/lora.py).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use sglang_e2e::{Server, ServerOptions};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/model/tests/fixtures")
}

fn adapter(name: &str) -> String {
    fixtures().join("lora").join(name).to_str().unwrap().to_owned()
}

/// Prompts and their greedy continuations, with an adapter or (`decoders/llama`) without.
fn cases(fixture: &str) -> Vec<(Value, Value)> {
    let json = std::fs::read(fixtures().join(format!("{fixture}.json"))).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    let cases = json["cases"].as_array().unwrap();
    cases.iter().map(|case| (case["input_ids"].clone(), case["greedy"].clone())).collect()
}

fn start(args: &[&str]) -> Server {
    let args = [&["--skip-tokenizer-init", "--random-seed", "1"], args].concat();
    let model = Some(fixtures().join("decoders/llama"));
    Server::start_with(&ServerOptions { model, ..ServerOptions::with_args(&args) }).unwrap()
}

fn body(input_ids: &Value, lora_path: Value) -> Value {
    json!({"input_ids": input_ids, "lora_path": lora_path,
        "sampling_params": {"temperature": 0, "max_new_tokens": 24, "ignore_eos": true}})
}

/// Requests every continuation and compares it.
fn check(server: &Server, fixture: &str, lora_path: &Value) {
    for (prompt, greedy) in cases(fixture) {
        let answer = server.post_json("/generate", &body(&prompt, lora_path.clone())).unwrap();
        assert_eq!(answer["output_ids"], greedy, "{fixture}: {prompt}");
    }
}

fn post(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    let response = server.post(path, body).unwrap();
    (response.status().as_u16(), response.json().unwrap())
}

fn model_ids(server: &Server) -> Vec<String> {
    let models: Value = server.get("/v1/models").unwrap().json().unwrap();
    models["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn adapters_are_loaded_and_unloaded_while_requests_run_and_every_answer_is_pefts() {
    let first = format!("all={}", adapter("llama-all"));
    let flags = ["--lora-paths", &first, "--max-lora-rank", "8", "--max-loras-per-batch", "3"];
    let server = start(&[&flags[..], &["--served-model-name", "base"]].concat());
    assert_eq!(model_ids(&server), ["base", "all"]);
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for (fixture, name) in [
            ("decoders/llama", Value::Null),
            ("lora/llama-all", json!("all")),
            ("decoders/llama", Value::Null),
        ] {
            let (server, stop, served) = (&server, &stop, &served);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    check(server, fixture, &name);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // The clients must end even if something below fails.
        let changes = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for name in ["attention", "rslora", "attention"] {
                let path = adapter(&format!("llama-{name}"));
                let load = json!({"lora_name": name, "lora_path": path});
                let (status, answer) = post(&server, "/load_lora_adapter", &load);
                assert_eq!((status, &answer["success"]), (200, &json!(true)), "{answer}");
                assert_eq!(answer["loaded_adapters"][name], path);
                assert!(model_ids(&server).contains(&name.to_owned()));
                check(&server, &format!("lora/llama-{name}"), &json!(name));
                let (status, answer) = post(&server, "/load_lora_adapter", &load);
                let text = format!("Failed to load LoRA adapter {name} because it is already loaded");
                assert_eq!((status, &answer["error_message"]), (400, &json!(text)));
                let (status, answer) = post(&server, "/unload_lora_adapter", &json!({"lora_name": name}));
                assert_eq!((status, &answer["success"]), (200, &json!(true)), "{answer}");
                assert_eq!(model_ids(&server), ["base", "all"]);
            }
            // An unloaded adapter is loaded again when a request names it.
            check(&server, "lora/llama-rslora", &json!("rslora"));
            // All adapters and none in one batch.
            let names = [json!("all"), Value::Null, json!("rslora"), json!("all")];
            let expected = ["lora/llama-all", "decoders/llama", "lora/llama-rslora", "lora/llama-all"];
            let chosen: Vec<(Value, Value)> =
                expected.iter().enumerate().map(|(i, name)| cases(name)[i].clone()).collect();
            let prompts: Vec<&Value> = chosen.iter().map(|(prompt, _)| prompt).collect();
            let answers = server.post_json("/generate", &body(&json!(prompts), json!(names))).unwrap();
            for (answer, (_, greedy)) in answers.as_array().unwrap().iter().zip(&chosen) {
                assert_eq!(answer["output_ids"], *greedy);
            }
        }));
        stop.store(true, Ordering::Relaxed);
        changes.unwrap();
    });
    assert!(served.into_inner() > 0);
}

#[test]
fn a_prefix_is_cached_for_one_adapter_only_and_new_weights_keep_adapters() {
    let paths = ["all", "attention"].map(|name| format!("{name}={}", adapter(&format!("llama-{name}"))));
    let server = start(&["--lora-paths", &paths[0], &paths[1]]);
    let (prompt, _) = cases("lora/llama-all")[3].clone();
    let cached = |name: Value| {
        let answer = server.post_json("/generate", &body(&prompt, name)).unwrap();
        answer["meta_info"]["cached_tokens"].as_u64().unwrap()
    };
    for name in [Value::Null, json!("all"), json!("attention")] {
        assert_eq!(cached(name.clone()), 0, "{name}: nobody computed this prefix before");
        assert_eq!(cached(name), 39);
    }
    let model = fixtures().join("decoders/llama");
    let (status, answer) = post(&server, "/update_weights_from_disk", &json!({"model_path": model}));
    assert_eq!(status, 200, "{answer}");
    check(&server, "lora/llama-all", &json!("all"));
    check(&server, "decoders/llama", &Value::Null);
    let loads: Value = server.get("/v1/loads?include=lora").unwrap().json().unwrap();
    assert_eq!(loads["loads"][0]["lora"]["slots_total"], 8);
}

#[test]
fn an_adapter_that_does_not_fit_is_refused_in_one_line_and_the_server_goes_on() {
    let server =
        start(&["--enable-lora", "--max-lora-rank", "4", "--lora-target-modules", "q_proj", "v_proj"]);
    let load = |name: &str, path: String| {
        let (status, answer) =
            post(&server, "/load_lora_adapter", &json!({"lora_name": name, "lora_path": path}));
        assert_eq!((status, &answer["success"]), (400, &json!(false)), "{answer}");
        answer["error_message"].as_str().unwrap().to_owned()
    };
    let text = load("rslora", adapter("llama-rslora"));
    assert!(text.contains("with rank 8 is incompatible") && text.contains("at most 4, found 8"), "{text}");
    assert!(text.contains("expected modules among qkv_proj, found down_proj"), "{text}");
    let text = load("phi", adapter("phi3-all"));
    assert!(
        text.contains("adapter_model.safetensors: tensor") || text.contains("expected modules"),
        "{text}"
    );
    let text = load("nothing", "/nonexistent".into());
    assert!(text.contains("/nonexistent") && text.contains("adapter_config.json"), "{text}");
    let load = json!({"lora_name": "fits", "lora_path": adapter("llama-attention")});
    assert_eq!(post(&server, "/load_lora_adapter", &load).0, 200);
    check(&server, "lora/llama-attention", &json!("fits"));
}

#[test]
fn a_server_with_an_adapter_that_cannot_be_read_does_not_start() {
    let options = ServerOptions {
        model: Some(fixtures().join("decoders/llama")),
        ..ServerOptions::with_args(&["--skip-tokenizer-init", "--lora-paths", "x=/nonexistent"])
    };
    let error = Server::start_with(&options).unwrap_err().to_string();
    assert!(error.contains("Failed to load LoRA adapter x") && error.contains("/nonexistent"), "{error}");
}

#[test]
fn the_name_of_a_completions_model_is_that_of_its_adapter() {
    let (first, second) = (format!("all={}", adapter("llama-all")), adapter("llama-attention"));
    let flags = ["--served-model-name", "base", "--max-lora-rank", "8", "--lora-paths", &first, &second];
    let server = start(&flags);
    for (model, fixture) in [
        ("base", "decoders/llama"),
        ("default", "decoders/llama"),
        ("all", "lora/llama-all"),
        (second.as_str(), "lora/llama-attention"),
    ] {
        for (prompt, greedy) in cases(fixture) {
            let body = json!({"model": model, "prompt": prompt, "temperature": 0, "max_tokens": 24, "ignore_eos": true,
                "return_token_ids": true});
            let answer = server.post_json("/v1/completions", &body).unwrap();
            assert_eq!(answer["choices"][0]["token_ids"], greedy, "{model}: {prompt}");
            assert_eq!(answer["model"], model);
        }
    }
    let (status, answer) =
        post(&server, "/v1/completions", &json!({"model": "al", "prompt": [1], "max_tokens": 1}));
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("model_not_found")), "{answer}");
}
