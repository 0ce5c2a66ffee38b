//! What the log says about failed requests, and how to find their lines by id.

use serde_json::{Value, json};

use crate::common;
use crate::common::TestServer;
use crate::common::engine::Behaviour;
use crate::common::log::Lines;

/// Routes, bodies that they refuse, and the expected log line.
fn refused() -> Vec<(&'static str, Value, &'static str)> {
    let long = "x".repeat(5000);
    let chat = json!([{"role": "user", "content": "hi"}]);
    vec![
        ("/generate", json!({"rid": "r0", "text": 5}), "text.str: Input should be a valid string"),
        (
            "/generate",
            json!({"rid": "r1", "text": "a", "sampling_params": {"top_p": 2}}),
            "top_p must be in (0, 1]",
        ),
        ("/generate", json!({"rid": "r2", "text": long}), "longer than the model's context"),
        ("/generate", json!({"rid": "r3", "text": long, "stream": true}), "longer than the model's context"),
        ("/generate", json!({"rid": "r4", "text": "a", "sampling_params": {"x": 1}}), "unknown field `x`"),
        (
            "/v1/chat/completions",
            json!({"rid": "r5", "messages": [{"role": "x"}]}),
            "messages.0.role: Value error",
        ),
        ("/v1/chat/completions", json!({"rid": "r6", "messages": []}), "essage"),
        ("/v1/chat/completions", json!({"rid": "r7", "messages": chat, "n": 0}), "n must be at least 1"),
        ("/v1/completions", json!({"rid": "r8", "prompt": ""}), "Prompt cannot be empty"),
        (
            "/v1/responses",
            json!({"request_id": "r9", "input": 5}),
            "input.str: Input should be a valid string",
        ),
    ]
}

#[actix_web::test]
async fn a_refused_request_says_why_and_under_which_id() {
    let lines = Lines::start();
    let server = common::start(&[]).await;
    for (path, body, reason) in refused() {
        let rid = body["rid"].as_str().or(body["request_id"].as_str()).unwrap().to_owned();
        let streams = body["stream"] == true;
        let (status, answer) = server.call(path, body).await;
        assert_eq!(status, if streams { 200 } else { 400 }, "{path} {rid}: {answer}");
        let found = lines.with(&format!("rid={rid}")).await;
        let why = found.iter().find(|line| line.contains("Request failed with 400"));
        let why = why.unwrap_or_else(|| panic!("{path} {rid}: {found:?}"));
        assert!(why.contains(reason) && why.contains("WARN"), "{path} {rid}: {why}");
        assert!(!why.contains("xxxx"), "what was sent stays out: {why}");
        let access = found.iter().find(|line| line.contains(&format!("\"POST {path} HTTP/1.1\" {status}")));
        assert!(access.is_some(), "{path} {rid}: {found:?}");
        assert_eq!(found.len(), 2, "{found:?}");
    }
    server.call("/v1/messages", json!({"model": "m", "messages": []})).await;
    let line = &lines.with("POST /v1/messages:").await[0];
    assert!(line.contains("max_tokens: Field required"), "{line}");
    server.call("/load_lora_adapter", json!({})).await;
    lines.with("Request failed with 400: POST /load_lora_adapter:").await;
    server
        .call("/generate", json!({"text": "line\nbreak", "rid": "a\nb", "sampling_params": {"n": 0}}))
        .await;
    assert!(lines.with("rid=a\\nb").await.len() >= 2);
}

#[actix_web::test]
async fn failures_of_the_server_are_errors_with_their_reason_on_every_api() {
    let lines = Lines::start();
    let server = common::start(&[]).await;
    let message = "The device is on fire.";
    server.engine.set(Behaviour::Refuse(message.into(), 500));
    let chat = json!([{"role": "user", "content": "hi"}]);
    for (path, mut body) in [
        ("/generate", json!({"text": "a"})),
        ("/v1/chat/completions", json!({"messages": chat})),
        ("/v1/completions", json!({"prompt": "a"})),
        ("/v1/messages", json!({"model": "m", "max_tokens": 3, "messages": chat})),
        ("/v1/responses", json!({"input": "a"})),
        ("/api/chat", json!({"model": "m", "messages": chat})),
    ] {
        for streams in [false, true] {
            lines.clear();
            body["stream"] = streams.into();
            let _ = server.call(path, body.clone()).await;
            let found = lines.with("Request failed with 500").await;
            assert_eq!(found.len(), 1, "{path} {streams}: {found:?}");
            let fits = found[0].contains("ERROR") && found[0].contains(message) && found[0].contains("rid=");
            assert!(fits, "{path} {streams}: {found:?}");
            let rid = found[0].split("rid=").nth(1).unwrap().split([' ', ',']).next().unwrap().to_owned();
            let same = lines.with(&format!("rid={rid}")).await;
            assert!(same.iter().any(|line| line.contains(&format!("POST {path} "))), "{path}: {same:?}");
        }
    }
}

async fn aborts(server: &TestServer, body: Value) {
    let url = server.url("/generate");
    let call = tokio::spawn(server.client.post(url).json(&body).send());
    server.engine.saw_request().await;
    call.abort();
    server.engine.saw_abort().await;
    server.engine.seen.lock().clear();
}

#[actix_web::test]
async fn aborted_requests_say_who_ended_them() {
    let lines = Lines::start();
    let server = common::start(&[]).await;
    server.engine.set(Behaviour::Queue);
    aborts(&server, json!({"text": "a", "rid": "left"})).await;
    assert!(lines.with("rid=left after").await[0].ends_with("the client has gone"));
    let url = server.url("/generate");
    let waiting = tokio::spawn(server.client.post(url).json(&json!({"text": "a", "rid": "ended"})).send());
    server.engine.saw_request().await;
    server.post("/abort_request", json!({"rid": "ended"})).await;
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    let line = &lines.with("rid=ended after").await[0];
    assert!(line.contains("Request aborted") && line.ends_with("Abort in waiting queue"), "{line}");
}

#[actix_web::test]
async fn a_proxy_on_this_machine_says_who_calls() {
    let lines = Lines::start();
    let server = common::start(&[]).await;
    let call = |forwarded: &'static str| {
        server.client.get(server.url("/v1/models/")).header("x-forwarded-for", forwarded)
    };
    let no_redirect = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    call("9.9.9.9, 203.0.113.7").send().await.unwrap();
    lines.with("INFO:     203.0.113.7:0 - \"GET /v1/models/ HTTP/1.1\"").await;
    let there = no_redirect
        .get(server.url("/model_info/?a=b"))
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(there.headers()["location"], format!("https://{}/model_info?a=b", server.address));
}

#[actix_web::test]
async fn the_request_log_shows_chats_as_its_levels_say_and_json_lines_are_json() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(lines.clone())
        .without_time()
        .with_level(false)
        .with_target(false)
        .with_ansi(false);
    subscriber.init();
    let server = common::start(&[]).await;
    let body = json!({"messages": [{"role": "user", "content": "Hello there"}], "max_tokens": 3, "seed": 5});
    for level in 0..=3 {
        lines.clear();
        let settings =
            json!({"log_requests": true, "log_requests_level": level, "log_requests_format": "json"});
        assert_eq!(server.post("/configure_logging", settings).await.status(), 200);
        server.ok("/v1/chat/completions", body.clone()).await;
        let read = |line: &String| serde_json::from_str::<Value>(line).unwrap();
        let received = read(&lines.with("request.received").await[0]);
        let finished = read(&lines.with("request.finished").await[0]);
        assert_eq!(received["rid"], finished["rid"]);
        assert!(received["timestamp"].as_str().unwrap().starts_with("20"), "{received}");
        for obj in [&received["obj"], &finished["obj"]] {
            let params = &obj["sampling_params"];
            assert_eq!(params.is_null(), level < 1, "{obj}");
            if level >= 1 {
                assert_eq!((&params["max_new_tokens"], &params["sampling_seed"]), (&json!(3), &json!(5)));
            }
            assert_eq!(obj["text"].as_str().is_some_and(|t| t.contains("Hello there")), level >= 2, "{obj}");
            assert_eq!(obj["input_ids"].is_array(), level >= 3, "{obj}");
        }
        let out = &finished["out"];
        assert_eq!(out["completion_tokens"], 3);
        assert_eq!(
            (out["text"].is_string(), out["output_ids"].is_array()),
            (level >= 2, level >= 3),
            "{out}"
        );
    }
}
