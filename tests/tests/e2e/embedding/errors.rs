//! Requests of the wrong kind and other mistakes are answered in the route's own shape, and no process dies.

use serde_json::{Value, json};
use sglang_e2e::Server;

use super::harness::{call, serve};

fn assert_bad(server: &Server, path: &str, body: &Value, part: &str) {
    let (status, answer) = call(server, path, body);
    assert_eq!(status, 400, "{path} {body}: {answer}");
    let message = match path {
        "/encode" | "/generate" | "/classify" => &answer["error"]["message"],
        _ => &answer["message"],
    };
    assert!(message.as_str().unwrap_or_default().contains(part), "{path} {body}: {answer}");
}

#[test]
fn a_server_that_embeds_refuses_to_generate_and_lives_on() {
    let server = Server::start(&["--is-embedding"]).unwrap();
    let ask = [json!({"role": "user", "content": "Name one colour."})];
    let before = server.post_json("/encode", &json!({"text": "still there"})).unwrap();
    for (path, body) in [
        ("/generate", json!({"text": "x"})),
        ("/v1/completions", json!({"prompt": "x"})),
        ("/v1/chat/completions", json!({"messages": ask})),
    ] {
        assert_bad(&server, path, &body, "does not generate text");
    }
    let messages = json!({"model": "m", "max_tokens": 4, "messages": ask});
    assert_eq!(call(&server, "/v1/messages", &messages).0, 400);
    let stream = server.post_text("/generate", &json!({"text": "x", "stream": true})).unwrap();
    assert!(stream.contains("does not generate text") && stream.contains("[DONE]"), "{stream}");
    let after = server.post_json("/encode", &json!({"text": "still there"})).unwrap();
    assert_eq!(before["embedding"], after["embedding"]);
    assert!(server.get("/health").unwrap().status().is_success());
}

#[test]
fn mistakes_are_named_in_the_references_words() {
    let server = Server::start(&["--is-embedding"]).unwrap();
    for (path, body, part) in [
        ("/encode", json!({"model": "m"}), "At least one of text, input_ids, image, video, or audio"),
        ("/encode", json!({"text": "x", "input_ids": [1, 2]}), "cannot be provided at the same time"),
        ("/encode", json!({"input_ids": [99_999_999]}), "out-of-vocabulary token id 99999999"),
        ("/encode", json!({"input_ids": vec![5; 9000]}), "The input (9000 tokens) is longer than"),
        ("/encode", json!({"text": ""}), "input_ids cannot be empty."),
        ("/encode", json!({"text": "x", "dimensions": 8}), "does not support matryoshka"),
        ("/v1/embeddings", json!({"input": "x", "dimensions": -1}), "does not support matryoshka"),
        ("/v1/embeddings", json!({"input": ""}), "Input cannot be empty"),
        (
            "/v1/embeddings",
            json!({"input": ["a", " "]}),
            "Input at index 1 cannot be empty or whitespace only",
        ),
        ("/v1/embeddings", json!({"input": [1, -1]}), "Token ID at index 1 must be non-negative"),
        ("/v1/embeddings", json!({"input": "x", "encoding_format": "hex"}), "got 'hex'"),
        ("/v1/embeddings", json!({"model": "m"}), "Field required"),
        ("/v1/embeddings", json!({"input": "x", "model": "m:a"}), "LoRA adapter 'a' was requested"),
        ("/v1/rerank", json!({"query": "q", "documents": ["d"]}), "gives vectors and no scores"),
    ] {
        assert_bad(&server, path, &body, part);
    }
    let (status, batch) = call(&server, "/encode", &json!({"text": ["x", "y"], "rid": "r"}));
    assert_eq!(status, 200, "{batch}");
    assert_eq!(batch[1]["meta_info"]["id"], "r_1");
    assert_eq!(call(&server, "/encode", &json!({"text": []})), (200, json!([])));
}

#[test]
fn a_model_that_only_classifies_needs_no_flag_and_refuses_text() {
    let server = serve("embedding-bert");
    let (status, answer) = call(&server, "/generate", &json!({"text": "x"}));
    assert_eq!((status, answer["error"]["message"].as_str().is_some()), (400, true));
    let info: Value = server.get("/get_model_info").unwrap().json().unwrap();
    assert_eq!(info["is_generation"], false);
}
