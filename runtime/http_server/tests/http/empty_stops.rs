//! An empty stop string has no effect in any dialect.

use serde_json::{Value, json};

use crate::common;

fn with(mut body: Value, more: &Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[actix_web::test]
async fn empty_stop_texts_never_reach_the_engine() {
    let chat = json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5});
    let messages = json!({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
    let ollama = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": false});
    let plain = |stop: Value| json!({"stop": stop});
    let native = |params: Value| json!({"text": "x", "sampling_params": params});
    let options = |stop: Value| json!({"options": {"stop": stop}});
    let completion = json!({"prompt": "x"});
    let response = json!({"input": "x"});
    let prompt = json!({"model": "m", "prompt": "x", "stream": false});
    let mut cases: Vec<(&str, Value, &[&str])> = Vec::new();
    for (stop, left) in [(json!(""), &[][..]), (json!([""]), &[][..]), (json!(["", "END"]), &["END"][..])] {
        cases.push(("/v1/chat/completions", with(chat.clone(), &plain(stop.clone())), left));
        cases.push(("/v1/completions", with(completion.clone(), &plain(stop.clone())), left));
        cases.push(("/v1/responses", with(response.clone(), &plain(stop.clone())), left));
        cases.push(("/generate", native(json!({"stop": stop})), left));
        cases.push(("/api/chat", with(ollama.clone(), &options(stop.clone())), left));
        cases.push(("/api/generate", with(prompt.clone(), &options(stop.clone())), left));
        if stop.is_array() {
            cases.push(("/v1/messages", with(messages.clone(), &json!({"stop_sequences": stop})), left));
        }
    }
    for (path, body, left) in cases {
        let server = common::start(&[]).await;
        server.ok(path, body.clone()).await;
        let params = server.engine.saw_request().await.sampling_params;
        assert_eq!(params.stop_strs.0, left, "{path} {body}");
    }
}

#[actix_web::test]
async fn an_empty_stop_pattern_never_reaches_the_engine() {
    for (path, body) in [
        ("/generate", json!({"text": "x", "sampling_params": {"stop_regex": ""}})),
        ("/v1/completions", json!({"prompt": "x", "stop_regex": [""]})),
        ("/v1/chat/completions", json!({"messages": [{"role": "user", "content": "x"}], "stop_regex": ""})),
    ] {
        let server = common::start(&[]).await;
        server.ok(path, body).await;
        assert!(server.engine.saw_request().await.sampling_params.stop_regex_strs.0.is_empty(), "{path}");
    }
    let preferred = r#"{"stop": ["", "x"], "stop_regex": [""]}"#;
    let server = common::start(&["--preferred-sampling-params", preferred]).await;
    server.ok("/generate", json!({"text": "a"})).await;
    let params = server.engine.saw_request().await.sampling_params;
    assert_eq!((params.stop_strs.0, params.stop_regex_strs.0), (vec!["x".to_owned()], vec![]));
}
