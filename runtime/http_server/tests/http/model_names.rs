//! `model` means the same on every route.

use serde_json::{Value, json};
use sglang_http_server::environment::EnvSettings;
use sglang_proto::messages::AnyMessage;
use sglang_tokenizer_manager::requests::embedding::EmbeddingFacts;

use crate::common;
use crate::common::TestServer;

/// Every route that generates and has a `model`, with a body for it.
fn generating() -> Vec<(&'static str, Value)> {
    let messages = json!([{"role": "user", "content": "x"}]);
    vec![
        ("/v1/chat/completions", json!({"messages": messages, "max_tokens": 1})),
        ("/invocations", json!({"messages": messages, "max_tokens": 1})),
        ("/v1/completions", json!({"prompt": "x", "max_tokens": 1})),
        ("/v1/messages", json!({"messages": messages, "max_tokens": 1})),
        ("/v1/responses", json!({"input": "x", "max_output_tokens": 4})),
        ("/v1/score", json!({"query": "q", "items": ["a"], "label_token_ids": [1]})),
        ("/api/chat", json!({"messages": messages, "stream": false, "options": {"num_predict": 1}})),
        ("/api/generate", json!({"prompt": "x", "stream": false, "options": {"num_predict": 1}})),
    ]
}

fn embedding() -> Vec<(&'static str, Value)> {
    vec![
        ("/v1/embeddings", json!({"input": "a"})),
        ("/v1/classify", json!({"input": "a"})),
        ("/v1/rerank", json!({"query": "q", "documents": ["a"]})),
        ("/rerank", json!({"query": "q", "documents": ["a"]})),
        ("/v2/rerank", json!({"query": "q", "documents": ["a"]})),
        ("/v1/score", json!({"query": "q", "items": ["a"]})),
        ("/api/embed", json!({"input": "a"})),
        ("/api/embeddings", json!({"prompt": "a"})),
    ]
}

/// Status, answer, and the adapter that the engine was asked to use.
async fn ask(
    server: &TestServer,
    path: &str,
    body: &Value,
    model: &str,
) -> (u16, Value, Option<Option<String>>) {
    server.engine.seen.lock().clear();
    let mut body = body.clone();
    body["model"] = model.into();
    let (status, answer) = server.call(path, body).await;
    let seen = server.engine.seen.lock();
    let adapter = seen.iter().find_map(|message| match message {
        AnyMessage::TokenizedGenerateReqInput(r) => Some(r.lora_name.clone()),
        AnyMessage::TokenizedEmbeddingReqInput(r) => Some(r.lora_name.clone()),
        _ => None,
    });
    (status, answer, adapter)
}

async fn check(server: &TestServer, routes: Vec<(&'static str, Value)>) {
    for (path, body) in routes {
        for name in ["sql", "/adapters/chat", "base:sql", "other:sql"] {
            let (status, answer, adapter) = ask(server, path, &body, name).await;
            let expected = name.rsplit(':').next().map(str::to_owned);
            assert_eq!((status, adapter), (200, Some(expected)), "{path} {name}: {answer}");
            if ["sql", "/adapters/chat"].contains(&name) && answer["model"].is_string() {
                assert!(
                    [name, "base", "MODELS/tiny"].contains(&answer["model"].as_str().unwrap()),
                    "{path} {answer}"
                );
            }
        }
        for name in ["base", "default"] {
            let (status, answer, adapter) = ask(server, path, &body, name).await;
            assert_eq!((status, adapter), (200, Some(None)), "{path} {name}: {answer}");
        }
        let (status, answer, adapter) = ask(server, path, &body, "sqll").await;
        assert_eq!((status, adapter), (404, None), "{path}: {answer}");
        let text = answer.to_string();
        assert!(
            text.contains("'sqll' does not exist") && text.contains("base, sql, /adapters/chat"),
            "{path}: {text}"
        );
        let (status, answer, adapter) = ask(server, path, &body, "base:sqll").await;
        assert_eq!((status, adapter), (400, None), "{path}: {answer}");
        assert!(answer.to_string().contains("never been loaded"), "{path}: {answer}");
    }
}

const FLAGS: [&str; 5] =
    ["--served-model-name", "base", "--lora-paths", "sql=/adapters/sql", "/adapters/chat"];

#[actix_web::test]
async fn an_adapter_is_named_as_it_is_listed_on_every_route_that_generates() {
    let server = common::start(&FLAGS).await;
    check(&server, generating()).await;
    let cards: Value = server.get("/v1/models").await.json().await.unwrap();
    for card in cards["data"].as_array().unwrap() {
        let id = card["id"].as_str().unwrap();
        let one: Value =
            server.get(&format!("/v1/models/{}", id.trim_start_matches('/'))).await.json().await.unwrap();
        if !id.starts_with('/') {
            assert_eq!(&one["root"], &card["root"]);
        }
    }
    let encoded: Value = server.get("/v1/models/%2Fadapters%2Fchat").await.json().await.unwrap();
    assert_eq!((&encoded["id"], &encoded["parent"]), (&json!("/adapters/chat"), &json!("base")));
    let tags: Value = server.get("/api/tags").await.json().await.unwrap();
    let mut names: Vec<&str> =
        tags["models"].as_array().unwrap().iter().map(|model| model["name"].as_str().unwrap()).collect();
    // The most recently used adapter comes last.
    names.sort_unstable();
    assert_eq!(names, ["/adapters/chat", "base", "sql"]);
    let count = json!({"model": "sqll", "messages": [{"role": "user", "content": "x"}]});
    assert_eq!(server.call("/v1/messages/count_tokens", count).await.0, 404);
    let latest = json!({"model": "sql:latest", "prompt": "x", "stream": false});
    assert_eq!(server.ok("/api/generate", latest).await["model"], "sql");
}

#[actix_web::test]
async fn an_adapter_is_named_as_it_is_listed_on_every_route_that_embeds() {
    let facts = EmbeddingFacts {
        model_path: "MODELS/tiny".into(),
        by_flag: false,
        hidden_size: 8,
        matryoshka_dimensions: Some(vec![]),
        labels: Some(vec!["LABEL_0".to_owned()]),
    };
    let server = common::start_embedding_with(&FLAGS, EnvSettings::default(), facts).await;
    check(&server, embedding()).await;
}

#[actix_web::test]
async fn without_adapters_every_name_means_the_model() {
    let server = common::start(&[]).await;
    for (path, body) in generating() {
        for name in ["default", "MODELS/tiny", "gpt-4o"] {
            let (status, answer, adapter) = ask(&server, path, &body, name).await;
            assert_eq!((status, adapter), (200, Some(None)), "{path} {name}: {answer}");
        }
    }
}
