//! Weights that are replaced in a running server: a tiny random model with a second set of weights.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use sglang_e2e::{Server, ServerOptions, process_tree, resident_bytes};

const UPDATES: usize = 50;
/// Number of clients during the updates.
const CLIENTS: usize = 4;

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/model/tests/fixtures/tiny-tied-llama3")
}

/// The model with the sign of every 7th number changed.
fn other_weights() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(model().join("config.json"), folder.path().join("config.json")).unwrap();
    let mut bytes = std::fs::read(model().join("model.safetensors")).unwrap();
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    for byte in bytes[start..].iter_mut().skip(3).step_by(28) {
        *byte ^= 0x80;
    }
    std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    folder
}

fn start(model: &Path, version: &str) -> Server {
    let options = ServerOptions {
        model: Some(model.to_owned()),
        ..ServerOptions::with_args(&[
            "--skip-tokenizer-init",
            "--weight-version",
            version,
            "--random-seed",
            "1",
        ])
    };
    Server::start_with(&options).unwrap()
}

fn prompt(i: usize) -> Vec<u32> {
    (0..5 + 9 * i as u32).map(|k| 3 + (k * k + 17 * i as u32) % 290).collect()
}

/// Ids, log-probabilities and weight label of a greedy answer.
fn answer(server: &Server, i: usize) -> (Value, Value, String) {
    let body = json!({"input_ids": prompt(i), "return_logprob": true,
        "sampling_params": {"temperature": 0, "max_new_tokens": 12 + i, "ignore_eos": true}});
    let answer = server.post_json("/generate", &body).unwrap();
    let meta = &answer["meta_info"];
    assert_eq!(meta["completion_tokens"], 12 + i, "{answer}");
    let spans = meta["weight_versions"].as_array().unwrap();
    assert_eq!(spans.len(), 1, "one answer, one set of weights: {answer}");
    assert_eq!(spans[0]["version"], meta["weight_version"]);
    let version = meta["weight_version"].as_str().unwrap().to_owned();
    (answer["output_ids"].clone(), meta["output_token_logprobs"].clone(), version)
}

fn answers(server: &Server) -> Vec<(Value, Value)> {
    (0..CLIENTS).map(|i| answer(server, i)).map(|(ids, logprobs, _)| (ids, logprobs)).collect()
}

fn update(server: &Server, body: &Value) -> (u16, Value) {
    let response = server.post("/update_weights_from_disk", body).unwrap();
    (response.status().as_u16(), response.json().unwrap())
}

/// Resident memory of the scheduler process in bytes.
fn scheduler_bytes(server: &Server) -> u64 {
    let tree = process_tree(server.pid());
    resident_bytes(tree.iter().find(|p| p.name.starts_with("sglang-schedul")).unwrap().pid)
}

#[test]
fn fifty_updates_under_load_lose_no_request_and_no_memory_and_end_as_a_fresh_server() {
    let other = other_weights();
    let server = start(&model(), "even");
    let fresh = start(other.path(), "odd");
    let expected = [answers(&server), answers(&fresh)];
    assert_ne!(expected[0], expected[1]);
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for i in 0..CLIENTS {
            let (server, expected, stop, served) = (&server, &expected, &stop, &served);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let (ids, logprobs, version) = answer(server, i);
                    let expected = &expected[usize::from(version == "odd")][i];
                    assert_eq!((&ids, &logprobs), (&expected.0, &expected.1), "client {i}, {version}");
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // The clients must end even if something below fails.
        let updates = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut settled = 0;
            for round in 1..=UPDATES {
                let (path, version) = match round % 2 {
                    1 => (other.path().to_owned(), "odd"),
                    _ => (model(), "even"),
                };
                let before = served.load(Ordering::Relaxed);
                let (status, body) = update(&server, &json!({"model_path": path, "weight_version": version}));
                let message =
                    format!("Succeeded to update model weights. Weight version updated to {version}.");
                assert_eq!(
                    (status, &body["success"], &body["message"]),
                    (200, &json!(true), &json!(message))
                );
                let info: Value = server.get("/get_model_info").unwrap().json().unwrap();
                assert_eq!(info["weight_version"], version);
                // Every set of weights serves some requests.
                while served.load(Ordering::Relaxed) < before + CLIENTS {
                    std::thread::yield_now();
                }
                if round == UPDATES / 5 {
                    settled = scheduler_bytes(&server);
                }
            }
            settled
        }));
        stop.store(true, Ordering::Relaxed);
        let settled = updates.unwrap();
        let grown = scheduler_bytes(&server).saturating_sub(settled);
        assert!(grown < 32 << 20, "40 updates added {grown} bytes to {settled}");
    });
    assert!(served.load(Ordering::Relaxed) >= UPDATES * CLIENTS);
    assert_eq!(answers(&server), expected[0], "fifty is even");
    let (_, body) = update(&server, &json!({"model_path": other.path()}));
    assert_eq!(body["message"], "Succeeded to update model weights.");
    assert_eq!(answers(&server), expected[1]);
}

#[test]
fn failed_updates_leave_every_bit_of_the_answers() {
    let server = start(&model(), "v1");
    let before = answers(&server);
    let missing = json!({"model_path": "qwen/qwen2.5-0.5b-instruct-wrong", "weight_version": "v2"});
    let (status, body) = update(&server, &missing);
    let message = "Failed to get weights iterator: qwen/qwen2.5-0.5b-instruct-wrong (repository not found).";
    assert_eq!(status, 400);
    assert_eq!(body, json!({"success": false, "message": message, "num_paused_requests": 0}));

    // Weights with another shape.
    let config = |change: fn(&mut Value)| {
        let folder = other_weights();
        let path = folder.path().join("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut config);
        std::fs::write(&path, config.to_string()).unwrap();
        folder
    };
    let truncated = other_weights();
    let file = truncated.path().join("model.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 1000]).unwrap();
    let cases = [
        (config(|c| c["hidden_size"] = 288.into()), "hidden_size: expected 144 as in the served model"),
        (config(|c| c["hidden_act"] = "relu".into()), "hidden_act: expected silu"),
        (truncated, "truncated or corrupt"),
    ];
    for (folder, expected) in &cases {
        let (status, body) = update(&server, &json!({"model_path": folder.path()}));
        let message = body["message"].as_str().unwrap();
        assert_eq!((status, &body["success"]), (400, &json!(false)), "{message}");
        assert!(message.contains(expected), "{message}");
        assert_eq!(answers(&server), before);
    }
    let (_, _, version) = answer(&server, 0);
    assert_eq!(version, "v1");
    let info: Value = server.get("/get_model_info").unwrap().json().unwrap();
    assert_eq!(info["model_path"], model().to_str().unwrap());
}

#[test]
fn a_paused_server_takes_new_weights_and_goes_on_with_what_waited() {
    let other = other_weights();
    let (server, fresh) = (start(&model(), "v1"), start(other.path(), "v2"));
    let pause = server.post("/pause_generation", &json!({"mode": "retract"})).unwrap();
    assert!(pause.status().is_success());
    let (ids, _, version) = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| answer(&server, 2));
        let (status, body) =
            update(&server, &json!({"model_path": other.path(), "weight_version": "v2", "keep_pause": true}));
        assert_eq!(status, 200, "{body}");
        assert!(!waiting.is_finished(), "the pause is kept");
        let go = server.post("/continue_generation", &json!({})).unwrap();
        assert!(go.status().is_success());
        waiting.join().unwrap()
    });
    assert_eq!((ids, version), (answer(&fresh, 2).0, "v2".to_owned()));
}

#[test]
fn a_weight_is_read_by_name() {
    let server = start(&model(), "v1");
    let weight = |name: &str| server.post("/get_weights_by_name", &json!({"name": name, "truncate_size": 3}));
    let norm: Value = weight("model.norm.weight").unwrap().json().unwrap();
    assert_eq!(norm.as_array().unwrap().len(), 3);
    let embedding: Value = weight("model.embed_tokens.weight").unwrap().json().unwrap();
    assert_eq!(embedding[2].as_array().unwrap().len(), 144);
    assert_eq!(weight("lm_head.weight").unwrap().json::<Value>().unwrap(), embedding, "tied");
    let unknown = weight("no.such.weight").unwrap();
    assert_eq!(unknown.status(), 400);
    assert_eq!(
        unknown.json::<Value>().unwrap(),
        json!({"error": {"message": "Get parameter by name failed"}})
    );
}

#[test]
fn a_new_label_is_in_every_answer_from_then_on() {
    let server = start(&model(), "v1");
    assert_eq!(answer(&server, 0).2, "v1");
    let response = server.post("/update_weight_version", &json!({"new_version": "v2"})).unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let info: Value = server.get("/model_info").unwrap().json().unwrap();
    assert_eq!(info["weight_version"], "v2");
    // Whole and streamed.
    assert_eq!(answer(&server, 0).2, "v2");
    let body = json!({"input_ids": prompt(0), "stream": true,
        "sampling_params": {"temperature": 0, "max_new_tokens": 3, "ignore_eos": true}});
    let text = server.post_text("/generate", &body).unwrap();
    let events = sglang_e2e::sse_events(&text);
    let last: Value = serde_json::from_str(events.iter().rev().find(|e| **e != "[DONE]").unwrap()).unwrap();
    assert_eq!(last["meta_info"]["weight_version"], "v2");
    assert_eq!(last["meta_info"]["weight_versions"], json!([{"version": "v2", "start": 0, "end": 3}]));
}
