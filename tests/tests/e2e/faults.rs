//! A model that stalls, dies or returns nonsense: what the client and the supervisor see.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sglang_e2e::{Server, ServerOptions, process_tree};

/// Without the warm-up the first request is the test's own.
fn options(fault: Option<&str>) -> ServerOptions {
    let mut env = vec![("SGLANG_SCHEDULER_BIN".into(), env!("CARGO_BIN_EXE_sglang-echo-scheduler").into())];
    env.extend(fault.map(|fault| ("SGLANG_FAULT".into(), fault.into())));
    ServerOptions { args: vec!["--skip-server-warmup".into()], env, ..Default::default() }
}

/// A server whose processes have all said hello: before that a request is sent again, and a failed step is forgiven.
fn settled(fault: &str) -> Server {
    let server = Server::start_with(&options(Some(fault))).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.get("/ready").unwrap().status() != 200 {
        assert!(Instant::now() < deadline, "not ready: {}", server.log_text());
        std::thread::sleep(Duration::from_millis(5));
    }
    server
}

fn ask(server: &Server, ids: &[u32], max_new_tokens: usize) -> Value {
    let body = json!({"input_ids": ids, "sampling_params": {"max_new_tokens": max_new_tokens}});
    server.post_json("/generate", &body).unwrap()
}

#[test]
fn an_echo_comes_back_whole_through_all_processes() {
    let server = Server::start_with(&options(None)).unwrap();
    let prompt: Vec<u32> = (1000..1040).collect();
    let answer = ask(&server, &prompt, 100);
    assert_eq!(answer["output_ids"].as_array().unwrap().len(), 41);
    assert_eq!(answer["output_ids"][39], 1039);
    assert_eq!(answer["meta_info"]["finish_reason"], json!({"type": "stop", "matched": 2}));
}

#[test]
fn a_failed_step_is_a_500_and_the_server_goes_on() {
    let server = settled("error:3");
    let body = json!({"input_ids": [5, 6, 7, 8, 9], "sampling_params": {"max_new_tokens": 50}});
    let response = server.post("/generate", &body).unwrap();
    assert_eq!(response.status(), 500);
    assert!(response.text().unwrap().contains("fault injected"));
    assert_eq!(ask(&server, &[5, 6], 1)["output_ids"], json!([5]));
}

#[test]
fn nonsense_from_the_model_ends_one_request_only() {
    let server = settled("garbage:2");
    let body = json!({"input_ids": [5, 6, 7, 8], "sampling_params": {"max_new_tokens": 50}});
    server.post("/generate", &body).unwrap();
    assert_eq!(ask(&server, &[5, 6], 1)["output_ids"], json!([5]));
}

#[test]
fn a_long_step_is_healthy() {
    let server = Server::start_with(&options(Some("stall:1:3000"))).unwrap();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| ask(&server, &[5, 6], 1));
        std::thread::sleep(Duration::from_millis(500));
        let asked = Instant::now();
        assert_eq!(server.get("/health").unwrap().status(), 200);
        assert!(asked.elapsed() < Duration::from_secs(2), "health took {:?}", asked.elapsed());
        assert_eq!(slow.join().unwrap()["output_ids"], json!([5]));
    });
}

#[test]
fn without_restarts_a_model_that_crashes_ends_the_server_with_the_cause() {
    for fault in ["die:2", "panic:2"] {
        let mut options = options(Some(fault));
        options.args.extend(["--restart-policy".into(), "never".into()]);
        let mut server = Server::start_with(&options).unwrap();
        let before = process_tree(server.pid());
        let body = json!({"input_ids": [5, 6, 7, 8], "sampling_params": {"max_new_tokens": 50}});
        // Whether the client gets an error text or a closed connection is a race; it must not hang.
        let _ = server.post("/generate", &body);
        let status = server.wait().unwrap();
        assert_eq!(status.code(), Some(3), "{fault}: {}", server.log_text());
        assert!(server.log_text().contains("scheduler"), "{}", server.log_text());
        assert!(before.iter().all(|p| process_tree(p.pid).is_empty()), "{fault} left processes");
    }
}
