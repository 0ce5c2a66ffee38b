//! Embedding requests from HTTP to the scheduler and back.

use serde_json::json;
use sglang_proto::messages::{AnyMessage, TokenizedEmbeddingReqInput};
use sglang_tokenizer_manager::requests::embedding::EmbeddingFacts;

use crate::common;
use crate::common::engine::{Behaviour, Engine};

fn facts(labels: Option<&[&str]>) -> EmbeddingFacts {
    EmbeddingFacts {
        model_path: "MODELS/tiny".into(),
        by_flag: false,
        hidden_size: 8,
        matryoshka_dimensions: Some(vec![]),
        labels: labels.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
    }
}

async fn saw(engine: &Engine) -> TokenizedEmbeddingReqInput {
    engine
        .saw(|m| match m {
            AnyMessage::TokenizedEmbeddingReqInput(request) => Some((**request).clone()),
            _ => None,
        })
        .await
}

#[actix_web::test]
async fn an_answer_has_the_references_keys_in_its_order() {
    let server = common::start_embedding(facts(None)).await;
    let text = server.post("/encode", json!({"text": "ab", "dimensions": 1})).await.text().await.unwrap();
    assert!(text.starts_with(r#"{"embedding":[97.0],"meta_info":{"id":""#), "{text}");
    let keys = [
        "\"id\"",
        "\"finish_reason\":{\"type\":\"length\",\"length\":0}",
        "\"prompt_tokens\":2",
        "\"weight_version\":\"default\"",
        "\"num_retractions\":0",
        "\"e2e_latency\"",
        "\"response_sent_to_client_ts\"",
    ];
    let places: Vec<_> =
        keys.iter().map(|key| text.find(key).unwrap_or_else(|| panic!("{key} in {text}"))).collect();
    assert!(places.is_sorted(), "{text}");
    let with_ids =
        json!({"input_ids": [1, 2], "return_prompt_token_ids": true, "return_pooled_hidden_states": true});
    let answer = server.ok("/encode", with_ids).await;
    assert_eq!(
        (&answer["prompt_token_ids"], &answer["pooled_hidden_state"]),
        (&json!([1, 2]), &json!([0.5]))
    );
    let info: serde_json::Value = server.get("/get_model_info").await.json().await.unwrap();
    assert_eq!(info["is_generation"], false);
}

#[actix_web::test]
async fn pairs_carry_their_segments_and_are_ranked_by_their_first_score() {
    let server = common::start_embedding(facts(Some(&["LABEL_0"]))).await;
    let answer = server.ok("/classify", json!({"text": [["a", "b"]]})).await;
    assert_eq!(answer[0]["embedding"], json!([256.0, 97.0, 257.0, 98.0, 0.0, 0.0, 0.0, 0.5]));
    assert_eq!(saw(&server.engine).await.token_type_ids, Some(vec![0, 0, 0, 1]));
    // Every pair begins with the same id, so all scores are equal and the order stays.
    let body = json!({"query": "q", "documents": ["x", "yy", "z"], "top_n": 2});
    let ranking = server.ok("/v1/rerank", body).await;
    let order: Vec<_> = ranking.as_array().unwrap().iter().map(|item| item["index"].clone()).collect();
    assert_eq!(order, [json!(0), json!(1)]);
    assert_eq!((&ranking[1]["document"], &ranking[1]["score"]), (&json!("yy"), &json!(256.0)));
}

#[actix_web::test]
async fn a_restarted_scheduler_gets_the_embedding_request_again() {
    let server = common::start_embedding(facts(None)).await;
    server.engine.set(Behaviour::Queue);
    let call = server.call("/v1/embeddings", json!({"input": "ab", "dimensions": 2, "rid": "again"}));
    let restart = async {
        let first = saw(&server.engine).await;
        server.engine.kill();
        let second = Engine::start(server.dir.path()).await;
        let again = saw(&second).await;
        assert!(again.resubmitted && again.attempt > first.attempt);
        let attempt = first.attempt;
        assert_eq!(TokenizedEmbeddingReqInput { attempt, resubmitted: false, ..again }, first);
        second
    };
    let ((status, answer), _engine) = tokio::join!(call, restart);
    assert_eq!((status, &answer["data"][0]["embedding"]), (200, &json!([97.0, 98.0])));
}

#[actix_web::test]
async fn a_client_that_leaves_aborts_its_embedding_request() {
    let server = common::start_embedding(facts(None)).await;
    server.engine.set(Behaviour::Queue);
    let body = json!({"text": "x", "rid": "gone"});
    let request = server.client.post(server.url("/encode")).json(&body).send();
    assert!(tokio::time::timeout(std::time::Duration::from_millis(300), request).await.is_err());
    assert_eq!(server.engine.saw_abort().await.rid.as_deref(), Some("gone"));
    assert_eq!(server.app.manager.registry.live(), 0);
}

#[actix_web::test]
async fn a_refusal_of_the_scheduler_has_each_routes_shape() {
    let server = common::start_embedding(facts(None)).await;
    let (status, answer) = server.call("/generate", json!({"text": "x"})).await;
    assert_eq!(status, 400);
    assert!(answer["error"]["message"].as_str().unwrap().contains("does not generate text"), "{answer}");
    let (status, answer) = server.call("/v1/embeddings", json!({"input": "x", "dimensions": 9})).await;
    assert_eq!((status, answer["type"].as_str()), (400, Some("BadRequestError")));
    assert!(answer["message"].as_str().unwrap().ends_with("max embedding dimension: 8"), "{answer}");
}

#[actix_web::test]
async fn a_model_that_embeds_is_not_advised_to_take_flags_that_would_not_help() {
    let messages = json!([{"role": "user", "content": "x"}]);
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    for by_flag in [false, true] {
        let server = common::start_embedding(EmbeddingFacts { by_flag, ..facts(None) }).await;
        for (path, body) in [
            ("/generate", json!({"text": "x"})),
            ("/v1/completions", json!({"model": "m", "prompt": "x"})),
            ("/v1/chat/completions", json!({"model": "m", "messages": messages})),
            ("/v1/chat/completions", json!({"model": "m", "messages": messages, "tools": tools})),
            ("/v1/responses", json!({"model": "m", "input": "x"})),
            ("/v1/messages", json!({"model": "m", "max_tokens": 5, "messages": messages})),
            ("/api/chat", json!({"model": "m", "messages": messages, "tools": tools})),
            ("/api/generate", json!({"model": "m", "prompt": "x", "suffix": "y"})),
        ] {
            let (status, answer) = server.call(path, body).await;
            let answer = answer.to_string();
            assert_eq!(status, 400, "{path}: {answer}");
            assert!(answer.contains("does not generate text"), "{path}: {answer}");
            let without_flag = answer.replace("launch the server without `--is-embedding`", "");
            assert!(!without_flag.contains("--"), "{path}: {answer}");
            assert_eq!(without_flag != answer, by_flag, "{path}: {answer}");
        }
    }
}
