//! Reranking in the reference's form and in Cohere's and Jina's form.

use serde_json::{Value, json};
use sglang_http_server::environment::EnvSettings;
use sglang_tokenizer_manager::requests::embedding::EmbeddingFacts;

use crate::common;
use crate::common::TestServer;

async fn server(env: EnvSettings) -> TestServer {
    let facts = EmbeddingFacts {
        model_path: "MODELS/tiny".into(),
        by_flag: false,
        hidden_size: 8,
        matryoshka_dimensions: Some(vec![]),
        labels: Some(vec!["LABEL_0".to_owned()]),
    };
    common::start_embedding_with(&[], env, facts).await
}

fn body(more: Value) -> Value {
    let mut body = json!({"model": "m", "query": "q", "documents": ["a", "b"]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[actix_web::test]
async fn the_path_chooses_the_form() {
    let server = server(EnvSettings::default()).await;
    let list = server.ok("/v1/rerank", body(json!({"top_n": 2, "return_documents": true}))).await;
    assert_eq!((list[0]["score"].as_f64(), &list[0]["document"]), (Some(256.0), &json!("a")));
    let jina = server.ok("/rerank", body(json!({"top_n": 1}))).await;
    assert_eq!(
        jina["results"],
        json!([{"index": 0, "relevance_score": 1.0, "document": {"text": "a"}}]),
        "a score of 256 is near to 1"
    );
    assert_eq!(
        (&jina["model"], &jina["usage"]["total_tokens"]),
        (&json!("m"), &jina["usage"]["prompt_tokens"])
    );
    let cohere = server.ok("/v2/rerank", body(json!({}))).await;
    assert_eq!(cohere["results"][1], json!({"index": 1, "relevance_score": 1.0}));
    assert_eq!((&cohere["meta"]["api_version"]["version"], cohere["id"].is_string()), (&json!("2"), true));
    let with = server.ok("/v2/rerank", body(json!({"return_documents": true}))).await;
    assert_eq!(with["results"][0]["document"], json!({"text": "a"}));
}

#[actix_web::test]
async fn on_the_references_path_the_body_the_client_or_the_server_chooses() {
    let server_with = server;
    let server = server_with(EnvSettings::default()).await;
    let documents = json!({"documents": [{"text": "a", "id": 1}, {"text": "b", "id": 2}]});
    let jina = server.ok("/v1/rerank", body(documents)).await;
    assert_eq!(jina["results"][0]["document"], json!({"text": "a", "id": 1}));
    let request = server.client.post(server.url("/v1/rerank")).header("X-Fern-SDK-Name", "cohere");
    let cohere: Value = request.json(&body(json!({}))).send().await.unwrap().json().await.unwrap();
    assert_eq!(cohere["results"][0], json!({"index": 0, "relevance_score": 1.0}));
    let always = server_with(EnvSettings { rerank_results: true, ..Default::default() }).await;
    assert!(always.ok("/v1/rerank", body(json!({}))).await["results"].is_array());
}

#[actix_web::test]
async fn documents_are_cut_to_the_wanted_length_and_errors_are_the_same() {
    let server = server(EnvSettings::default()).await;
    let long = json!({"documents": ["abcdef"], "max_tokens_per_doc": 2});
    let cut = server.ok("/v2/rerank", body(long)).await;
    let short = server.ok("/v2/rerank", body(json!({"documents": ["ab"]}))).await;
    assert_eq!(cut["meta"]["tokens"], short["meta"]["tokens"]);
    for path in ["/rerank", "/v1/rerank", "/v2/rerank"] {
        let (status, answer) = server.call(path, body(json!({"query": ""}))).await;
        assert_eq!((status, &answer["message"]), (400, &json!("Query cannot be empty")), "{path}");
        let (status, answer) = server.call(path, body(json!({"documents": [{"title": "x"}]}))).await;
        assert!(status == 400 && answer["message"].as_str().unwrap().contains("has no"), "{path} {answer}");
    }
}
