//! A server whose model comes from a local hub: names, restarts, interruptions and errors.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sglang_e2e::{Server, ServerOptions};
use sglang_test_hub::{Fault, TestHub, TestRepo};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/model/tests/fixtures/tiny-tied-llama3")
}

fn hub() -> TestHub {
    let hub = TestHub::start().unwrap();
    hub.add(TestRepo::new("org/tiny").with_folder(&fixture()).unwrap().with("pytorch_model.bin", "not this"));
    hub
}

fn options(endpoint: &str, cache: &Path, model: &str, args: &[&str]) -> ServerOptions {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    ServerOptions {
        model: Some(model.into()),
        env: vec![
            variable("HF_ENDPOINT", endpoint),
            variable("HF_HUB_OFFLINE", "0"),
            variable("HF_HOME", cache.to_str().unwrap()),
            variable("HF_HUB_CACHE", ""),
            variable("HF_TOKEN", ""),
        ],
        ..ServerOptions::with_args(&[&["--skip-tokenizer-init", "--random-seed", "1"], args].concat())
    }
}

fn ids(server: &Server) -> Value {
    let body = json!({"input_ids": [5, 6, 7, 8], "sampling_params": {"temperature": 0, "max_new_tokens": 8, "ignore_eos": true}});
    server.post_json("/generate", &body).unwrap()["output_ids"].clone()
}

fn get(server: &Server, path: &str) -> Value {
    server.get(path).unwrap().json().unwrap()
}

/// The last line of a failed start, and its exit code.
fn failure(options: &ServerOptions) -> (String, i32) {
    let mut server = Server::spawn(options).unwrap();
    let status = server.wait().unwrap();
    let log = server.log_text();
    let line = log.lines().rev().find(|l| l.contains("org/")).unwrap_or_default().to_owned();
    (line, status.code().unwrap())
}

#[test]
fn a_model_of_the_hub_is_served_under_its_name_and_again_without_the_hub() {
    let (hub, cache) = (hub(), tempfile::tempdir().unwrap());
    let expected = {
        let local = ServerOptions { model: Some(fixture()), ..options("", cache.path(), "", &[]) };
        ids(&Server::start_with(&local).unwrap())
    };
    let online = options(&hub.endpoint(), cache.path(), "org/tiny", &[]);
    let server = Server::start_with(&online).unwrap();
    assert_eq!(ids(&server), expected);
    assert_eq!(get(&server, "/get_model_info")["model_path"], "org/tiny");
    assert_eq!(get(&server, "/v1/models")["data"][0]["id"], "org/tiny");
    let info = get(&server, "/get_server_info");
    assert_eq!(
        (&info["served_model_name"], &info["tokenizer_path"]),
        (&json!("org/tiny"), &json!("org/tiny"))
    );
    assert!(info.get("model_files").is_none());
    assert!(server.log_text().contains(" | hub "), "the time line names the download");
    // Only one process downloads, and only once.
    let weights =
        hub.requests().into_iter().filter(|r| r.to_storage && r.path.ends_with("model.safetensors"));
    assert_eq!(weights.count(), 1);
    assert!(
        !cache
            .path()
            .join("hub/models--org--tiny/snapshots")
            .read_dir()
            .unwrap()
            .any(|commit| { commit.unwrap().path().join("pytorch_model.bin").exists() })
    );
    drop((server, hub));

    let mut offline = online.clone();
    offline.env.push(("HF_HUB_OFFLINE".to_owned(), "1".to_owned()));
    assert_eq!(ids(&Server::start_with(&offline).unwrap()), expected);
    let server = Server::start_with(&online).unwrap();
    assert!(server.log_text().contains("cannot be reached"), "{}", server.log_text());
    assert_eq!(ids(&server), expected);
}

#[test]
fn ctrl_c_ends_a_download_and_the_next_start_goes_on() {
    let (hub, cache) = (hub(), tempfile::tempdir().unwrap());
    hub.fail("model.safetensors", Fault { stall_after: Some(10_000), times: 1, ..Fault::default() });
    let mut options = options(&hub.endpoint(), cache.path(), "org/tiny", &[]);
    options.env.push(("HF_HUB_DOWNLOAD_TIMEOUT".to_owned(), "60".to_owned()));
    let mut server = Server::spawn(&options).unwrap();
    let blobs = cache.path().join("hub/models--org--tiny/blobs");
    let deadline = Instant::now() + Duration::from_secs(60);
    let part = || -> Option<u64> {
        let incomplete = blobs
            .read_dir()
            .ok()?
            .flatten()
            .find(|e| e.path().extension().is_some_and(|x| x == "incomplete"));
        Some(incomplete?.metadata().ok()?.len())
    };
    while part() != Some(10_000) {
        assert!(Instant::now() < deadline, "{}", server.log_text());
        std::thread::sleep(Duration::from_millis(20));
    }
    server.signal(Signal::SIGINT).unwrap();
    let status = server.wait().unwrap();
    assert_eq!(status.code(), Some(130), "{}", server.log_text());
    hub.forget_requests();
    let server = Server::start_with(&options).unwrap();
    assert_eq!(ids(&server).as_array().unwrap().len(), 8);
    let resumed = hub.requests().into_iter().find(|r| r.to_storage && r.path.ends_with("model.safetensors"));
    assert_eq!(resumed.unwrap().from, Some(10_000));
}

#[test]
fn a_start_that_cannot_find_its_model_ends_with_one_line() {
    let (hub, cache) = (hub(), tempfile::tempdir().unwrap());
    let gated = TestRepo { gated_to: Some("hf_x".to_owned()), ..TestRepo::new("org/gated") };
    hub.add(gated.with_folder(&fixture()).unwrap());
    let endpoint = hub.endpoint();
    for (endpoint, model, args, code, expected) in [
        (
            endpoint.as_str(),
            "org/nothing",
            &[][..],
            2,
            "org/nothing: no such folder here, and no such repository",
        ),
        (&endpoint, "org/tiny", &["--revision", "v9"][..], 2, "no branch, tag or commit `v9`"),
        (&endpoint, "org/gated", &[], 1, "org/gated: this repository is gated"),
        (&endpoint, "org/tiny:Q4_0", &[], 2, "expected a .gguf file, found none"),
        ("http://127.0.0.1:9", "org/tiny", &[], 1, "org/tiny: http://127.0.0.1:9 cannot be reached"),
    ] {
        let (line, found) = failure(&options(endpoint, cache.path(), model, args));
        assert!(line.contains(expected), "{line:?} should say {expected:?}");
        assert_eq!(found, code, "{line}");
    }
}

#[test]
fn weights_are_exchanged_for_those_of_the_hub() {
    let (hub, cache) = (hub(), tempfile::tempdir().unwrap());
    let local = ServerOptions { model: Some(fixture()), ..options(&hub.endpoint(), cache.path(), "", &[]) };
    let server = Server::start_with(&local).unwrap();
    let before = ids(&server);
    let update = |model: &str| -> (u16, Value) {
        let response = server.post("/update_weights_from_disk", &json!({"model_path": model})).unwrap();
        (response.status().as_u16(), response.json().unwrap())
    };
    let (status, body) = update("org/nothing");
    let message = "Failed to get weights iterator: org/nothing (repository not found).";
    assert_eq!((status, &body["message"]), (400, &json!(message)));
    let mut bytes = std::fs::read(fixture().join("model.safetensors")).unwrap();
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[start..].iter_mut().skip(3).step_by(28).for_each(|b| *b ^= 0x80);
    let config = std::fs::read(fixture().join("config.json")).unwrap();
    hub.add(TestRepo::new("org/other").with("config.json", config).with("model.safetensors", bytes));
    let (status, body) = update("org/other");
    assert_eq!((status, &body["message"]), (200, &json!("Succeeded to update model weights.")));
    assert_ne!(ids(&server), before);
    assert_eq!(get(&server, "/get_model_info")["model_path"], "org/other");
}
