//! `/generate` and the other native routes.

use serde_json::{Value, json};
use sglang_proto::messages::AnyMessage;

use crate::common;
use crate::common::engine::Behaviour;

fn greedy(n: i64) -> Value {
    json!({"temperature": 0, "max_new_tokens": n})
}

#[actix_web::test]
async fn an_answer_has_the_references_keys_in_its_order() {
    let server = common::start(&[]).await;
    let response = server.post("/generate", json!({"text": "abc", "sampling_params": greedy(4)})).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(answer.as_object().unwrap().keys().collect::<Vec<_>>(), ["text", "output_ids", "meta_info"]);
    assert_eq!((&answer["text"], &answer["output_ids"]), (&json!("abca"), &json!([97, 98, 99, 97])));
    let meta = answer["meta_info"].as_object().unwrap();
    assert_eq!(
        meta.keys().collect::<Vec<_>>(),
        [
            "id",
            "finish_reason",
            "prompt_tokens",
            "weight_version",
            "num_retractions",
            "reasoning_tokens",
            "completion_tokens",
            "cached_tokens",
            "weight_versions",
            "cached_tokens_details",
            "dp_rank",
            "e2e_latency",
            "response_sent_to_client_ts"
        ]
    );
    assert_eq!(meta["finish_reason"], json!({"type": "length", "length": 4}));
    assert_eq!(meta["weight_versions"], json!([{"version": "default", "start": 0, "end": 4}]));
    assert_eq!(meta["id"].as_str().unwrap().len(), 32);
}

#[actix_web::test]
async fn put_and_token_ids_and_a_stop_token_work() {
    let server = common::start(&[]).await;
    let body = json!({"input_ids": [104, 105, 257], "rid": "mine", "return_prompt_token_ids": true,
        "sampling_params": greedy(9)});
    let answer: Value = serde_json::from_str(
        &server.client.put(server.url("/generate")).json(&body).send().await.unwrap().text().await.unwrap(),
    )
    .unwrap();
    assert_eq!(answer["text"], "hi");
    assert_eq!(answer["output_ids"], json!([104, 105, 257]));
    assert_eq!(answer["meta_info"]["finish_reason"], json!({"type": "stop", "matched": 257}));
    assert_eq!(answer["meta_info"]["id"], "mine");
    assert_eq!(answer["prompt_token_ids"], json!([104, 105, 257]));
}

#[actix_web::test]
async fn batches_and_samples_are_arrays_prompt_by_prompt() {
    let server = common::start(&[]).await;
    let body = json!({"text": ["ab", "xyz"], "rid": "bb", "sampling_params": greedy(2)});
    let answer = server.ok("/generate", body).await;
    assert_eq!((&answer[0]["text"], &answer[1]["text"]), (&json!("ab"), &json!("xy")));
    assert_eq!(answer[1]["meta_info"]["id"], "bb_1");
    let one = server.ok("/generate", json!({"text": ["ab"], "sampling_params": greedy(1)})).await;
    assert_eq!(one.as_array().unwrap().len(), 1);
    let samples = server
        .ok(
            "/generate",
            json!({"text": ["ab", "xy"], "rid": "r", "sampling_params": {"n": 2, "max_new_tokens": 1}}),
        )
        .await;
    let texts: Vec<&Value> = samples.as_array().unwrap().iter().map(|a| &a["text"]).collect();
    assert_eq!(texts, ["a", "a", "x", "x"]);
    assert!(
        samples.as_array().unwrap().iter().all(|a| !a["meta_info"]["id"].as_str().unwrap().starts_with('r'))
    );
}

#[actix_web::test]
async fn streams_are_cumulative_and_end_with_the_whole_answer() {
    let server = common::start(&[]).await;
    let body = |stream| json!({"text": "grüße", "stream": stream, "sampling_params": greedy(7)});
    let whole = server.ok("/generate", body(false)).await;
    let chunks = server.chunks("/generate", body(true)).await;
    let last = chunks.last().unwrap();
    assert_eq!((&last["text"], &last["output_ids"]), (&whole["text"], &whole["output_ids"]));
    let mut before = "";
    for chunk in &chunks {
        let text = chunk["text"].as_str().unwrap();
        assert!(text.starts_with(before) && !text.contains('\u{fffd}'), "{text:?}");
        assert!(chunk.get("index").is_none());
        before = text;
    }
    assert!(chunks[0]["meta_info"].get("response_sent_to_client_ts").is_some());
    assert!(chunks[..chunks.len() - 1].iter().all(|c| c["meta_info"]["finish_reason"].is_null()));
    assert!(chunks[..chunks.len() - 1].iter().all(|c| c["meta_info"].get("weight_versions").is_none()));
}

#[actix_web::test]
async fn incremental_streams_carry_only_what_is_new() {
    let server = common::start(&["--incremental-streaming-output"]).await;
    let body = json!({"text": "grüße", "stream": true, "return_logprob": true, "sampling_params": greedy(7)});
    let chunks = server.chunks("/generate", body).await;
    let text: String = chunks.iter().map(|c| c["text"].as_str().unwrap()).collect();
    assert_eq!(text, "grüße");
    let ids: usize = chunks.iter().map(|c| c["output_ids"].as_array().unwrap().len()).sum();
    let logprobs: usize =
        chunks.iter().map(|c| c["meta_info"]["output_token_logprobs"].as_array().unwrap().len()).sum();
    assert_eq!((ids, logprobs), (7, 7));
    let last = &chunks.last().unwrap()["meta_info"];
    assert_eq!((&last["output_token_logprobs_length"], &last["completion_tokens"]), (&json!(7), &json!(7)));
}

#[actix_web::test]
async fn a_streamed_batch_numbers_its_chunks() {
    let server = common::start(&[]).await;
    let body = json!({"text": ["ab", "xy"], "stream": true, "sampling_params": greedy(2)});
    let chunks = server.chunks("/generate", body).await;
    for (index, text) in [(0, "ab"), (1, "xy")] {
        let last = chunks.iter().rfind(|c| c["index"] == index).unwrap();
        assert_eq!(last["text"], text);
        assert!(last["meta_info"]["finish_reason"].is_object());
    }
}

#[actix_web::test]
async fn log_probabilities_are_triples_with_text_on_request() {
    let server = common::start(&[]).await;
    let body = json!({"text": "abc", "return_logprob": true, "logprob_start_len": 1, "top_logprobs_num": 2,
        "return_text_in_logprobs": true, "sampling_params": greedy(2)});
    let meta = server.ok("/generate", body).await["meta_info"].take();
    assert_eq!(meta["input_token_logprobs"], json!([[null, 98, "b"], [-1.5, 99, "c"]]));
    assert_eq!(meta["output_token_logprobs"], json!([[-0.5, 97, "a"], [-0.5, 98, "b"]]));
    assert_eq!(meta["input_top_logprobs"], json!([null, [[-0.5, 99, "c"], [-1.5, 100, "d"]]]));
    assert_eq!(meta["output_top_logprobs"][0], json!([[-0.5, 97, "a"], [-1.5, 98, "b"]]));
    assert!(meta.get("input_token_ids_logprobs").is_none());
    let plain = server
        .ok("/generate", json!({"text": "abc", "return_logprob": true, "sampling_params": greedy(1)}))
        .await;
    assert_eq!(plain["meta_info"]["input_token_logprobs"], json!([]));
    assert_eq!(plain["meta_info"]["output_token_logprobs"], json!([[-0.5, 97, null]]));
    assert!(plain["meta_info"].get("output_top_logprobs").is_none());
}

#[actix_web::test]
async fn a_scheduler_refusal_becomes_an_error_or_an_abort_chunk() {
    let server = common::start(&[]).await;
    server.engine.set(Behaviour::Refuse("The request queue is full.".into(), 503));
    let body = |stream| json!({"text": "x", "stream": stream});
    assert_eq!(
        server.call("/generate", body(false)).await,
        (
            503,
            json!({"object": "error", "message": "The request queue is full.", "type": "503", "param": null, "code": 503})
        )
    );
    let chunks = server.chunks("/generate", body(true)).await;
    assert_eq!(
        chunks[0]["meta_info"]["finish_reason"],
        json!({"type": "abort", "status_code": 503, "message": "The request queue is full."})
    );
    assert_eq!(
        chunks[0]["meta_info"].as_object().unwrap().keys().collect::<Vec<_>>(),
        [
            "id",
            "finish_reason",
            "weight_version",
            "e2e_latency",
            "weight_versions",
            "completion_tokens",
            "response_sent_to_client_ts"
        ]
    );
    server.engine.set(Behaviour::Refuse("too long".into(), 400));
    assert_eq!(server.call("/generate", body(false)).await, (400, json!({"error": {"message": "too long"}})));
}

#[actix_web::test]
async fn an_id_in_flight_is_refused_and_an_abort_by_id_ends_only_that_request() {
    let server = common::start(&[]).await;
    server.engine.set(Behaviour::Queue);
    let run = |rid: &'static str| {
        let request = server.client.post(server.url("/generate")).json(&json!({"text": "x", "rid": rid}));
        tokio::spawn(async move { request.send().await.unwrap().text().await.unwrap() })
    };
    let (first, other) = (run("a_1"), run("a_10"));
    while server.app.manager.registry.live() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        server.call("/generate", json!({"text": "x", "rid": "a_1"})).await,
        (400, json!({"error": {"message": "Duplicate request ID detected: a_1"}}))
    );
    assert_eq!(server.post("/abort_request", json!({"rid": "a_1"})).await.status(), 200);
    let answer: Value = serde_json::from_str(&first.await.unwrap()).unwrap();
    assert_eq!(
        answer["meta_info"]["finish_reason"],
        json!({"type": "abort", "message": "Abort in waiting queue"})
    );
    assert!(!other.is_finished());
    server.post("/abort_request", json!({"abort_all": true})).await;
    assert!(other.await.unwrap().contains("Abort in waiting queue"));
    assert_eq!(server.app.manager.registry.live(), 0);
}

#[actix_web::test]
async fn tokenize_and_detokenize_turn_into_each_other() {
    let server = common::start(&[]).await;
    let answer = server.ok("/tokenize", json!({"prompt": "aé"})).await;
    assert_eq!(answer, json!({"tokens": [97, 195, 169], "count": 3, "max_model_len": 4096}));
    let many = server.ok("/v1/tokenize", json!({"prompt": ["a", "bc"]})).await;
    assert_eq!((&many["tokens"], &many["count"]), (&json!([[97], [98, 99]]), &json!([1, 2])));
    assert_eq!(server.ok("/detokenize", json!({"tokens": [97, 195, 169]})).await, json!({"text": "aé"}));
    assert_eq!(server.ok("/v1/detokenize", json!({"tokens": [[97], []]})).await, json!({"text": ["a", ""]}));
    assert_eq!(server.ok("/detokenize", json!({"tokens": []})).await, json!({"text": ""}));
    let special = json!({"tokens": [97, 257], "skip_special_tokens": false});
    assert_eq!(server.ok("/detokenize", special).await, json!({"text": "a</s>"}));
    let (status, error) = server.call("/detokenize", json!({"tokens": [5000]})).await;
    assert_eq!((status, &error["type"]), (400, &json!("DecodeError")));
    // Long texts are tokenized on another thread.
    let long = "word ".repeat(4000);
    assert_eq!(server.ok("/tokenize", json!({"prompt": long})).await["count"], 20_000);
}

#[actix_web::test]
async fn messages_are_tokenized_as_a_chat_completion_would() {
    let server = common::start(&[]).await;
    let messages = json!([{"role": "user", "content": "hi"}]);
    let count = server.ok("/tokenize", json!({"messages": messages})).await["count"].clone();
    let chat = server.ok("/v1/chat/completions", json!({"messages": messages, "max_tokens": 1})).await;
    assert_eq!(chat["usage"]["prompt_tokens"], count);
    let bare = server.ok("/tokenize", json!({"messages": messages, "add_generation_prompt": false})).await;
    assert!(bare["count"].as_u64() < count.as_u64());
}

#[actix_web::test]
async fn model_and_server_say_what_they_are() {
    let server = common::start(&["--api-key", "k", "--served-model-name", "tiny"]).await;
    let get = async |path: &str| -> Value {
        let response = server.client.get(server.url(path)).bearer_auth("k").send().await.unwrap();
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    };
    let nine = get("/get_model_info").await;
    let mut keys: Vec<&String> = nine.as_object().unwrap().keys().collect();
    keys.sort();
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
    assert_eq!(get("/model_info").await["served_model_name"], "tiny");
    let info = get("/get_server_info").await;
    assert_eq!(info["max_total_num_tokens"], 32768);
    assert_eq!(info["internal_states"][0]["loop"]["step"], 3);
    assert_eq!((&info["api_key"], &info["context_length"]), (&json!("***"), &json!(4096)));
    // Values that the scheduler reported are shown although they were not given.
    assert_eq!(info["max_total_tokens"], 32768);
    let state = &info["internal_states"][0];
    assert_eq!(
        (&state["api_key"], &state["effective_max_running_requests_per_dp"]),
        (&json!("***"), &json!(16))
    );
    assert_eq!(
        (&state["tp_size"], &state["world_size"], &state["loop"]["step"]),
        (&json!(1), &json!(1), &json!(3))
    );
    let models = get("/v1/models").await;
    assert_eq!(
        (&models["data"][0]["id"], &models["data"][0]["max_model_len"]),
        (&json!("tiny"), &json!(4096))
    );
    assert_eq!(get("/v1/models/tiny").await["id"], "tiny");
    assert_eq!(get("/v1/loads").await["loads"][0]["max_running_requests"], 16);
}

#[actix_web::test]
async fn preferred_sampling_params_fill_what_requests_leave_out() {
    let server = common::start(&["--preferred-sampling-params", r#"{"max_new_tokens": 2}"#]).await;
    assert_eq!(server.ok("/generate", json!({"text": "abc"})).await["text"], "ab");
    assert_eq!(
        server.ok("/generate", json!({"text": "abc", "sampling_params": greedy(1)})).await["text"],
        "a"
    );
}

#[actix_web::test]
async fn bodies_without_content_type_are_read_on_native_routes_only() {
    let server = common::start(&[]).await;
    let send = async |path: &str, body: &'static str| {
        server
            .client
            .post(server.url(path))
            .header("content-type", "text/plain")
            .body(body)
            .send()
            .await
            .unwrap()
            .status()
    };
    assert_eq!(send("/generate", r#"{"text": "x"}"#).await, 200);
    assert_eq!(send("/v1/completions", r#"{"prompt": "x"}"#).await, 400);
}

#[actix_web::test]
async fn a_body_that_is_too_large_is_refused() {
    let server = common::start(&[]).await;
    let body = format!("{{\"text\": \"{}\"}}", "x".repeat(65 << 20));
    let response = server.client.post(server.url("/generate")).body(body).send().await;
    // The refusal may interrupt the upload.
    if let Ok(response) = response {
        assert_eq!(response.status(), 413);
    }
    assert_eq!(server.ok("/generate", json!({"text": "x", "sampling_params": greedy(1)})).await["text"], "x");
}

#[actix_web::test]
async fn a_pause_holds_new_requests_until_generation_continues() {
    let server = common::start(&[]).await;
    let paused = server.ok("/pause_generation", json!({"mode": "in_place"})).await;
    assert_eq!(paused, json!({"message": "Generation paused successfully.", "status": "ok"}));
    assert_eq!(server.get("/ready").await.status(), 503);
    assert_eq!(server.get("/ping").await.status(), 200);
    let request = server
        .client
        .post(server.url("/generate"))
        .json(&json!({"text": "ab", "sampling_params": greedy(1)}));
    let waiting = tokio::spawn(async move { request.send().await.unwrap().status() });
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    server.ok("/continue_generation", json!({"torch_empty_cache": false})).await;
    assert_eq!(waiting.await.unwrap(), 200);
    server
        .engine
        .saw(|m| matches!(m, AnyMessage::ContinueGenerationReqInput(c) if !c.torch_empty_cache).then_some(()))
        .await;
    assert_eq!(server.call("/pause_generation", json!({"mode": "sleep"})).await.0, 400);
}

#[actix_web::test]
async fn pausing_with_abort_ends_what_runs() {
    let server = common::start(&[]).await;
    server.engine.set(Behaviour::Queue);
    let request = server.client.post(server.url("/generate")).json(&json!({"text": "ab"}));
    let running = tokio::spawn(async move { request.send().await.unwrap().text().await.unwrap() });
    server.engine.saw_request().await;
    server.ok("/pause_generation", json!({})).await;
    assert!(running.await.unwrap().contains("\"abort\""));
}

#[actix_web::test]
async fn a_slash_too_many_leads_to_the_route() {
    let server = common::start(&[]).await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let response = client.post(server.url("/generate/?a=b")).send().await.unwrap();
    assert_eq!(response.status(), 307);
    assert_eq!(response.headers()["location"], server.url("/generate?a=b").as_str());
    assert_eq!(response.headers()["vary"], "Origin");
    assert_eq!(response.text().await.unwrap(), "");
    let body = json!({"text": "abc", "sampling_params": greedy(4)});
    // Clients follow the redirect with the same method and body.
    assert_eq!(server.ok("/generate/", body).await["text"], "abca");
    assert_eq!(client.get(server.url("/nowhere/")).send().await.unwrap().status(), 404);
    let unknown: Value = client.get(server.url("/v1/models/")).send().await.unwrap().json().await.unwrap();
    assert_eq!(unknown["error"]["message"], "The model '' does not exist");
}

#[actix_web::test]
async fn of_a_query_value_given_twice_the_last_counts() {
    let server = common::start(&[]).await;
    let loads = server.get("/v1/loads?format=prometheus&format=json").await;
    assert_eq!(
        (loads.status().as_u16(), loads.headers()["content-type"].to_str().unwrap()),
        (200, "application/json")
    );
    assert_eq!(server.get("/flush_cache?timeout=x&timeout=0").await.status(), 200);
    assert_eq!(server.get("/flush_cache?timeout=0&timeout=x").await.status(), 400);
}
