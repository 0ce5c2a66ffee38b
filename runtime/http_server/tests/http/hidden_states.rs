//! Hidden states in answers. The engine returns the state `[p + 0.5]` for position `p`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common;
use crate::common::engine::{Behaviour, Engine};

const FLAG: [&str; 1] = ["--enable-return-hidden-states"];
const OFF: &str = "The server is not configured to return hidden states. Please set `--return-hidden-states-mode last`, \
                   `--return-hidden-states-mode full`, or the legacy `--enable-return-hidden-states` flag.";

fn generate(more: Value) -> Value {
    let mut body = json!({"input_ids": [7, 8, 9], "sampling_params": {"max_new_tokens": 3}});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn completion(more: Value) -> Value {
    let mut body = json!({"model": "m", "prompt": [7, 8, 9], "max_tokens": 3});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn chat(more: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [], "input_ids": [7, 8, 9], "max_tokens": 3});
    body["messages"] = json!([{"role": "user", "content": "hi"}]);
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[actix_web::test]
async fn generate_gives_the_prompts_as_a_list_and_then_one_per_step() {
    let server = common::start(&FLAG).await;
    let answer = server.ok("/generate", generate(json!({"return_hidden_states": true}))).await;
    let expected = json!([[[0.5], [1.5], [2.5]], [3.5], [4.5]]);
    assert_eq!(answer["meta_info"]["hidden_states"], expected);
    let keys: Vec<&str> = answer["meta_info"].as_object().unwrap().keys().map(String::as_str).collect();
    let at = keys.iter().position(|key| *key == "hidden_states").unwrap();
    assert_eq!((keys[at - 1], keys[at + 1]), ("cached_tokens_details", "dp_rank"));
    for wish in [json!({}), json!({"return_hidden_states": false}), json!({"return_hidden_states": null})] {
        let answer = server.ok("/generate", generate(wish)).await;
        assert!(answer["meta_info"].get("hidden_states").is_none());
    }
}

#[actix_web::test]
async fn every_chunk_of_a_stream_has_all_of_them_so_far() {
    for flags in [&FLAG[..], &["--enable-return-hidden-states", "--incremental-streaming-output"]] {
        let server = common::start(flags).await;
        let body = generate(json!({"return_hidden_states": true, "stream": true}));
        let chunks = server.chunks("/generate", body).await;
        let all = json!([[[0.5], [1.5], [2.5]], [3.5], [4.5]]);
        for chunk in &chunks {
            let meta = &chunk["meta_info"];
            let made = meta["completion_tokens"].as_u64().unwrap() as usize;
            assert_eq!(meta["hidden_states"].as_array().unwrap()[..], all.as_array().unwrap()[..made]);
        }
        assert_eq!(chunks.last().unwrap()["meta_info"]["hidden_states"], all);
    }
}

#[actix_web::test]
async fn each_prompt_of_a_batch_has_its_own_wish() {
    let server = common::start(&FLAG).await;
    let mut body = generate(json!({"return_hidden_states": [false, true]}));
    body["input_ids"] = json!([[7, 8, 9], [5]]);
    let answers = server.ok("/generate", body.clone()).await;
    assert!(answers[0]["meta_info"].get("hidden_states").is_none());
    assert_eq!(answers[1]["meta_info"]["hidden_states"], json!([[[0.5]], [1.5], [2.5]]));
    body["sampling_params"]["n"] = json!(2);
    let answers = server.ok("/generate", body.clone()).await;
    let some: Vec<bool> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| answer["meta_info"].get("hidden_states").is_some())
        .collect();
    assert_eq!(some, [false, false, true, true]);
    body["return_hidden_states"] = json!([true]);
    let (status, error) = server.call("/generate", body.clone()).await;
    assert_eq!(status, 400);
    let text = "The length of return_hidden_states should be equal to the batch size.";
    assert_eq!(error["error"]["message"], text);
    body["return_hidden_states"] = json!(true);
    let answers = server.ok("/generate", body).await;
    assert!(answers.as_array().unwrap().iter().all(|a| a["meta_info"]["hidden_states"].is_array()));
}

#[actix_web::test]
async fn without_the_flag_they_are_refused_with_its_name() {
    let server = common::start(&[]).await;
    for wish in [json!(true), json!([true])] {
        let (status, error) = server.call("/generate", generate(json!({"return_hidden_states": wish}))).await;
        assert_eq!((status, &error["error"]["message"]), (400, &json!(OFF)));
    }
    for (path, body) in
        [("/v1/completions", completion(json!({}))), ("/v1/chat/completions", chat(json!({})))]
    {
        for wish in [json!(true), json!("last")] {
            let mut body = body.clone();
            body["return_hidden_states"] = wish;
            let (status, error) = server.call(path, body).await;
            assert_eq!((status, &error["message"]), (400, &json!(OFF)), "{path}");
        }
        server.ok(path, body).await;
    }
}

#[actix_web::test]
async fn a_server_for_the_last_one_refuses_all_of_them() {
    let server = common::start(&["--return-hidden-states-mode", "last"]).await;
    let (status, error) = server.call("/generate", generate(json!({"return_hidden_states": true}))).await;
    assert_eq!(status, 400);
    assert_eq!(
        error["error"]["message"],
        "The requested return_hidden_states mode exceeds the server maximum `last`. Please launch with \
         `--return-hidden-states-mode full` to allow return_hidden_states=True."
    );
    let answer = server.ok("/v1/completions", completion(json!({"return_hidden_states": "last"}))).await;
    assert_eq!(answer["choices"][0]["hidden_states"], json!([4.5]));
    // The native route accepts only booleans.
    let (status, error) = server.call("/generate", generate(json!({"return_hidden_states": "last"}))).await;
    assert_eq!(status, 400);
    assert!(error["error"].as_str().unwrap().contains("BoolOrList"), "{error}");
}

#[actix_web::test]
async fn openais_routes_give_the_one_behind_the_last_token() {
    let server = common::start(&FLAG).await;
    for (path, body) in
        [("/v1/completions", completion(json!({}))), ("/v1/chat/completions", chat(json!({})))]
    {
        let ask = |wish: Value, max_tokens: u64, n: u64| {
            let mut body = body.clone();
            body["return_hidden_states"] = wish;
            body["max_tokens"] = json!(max_tokens);
            body["n"] = json!(n);
            body
        };
        let choices = |answer: Value| -> Vec<Value> {
            let choices = answer["choices"].as_array().unwrap();
            choices.iter().map(|choice| choice.get("hidden_states").cloned().unwrap_or_default()).collect()
        };
        let answer = server.ok(path, ask(json!(true), 3, 1)).await;
        let keys: Vec<&String> = answer["choices"][0].as_object().unwrap().keys().collect();
        assert_eq!(keys[keys.len() - 2..], ["matched_stop", "hidden_states"]);
        assert_eq!(choices(answer), [json!([4.5])]);
        assert_eq!(choices(server.ok(path, ask(json!("last"), 3, 2)).await), [json!([4.5]), json!([4.5])]);
        // As in the reference, a single token has no state unless the last one is requested.
        assert_eq!(choices(server.ok(path, ask(json!(true), 1, 1)).await), [json!([])]);
        assert_eq!(choices(server.ok(path, ask(json!("last"), 1, 1)).await), [json!([2.5])]);
        let answer = server.ok(path, ask(json!(false), 3, 1)).await;
        assert!(answer["choices"][0].get("hidden_states").is_none());
        assert_eq!(choices(server.ok(path, ask(json!(null), 3, 1)).await), [Value::Null]);
        for wrong in [json!("first"), json!([true])] {
            let (status, error) = server.call(path, ask(wrong, 3, 1)).await;
            assert_eq!(status, 400);
            assert!(error["message"].as_str().unwrap().contains("return_hidden_states"), "{error}");
        }
    }
}

#[actix_web::test]
async fn openais_streams_end_with_a_piece_for_each_choice() {
    let server = common::start(&FLAG).await;
    let more = json!({"return_hidden_states": true, "stream": true, "n": 2, "max_tokens": 3,
        "stream_options": {"include_usage": true}});
    let chunks = server.chunks("/v1/completions", completion(more.clone())).await;
    let [.., first, second, usage] = chunks.as_slice() else { panic!("{chunks:?}") };
    for (index, chunk) in [first, second].into_iter().enumerate() {
        let choice = json!({"index": index, "text": "", "logprobs": null, "finish_reason": null,
            "matched_stop": null, "hidden_states": [4.5]});
        assert_eq!((&chunk["choices"], &chunk["usage"]), (&json!([choice]), &json!(null)));
    }
    assert_eq!((&usage["choices"], usage["usage"].is_object()), (&json!([]), true));
    let chunks = server.chunks("/v1/chat/completions", chat(more)).await;
    let [.., end, first, second, _usage] = chunks.as_slice() else { panic!("{chunks:?}") };
    assert_eq!(end["choices"][0]["finish_reason"], "length");
    for (index, chunk) in [first, second].into_iter().enumerate() {
        let delta = json!({"role": null, "content": null, "reasoning_content": null, "hidden_states": [4.5]});
        let choice = json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": null, "matched_stop": null});
        assert_eq!((&chunk["choices"], &chunk["usage"]), (&json!([choice]), &json!(null)));
    }
}

#[actix_web::test]
async fn those_from_before_a_restart_of_the_scheduler_stay() {
    let server = common::start(&FLAG).await;
    server.engine.set(Behaviour::OneToken);
    let body = generate(json!({"return_hidden_states": true, "stream": true}));
    let request = server.client.post(server.url("/generate")).json(&body);
    let running = tokio::spawn(async move { request.send().await.unwrap().text().await.unwrap() });
    server.until_first_token().await;
    server.engine.kill();
    let _second = Engine::start(server.dir.path()).await;
    let text = tokio::time::timeout(Duration::from_secs(5), running).await.unwrap().unwrap();
    let last = common::events(&text).iter().rev().nth(1).unwrap().clone();
    let last: Value = serde_json::from_str(&last).unwrap();
    assert_eq!(last["meta_info"]["hidden_states"], json!([[[0.5], [1.5], [2.5]], [3.5], [4.5]]));
}
