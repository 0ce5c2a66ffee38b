//! The main task: a real model behind the native and OpenAI APIs.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sglang_e2e::{Server, sse_events};

fn generate(server: &Server, text: &str, params: Value) -> Value {
    server.post_json("/generate", &json!({"text": text, "sampling_params": params})).unwrap()
}

#[test]
fn a_chat_answer_is_right_and_streams_as_the_same_text() {
    let server = Server::start(&[]).unwrap();
    let mut body = json!({
        "model": "default",
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "temperature": 0, "max_tokens": 32,
    });
    let whole = server.post_json("/v1/chat/completions", &body).unwrap();
    let choice = &whole["choices"][0];
    let text = choice["message"]["content"].as_str().unwrap();
    assert!(text.contains("Paris"), "{text}");
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(whole["object"], "chat.completion");
    let usage = &whole["usage"];
    assert_eq!(
        usage["total_tokens"].as_u64().unwrap(),
        usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap()
    );

    body["stream"] = true.into();
    body["stream_options"] = json!({"include_usage": true});
    let stream = server.post_text("/v1/chat/completions", &body).unwrap();
    let events = sse_events(&stream);
    assert_eq!(events.last(), Some(&"[DONE]"));
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|e| serde_json::from_str(e).unwrap()).collect();
    let streamed: String = chunks
        .iter()
        .filter_map(|c| c["choices"].get(0)?["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(streamed, text);
    let finishes =
        chunks.iter().filter(|c| c["choices"].get(0).is_some_and(|c| !c["finish_reason"].is_null())).count();
    assert_eq!(finishes, 1);
    let last_usage = &chunks.last().unwrap()["usage"];
    assert_eq!(last_usage["completion_tokens"], usage["completion_tokens"]);
}

#[test]
fn native_streams_are_cumulative_and_end_with_the_non_streamed_answer() {
    let server = Server::start(&[]).unwrap();
    let body = json!({"text": "The capital of France is", "sampling_params": {"temperature": 0, "max_new_tokens": 12}});
    let whole = server.post_json("/generate", &body).unwrap();
    let mut streaming = body.clone();
    streaming["stream"] = true.into();
    let stream = server.post_text("/generate", &streaming).unwrap();
    let events = sse_events(&stream);
    assert_eq!(events.last(), Some(&"[DONE]"));
    let mut before = String::new();
    for event in &events[..events.len() - 1] {
        let chunk: Value = serde_json::from_str(event).unwrap();
        let text = chunk["text"].as_str().unwrap().to_owned();
        assert!(text.starts_with(&before), "{before:?} then {text:?}");
        before = text;
    }
    let last: Value = serde_json::from_str(events[events.len() - 2]).unwrap();
    assert_eq!(last["text"], whole["text"]);
    assert_eq!(last["output_ids"], whole["output_ids"]);
    assert_eq!(last["meta_info"]["finish_reason"], json!({"type": "length", "length": 12}));
    assert_eq!(whole["meta_info"]["completion_tokens"], 12);
}

#[test]
fn greedy_tokens_equal_those_of_transformers() {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime/model/tests/fixtures/smollm2.json");
    let fixture: Value = serde_json::from_str(&std::fs::read_to_string(fixture).unwrap()).unwrap();
    let server = Server::start(&[]).unwrap();
    let cases = fixture["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let expected = case["greedy"].as_array().unwrap();
        let body = json!({
            "input_ids": case["input_ids"],
            "sampling_params": {"temperature": 0, "max_new_tokens": expected.len(), "ignore_eos": true},
        });
        let answer = server.post_json("/generate", &body).unwrap();
        assert_eq!(answer["output_ids"], case["greedy"], "prompt {}", case["input_ids"]);
    }
}

#[test]
fn a_batch_gives_what_its_members_give_alone() {
    let server = Server::start(&[]).unwrap();
    let texts =
        ["Once upon a time", "The largest planet is", "def fibonacci(n):", "Water boils at", "é 😀 naïve"];
    let params = json!({"temperature": 0, "max_new_tokens": 24});
    let alone: Vec<Value> =
        texts.iter().map(|t| generate(&server, t, params.clone())["output_ids"].clone()).collect();
    let batch = server.post_json("/generate", &json!({"text": texts, "sampling_params": params})).unwrap();
    let together: Vec<Value> =
        batch.as_array().unwrap().iter().map(|item| item["output_ids"].clone()).collect();
    assert_eq!(together, alone);
}

#[test]
fn forty_mixed_requests_at_once_all_get_their_own_answer() {
    let server = Server::start(&["--max-total-tokens", "2000", "--chunked-prefill-size", "64"]).unwrap();
    let prompt = |i: usize| format!("{} Count from {i}: {i},", "word ".repeat(i * 5 % 120));
    let params = |i: usize| json!({"temperature": 0, "max_new_tokens": 4 + i % 20});
    let alone: BTreeMap<usize, Value> = (0..40)
        .step_by(8)
        .map(|i| (i, generate(&server, &prompt(i), params(i))["output_ids"].clone()))
        .collect();
    std::thread::scope(|scope| {
        for i in 0..40 {
            let (server, alone) = (&server, &alone);
            scope.spawn(move || {
                let answer = generate(server, &prompt(i), params(i));
                let n = answer["meta_info"]["completion_tokens"].as_u64().unwrap() as usize;
                assert!(n >= 1 && n <= 4 + i % 20, "request {i} made {n} tokens");
                if let Some(expected) = alone.get(&i) {
                    assert_eq!(&answer["output_ids"], expected, "request {i}");
                }
            });
        }
    });
}

#[test]
fn stop_strings_never_leak_and_seeds_repeat() {
    let server = Server::start(&[]).unwrap();
    let text = "Count: 1, 2, 3, 4,";
    let free = generate(&server, text, json!({"temperature": 0, "max_new_tokens": 30}));
    let free_text = free["text"].as_str().unwrap();
    assert!(free_text.contains("7"), "{free_text}");
    let stopped = server
        .post_text(
            "/generate",
            &json!({"text": text, "stream": true,
                    "sampling_params": {"temperature": 0, "max_new_tokens": 30, "stop": [" 7, 8", "zzz"]}}),
        )
        .unwrap();
    let expected = free_text.split(" 7, 8").next().unwrap();
    for event in sse_events(&stopped).iter().filter(|e| **e != "[DONE]") {
        let chunk: Value = serde_json::from_str(event).unwrap();
        let text = chunk["text"].as_str().unwrap();
        assert!(expected.starts_with(text), "{text:?} goes beyond {expected:?}");
    }
    let params = json!({"temperature": 1.2, "top_p": 0.95, "max_new_tokens": 16, "sampling_seed": 42});
    let one = generate(&server, "Tell me a story:", params.clone());
    let two = generate(&server, "Tell me a story:", params);
    assert_eq!(one["output_ids"], two["output_ids"]);
    let other = generate(
        &server,
        "Tell me a story:",
        json!({"temperature": 1.2, "top_p": 0.95, "max_new_tokens": 16, "sampling_seed": 43}),
    );
    assert_ne!(one["output_ids"], other["output_ids"]);
}

#[test]
fn bad_input_is_answered_and_the_server_goes_on() {
    let server = Server::start(&[]).unwrap();
    let cases = [
        ("/generate", json!({}), "text, input_ids or input_embeds"),
        ("/generate", json!({"text": "x", "sampling_params": {"temperature": -1}}), "temperature"),
        ("/generate", json!({"text": "x", "sampling_params": {"foo": 1}}), "foo"),
        ("/generate", json!({"input_ids": [49152]}), "49152"),
        ("/generate", json!({"input_ids": []}), "input_ids"),
        ("/v1/chat/completions", json!({"messages": []}), "Messages cannot be empty"),
        ("/v1/chat/completions", json!([1, 2]), ""),
        ("/v1/completions", json!({"prompt": ""}), "Prompt cannot be empty"),
    ];
    for (path, body, says) in cases {
        let response = server.post(path, &body).unwrap();
        assert_eq!(response.status(), 400, "{path} {body}");
        let text = response.text().unwrap();
        assert!(text.contains(says), "{path} {body}: {text}");
    }
    assert_eq!(server.get("/nowhere").unwrap().text().unwrap(), r#"{"detail":"Not Found"}"#);
    assert_eq!(generate(&server, "x", json!({"max_new_tokens": 1}))["meta_info"]["completion_tokens"], 1);
}

#[test]
fn tokenize_and_detokenize_are_each_others_inverse() {
    let server = Server::start(&[]).unwrap();
    for text in
        ["SGLang provides efficient tokenization endpoints.", "naïve 😀 \n\t 12345", "<|im_start|>user"]
    {
        let tokens =
            server.post_json("/tokenize", &json!({"prompt": text, "add_special_tokens": false})).unwrap();
        assert_eq!(tokens["count"].as_u64().unwrap() as usize, tokens["tokens"].as_array().unwrap().len());
        let back = server
            .post_json("/detokenize", &json!({"tokens": tokens["tokens"], "skip_special_tokens": false}))
            .unwrap();
        assert_eq!(back["text"], text);
    }
}

#[test]
fn a_client_that_goes_away_frees_its_place_at_once() {
    let server = Server::start(&["--max-running-requests", "1"]).unwrap();
    let long = json!({"text": "Once", "stream": true, "sampling_params": {"max_new_tokens": 4000, "ignore_eos": true}});
    let mut response = server.post("/generate", &long).unwrap();
    let mut first = [0u8; 16];
    response.read_exact(&mut first).unwrap();
    drop(response);
    let started = Instant::now();
    generate(&server, "Hi", json!({"max_new_tokens": 1}));
    assert!(started.elapsed() < Duration::from_secs(5), "waited {:?}", started.elapsed());
}

#[test]
fn model_information_has_the_documented_keys() {
    let server = Server::start(&[]).unwrap();
    let info: Value = server.get("/get_model_info").unwrap().json().unwrap();
    let mut keys: Vec<&str> = info.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "architectures",
            "has_audio_understanding",
            "has_image_understanding",
            "is_generation",
            "model_path",
            "model_type",
            "preferred_sampling_params",
            "tokenizer_path",
            "weight_version"
        ]
    );
    assert_eq!(info["architectures"], json!(["LlamaForCausalLM"]));
    let models: Value = server.get("/v1/models").unwrap().json().unwrap();
    assert_eq!(models["data"][0]["object"], "model");
    let server_info: Value = server.get("/get_server_info").unwrap().json().unwrap();
    assert!(server_info["max_total_num_tokens"].as_u64().unwrap() > 0);
    assert!(server_info["internal_states"].is_array());
}
