//! `/encode`, `/v1/embeddings`, `/classify` and `/v1/classify`.

use std::process::Command;

use serde_json::{Value, json};
use sglang_e2e::Server;

use super::harness::{cosine, error, expected, fixtures, floats, minilm, serve, serve_path, texts};

fn vector(server: &Server, body: &Value) -> Vec<f64> {
    floats(&server.post_json("/encode", body).unwrap()["embedding"])
}

#[test]
fn minilm_gives_the_vectors_of_sentence_transformers() {
    let server = serve_path(minilm(), &[]);
    let sentences = texts(&expected()["sentences"]);
    let bytes = std::fs::read(fixtures().join("minilm.bin")).unwrap();
    let published: Vec<f64> =
        bytes.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect();
    assert_eq!((sentences.len(), published.len()), (50, 50 * 384));
    let answer = server.post_json("/v1/embeddings", &json!({"input": sentences})).unwrap();
    for (i, expected) in published.chunks_exact(384).enumerate() {
        assert_eq!(answer["data"][i]["index"], i);
        let together = floats(&answer["data"][i]["embedding"]);
        assert!(cosine(&together, expected) >= 0.99999, "{}", sentences[i]);
        assert!(error(&together, expected) < 1e-3, "{}", sentences[i]);
        if i % 10 == 0 {
            let alone = vector(&server, &json!({"text": sentences[i]}));
            assert!(error(&alone, &together) < 1e-4, "{} alone", sentences[i]);
        }
    }
    let info: Value = server.get("/get_model_info").unwrap().json().unwrap();
    assert_eq!(info["is_generation"], false);
    assert_eq!(info["architectures"], json!(["BertModel"]));
    // As many tokens as the model has positions, and one more.
    let full = server.post_json("/encode", &json!({"input_ids": vec![5; 512]})).unwrap();
    assert_eq!(full["meta_info"]["prompt_tokens"], 512);
    let over = server.post("/encode", &json!({"input_ids": vec![5; 513]})).unwrap();
    assert_eq!(over.status(), 400);
    let text = over.text().unwrap();
    assert!(text.contains("The input (513 tokens) is longer than the model's context length (512 tokens)."));
}

#[test]
fn a_generating_model_embeds_with_its_last_token_when_it_is_told_to() {
    let server = Server::start(&["--is-embedding"]).unwrap();
    let cases = expected()["smollm2"].as_array().unwrap().clone();
    for case in &cases {
        let answer = server.post_json("/encode", &json!({"model": "m", "text": case["text"]})).unwrap();
        let (vector, published) = (floats(&answer["embedding"]), floats(&case["vector"]));
        assert!(error(&vector, &published) < 1e-3, "{}", error(&vector, &published));
        let meta = &answer["meta_info"];
        assert_eq!(meta["prompt_tokens"], case["tokens"]);
        assert_eq!(meta["finish_reason"], json!({"type": "length", "length": 0}));
        assert!(meta.get("completion_tokens").is_none() && meta["e2e_latency"].as_f64().unwrap() > 0.0);
        // Again: now the beginning of the prompt is in the cache.
        let again = self::vector(&server, &json!({"text": case["text"]}));
        assert!(error(&again, &vector) < 1e-4);
    }
    let all: Vec<&Value> = cases.iter().map(|case| &case["text"]).collect();
    let answer = server.post_json("/encode", &json!({"text": all})).unwrap();
    for (one, case) in answer.as_array().unwrap().iter().zip(&cases) {
        assert!(error(&floats(&one["embedding"]), &floats(&case["vector"])) < 1e-3);
    }
    let list = server.post_json("/encode", &json!({"text": ["The quick brown fox"]})).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 1);
    let ids = server
        .post_json("/v1/tokenize", &json!({"prompt": "The quick brown fox", "add_special_tokens": true}))
        .unwrap();
    let by_ids = server.post_json("/v1/embeddings", &json!({"input": ids["tokens"]})).unwrap();
    let by_lists = server.post_json("/v1/embeddings", &json!({"input": [ids["tokens"]]})).unwrap();
    for answer in [&by_ids, &by_lists] {
        let vector = floats(&answer["data"][0]["embedding"]);
        assert!(error(&vector, &floats(&cases[0]["vector"])) < 1e-3);
        assert_eq!(answer["usage"]["prompt_tokens"], 4);
        assert_eq!((&answer["object"], &answer["data"][0]["object"]), (&json!("list"), &json!("embedding")));
    }
    assert!(by_ids["model"].as_str().unwrap().ends_with(".gguf"), "{}", by_ids["model"]);
    openai_client(&server);
}

fn openai_client(server: &Server) {
    let python = std::env::var("SGLANG_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/openai_embeddings.py");
    let output = Command::new(python).arg(script).arg(server.url("")).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("ok"), "{text}\n{}", server.log_text());
}

#[test]
fn matryoshka_vectors_are_cut_and_scaled_where_the_configuration_allows_it() {
    let server =
        serve_path(minilm(), &["--json-model-override-args", r#"{"matryoshka_dimensions": [64, 128]}"#]);
    let whole = vector(&server, &json!({"text": "A small dog"}));
    let cut = server.post_json("/v1/embeddings", &json!({"input": "A small dog", "dimensions": 64})).unwrap();
    let cut = floats(&cut["data"][0]["embedding"]);
    let length = whole[..64].iter().map(|x| x * x).sum::<f64>().sqrt();
    let scaled: Vec<f64> = whole[..64].iter().map(|x| x / length).collect();
    assert!(error(&cut, &scaled) < 1e-4);
    let wrong = server.post("/v1/embeddings", &json!({"input": "x", "dimensions": 65})).unwrap();
    assert_eq!(wrong.status(), 400);
    assert!(wrong.text().unwrap().contains("only supports [64, 128] matryoshka dimensions"));
}

#[test]
fn a_classifier_gives_scores_and_named_classes() {
    let server = serve("embedding-llama");
    let cases = expected()["llama"].as_array().unwrap().clone();
    let all: Vec<&Value> = cases.iter().map(|case| &case["text"]).collect();
    let scores = server.post_json("/classify", &json!({"model": "m", "text": all})).unwrap();
    let classes = server.post_json("/v1/classify", &json!({"input": all})).unwrap();
    let names = ["calm", "glad", "cross"];
    for (i, case) in cases.iter().enumerate() {
        let published = floats(&case["scores"]);
        assert!(error(&floats(&scores[i]["embedding"]), &published) < 1e-3);
        let class = &classes["data"][i];
        let best = (0..3).max_by(|a, b| published[*a].total_cmp(&published[*b])).unwrap();
        assert_eq!((class["label"].as_str(), &class["num_classes"]), (Some(names[best]), &json!(3)));
        let weights: Vec<f64> = published.iter().map(|x| x.exp()).collect();
        let shares: Vec<f64> = weights.iter().map(|w| w / weights.iter().sum::<f64>()).collect();
        assert!(error(&floats(&class["probs"]), &shares) < 1e-3);
    }
    assert!(classes["id"].as_str().unwrap().starts_with("classify-"));
    let tokens: u64 = cases.iter().map(|c| c["input_ids"].as_array().unwrap().len() as u64).sum();
    assert_eq!(classes["usage"]["prompt_tokens"], tokens);
    let by_ids = server.post_json("/v1/classify", &json!({"input": cases[0]["input_ids"]})).unwrap();
    assert_eq!(by_ids["data"][0]["label"], classes["data"][0]["label"]);
    // `/v1/score` gives the same numbers; its prompts are query and item joined.
    let body = json!({"query": "", "items": all, "return_pooled_hidden_states": true});
    let scored = server.post_json("/v1/score", &body).unwrap();
    assert!(error(&floats(&scored["scores"][1]), &floats(&cases[1]["scores"])) < 1e-3);
    assert_eq!(scored["pooled_hidden_states"][1].as_array().unwrap().len(), 36);
    let shares = server.post_json("/v1/score", &json!({"query": "", "items": all, "apply_softmax": true}));
    let sum: f64 = floats(&shares.unwrap()["scores"][0]).iter().sum();
    assert!((sum - 1.0).abs() < 1e-9);
}
