//! Clients that disconnect, a scheduler that restarts, keys, probes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sglang_proto::messages::AnyMessage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common;
use crate::common::TestServer;
use crate::common::engine::{Behaviour, Engine};

/// Sends a request and leaves the connection open.
async fn send_raw(server: &TestServer, path: &str, body: &Value) -> TcpStream {
    let body = body.to_string();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    stream
}

async fn aborted_soon(server: &TestServer, rid: &str) {
    let start = Instant::now();
    assert_eq!(server.engine.saw_abort().await.rid.as_deref(), Some(rid));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(server.app.manager.registry.live(), 0);
}

#[actix_web::test]
async fn a_client_that_leaves_during_prefill_aborts_its_request() {
    for (path, body) in [
        ("/generate", json!({"text": "x", "rid": "gone"})),
        ("/generate", json!({"text": "x", "rid": "gone", "stream": true})),
        ("/v1/chat/completions", json!({"messages": [{"role": "user", "content": "x"}], "rid": "gone"})),
        (
            "/v1/chat/completions",
            json!({"messages": [{"role": "user", "content": "x"}], "rid": "gone", "stream": true}),
        ),
        ("/v1/completions", json!({"prompt": "x", "rid": "gone", "stream": true})),
    ] {
        let server = common::start(&[]).await;
        server.engine.set(Behaviour::Queue);
        let stream = send_raw(&server, path, &body).await;
        server.engine.saw_request().await;
        drop(stream);
        aborted_soon(&server, "gone").await;
    }
}

#[actix_web::test]
async fn a_client_that_leaves_in_the_middle_of_a_stream_aborts_its_request() {
    let server = common::start(&[]).await;
    server.engine.set(Behaviour::OneToken);
    let mut stream =
        send_raw(&server, "/generate", &json!({"text": "x", "rid": "gone", "stream": true})).await;
    let mut start = [0; 64];
    stream.read_exact(&mut start).await.unwrap();
    drop(stream);
    aborted_soon(&server, "gone").await;
}

#[actix_web::test]
async fn a_client_that_closes_only_its_sending_side_has_left_too() {
    let server = common::start(&[]).await;
    server.engine.set(Behaviour::Queue);
    let mut stream = send_raw(&server, "/generate", &json!({"text": "x", "rid": "gone"})).await;
    server.engine.saw_request().await;
    stream.shutdown().await.unwrap();
    aborted_soon(&server, "gone").await;
}

#[actix_web::test]
async fn requests_go_on_after_a_restart_of_the_scheduler() {
    let server = common::start(&[]).await;
    server.engine.set(Behaviour::OneToken);
    let request = server
        .client
        .post(server.url("/generate"))
        .json(&json!({"text": "abc", "rid": "r", "stream": true, "sampling_params": {"max_new_tokens": 5}}));
    let running = tokio::spawn(async move { request.send().await.unwrap().text().await.unwrap() });
    server.engine.saw_request().await;
    server.until_first_token().await;
    server.engine.kill();
    let second = Engine::start(server.dir.path()).await;
    let resumed = second.saw_request().await;
    assert_eq!(resumed.resumed_output_ids.unwrap().0, [97]);
    let text = tokio::time::timeout(Duration::from_secs(5), running).await.unwrap().unwrap();
    let last: Value =
        serde_json::from_str(&common::events(&text).iter().rev().nth(1).unwrap().clone()).unwrap();
    assert_eq!((&last["text"], &last["output_ids"]), (&json!("abcab"), &json!([97, 98, 99, 97, 98])));
}

#[actix_web::test]
async fn a_scheduler_that_comes_up_during_a_pause_is_paused_before_it_gets_requests() {
    let server = common::start(&[]).await;
    server.engine.set(Behaviour::OneToken);
    let request =
        server.client.post(server.url("/generate")).json(&json!({"text": "abc", "rid": "r", "stream": true}));
    let running = tokio::spawn(async move { request.send().await.unwrap().text().await.unwrap() });
    server.until_first_token().await;
    server.ok("/pause_generation", json!({"mode": "retract"})).await;
    server.engine.kill();
    let second = Engine::start(server.dir.path()).await;
    second.saw_request().await;
    let classes: Vec<&str> = second.seen.lock().iter().map(AnyMessage::class).collect();
    let at = |class: &str| classes.iter().position(|seen| *seen == class);
    assert!(at("PauseGenerationReqInput").is_some(), "{classes:?}");
    assert!(at("PauseGenerationReqInput") < at("TokenizedGenerateReqInput"), "{classes:?}");
    running.await.unwrap();
    // An engine that starts after generation continues is not paused.
    server.ok("/continue_generation", json!({})).await;
    second.kill();
    let third = Engine::start(server.dir.path()).await;
    server.ok("/generate", json!({"text": "x", "sampling_params": {"max_new_tokens": 1}})).await;
    let paused = third.seen.lock().iter().any(|m| m.class() == "PauseGenerationReqInput");
    assert!(!paused);
}

#[actix_web::test]
async fn health_follows_the_scheduler() {
    let server = common::start(&[]).await;
    for path in ["/health", "/health_generate", "/ready", "/ping"] {
        let response = server.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.text().await.unwrap(), "");
    }
    *server.engine.responsive.lock() = false;
    assert_eq!(server.get("/health").await.status(), 503);
    assert_eq!(server.get("/ready").await.status(), 503);
    *server.engine.responsive.lock() = true;
    assert_eq!(server.get("/health").await.status(), 200);
    server.app.manager.status.start_draining();
    for path in ["/health", "/ready", "/ping"] {
        assert_eq!(server.get(path).await.status(), 503, "{path}");
    }
    // Requests are still answered until the process ends.
    server.ok("/generate", json!({"text": "x", "sampling_params": {"max_new_tokens": 1}})).await;
}

#[actix_web::test]
async fn keys_open_the_routes_of_their_tier() {
    let server = common::start(&["--api-key", "k", "--admin-api-key", "a"]).await;
    let call = async |method: &str, path: &str, key: Option<&str>| {
        let mut request = server.client.request(method.parse().unwrap(), server.url(path));
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.headers().contains_key("vary"), response.text().await.unwrap())
    };
    let refused = (401, false, r#"{"error":"Unauthorized"}"#.to_owned());
    assert_eq!(call("GET", "/v1/models", None).await, refused);
    assert_eq!(call("GET", "/v1/models", Some("nope")).await, refused);
    assert_eq!(call("GET", "/v1/models", Some("a")).await, refused);
    assert_eq!(call("GET", "/v1/models", Some("k")).await.0, 200);
    assert_eq!(call("GET", "/no/such", None).await, refused);
    assert_eq!(call("GET", "/ping", None).await, refused);
    assert_eq!(call("GET", "/health", None).await.0, 200);
    assert_eq!(call("GET", "/ready", None).await.0, 200);
    assert_eq!(call("POST", "/flush_cache", Some("k")).await, refused);
    assert_eq!(call("POST", "/flush_cache", Some("a")).await.0, 200);
    assert_eq!(call("GET", "/flush_cache", Some("a")).await.0, 200);
}

#[actix_web::test]
async fn routes_stand_below_the_root_path_too_with_the_same_keys() {
    let server =
        common::start(&["--fastapi-root-path", "/llm/", "--api-key", "k", "--admin-api-key", "a"]).await;
    let status = async |path: &str, key: &str| {
        server.client.post(server.url(path)).bearer_auth(key).send().await.unwrap().status().as_u16()
    };
    for root in ["", "/llm"] {
        assert_eq!(status(&format!("{root}/flush_cache"), "a").await, 200, "{root}");
        assert_eq!(status(&format!("{root}/flush_cache"), "k").await, 401, "{root}");
        assert_eq!(status(&format!("{root}/v1/models"), "k").await, 405, "{root}");
        assert_eq!(server.get(&format!("{root}/health")).await.status(), 200, "{root}");
        assert_eq!(status(&format!("{root}/nowhere"), "k").await, 404, "{root}");
    }
}

#[actix_web::test]
async fn a_busy_cache_is_not_flushed() {
    let server = common::start(&[]).await;
    server.engine.set(Behaviour::Queue);
    let _stream = send_raw(&server, "/generate", &json!({"text": "x"})).await;
    server.engine.saw_request().await;
    assert_eq!(server.call("/flush_cache", json!({})).await, (400, json!("Flush cache failed.\n")));
}

#[actix_web::test]
async fn samples_are_warmed_up_once_per_prompt_and_get_seeds_of_their_own() {
    let server = common::start(&[]).await;
    let body = json!({"text": "ab", "sampling_params": {"n": 3, "max_new_tokens": 1, "sampling_seed": 7}});
    server.ok("/generate", body).await;
    let seen = server.engine.seen.lock();
    let sent: Vec<(Option<i64>, Option<i64>)> = seen
        .iter()
        .filter_map(|m| match m {
            AnyMessage::TokenizedGenerateReqInput(r) => {
                Some((r.sampling_params.max_new_tokens, r.sampling_params.sampling_seed))
            }
            _ => None,
        })
        .collect();
    assert_eq!(sent, [(Some(0), Some(7)), (Some(1), Some(7)), (Some(1), Some(8)), (Some(1), Some(9))]);
}
