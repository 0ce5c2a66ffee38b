//! The OpenAI routes.

use serde_json::{Value, json};

use crate::common;
use crate::common::engine::Behaviour;
use crate::common::events;

fn chat(more: Value) -> Value {
    let mut body =
        json!({"model": "my-model", "temperature": 0, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[actix_web::test]
async fn a_chat_answer_has_the_references_shape() {
    let server = common::start(&[]).await;
    let response = server.post("/v1/chat/completions", chat(json!({"max_tokens": 3, "rid": "r"}))).await;
    let mut text = response.text().await.unwrap();
    let created = serde_json::from_str::<Value>(&text).unwrap()["created"].to_string();
    text = text.replace(&created, "0");
    let n = "<|turn|>user:hi</s><|turn|>assistant:".len() - "<|turn|></s><|turn|>".len() + 3;
    assert_eq!(
        text,
        format!(
            "{{\"id\":\"r\",\"object\":\"chat.completion\",\"created\":0,\"model\":\"my-model\",\"choices\":[{{\"index\":0,\
             \"message\":{{\"role\":\"assistant\",\"content\":\"us\",\"reasoning_content\":null}},\"logprobs\":null,\
             \"finish_reason\":\"length\",\"matched_stop\":null}}],\"usage\":{{\"prompt_tokens\":{n},\"total_tokens\":{},\
             \"completion_tokens\":3,\"prompt_tokens_details\":null,\"reasoning_tokens\":0,\
             \"completion_tokens_details\":null}},\"metadata\":{{\"weight_version\":\"default\"}},\"sglext\":{{\"weight_versions\":\
             [{{\"version\":\"default\",\"start\":0,\"end\":3}}]}}}}",
            n + 3
        )
    );
}

#[actix_web::test]
async fn a_chat_stream_is_role_content_end_and_its_pieces_make_the_answer() {
    let server = common::start(&[]).await;
    let options = json!({"include_usage": true, "continuous_usage_stats": true});
    let chunks = server
        .chunks(
            "/v1/chat/completions",
            chat(json!({"max_tokens": 99, "stream": true, "stream_options": options})),
        )
        .await;
    let delta = |c: &Value| c["choices"][0]["delta"].clone();
    assert_eq!(delta(&chunks[0]), json!({"reasoning_content": null, "role": "assistant", "content": ""}));
    assert!(chunks[0].get("usage").is_none());
    let text: String = chunks.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "user:hi");
    assert!(chunks[1]["usage"]["completion_tokens"].is_u64());
    let end = &chunks[chunks.len() - 2];
    assert_eq!(delta(end), json!({"reasoning_content": null}));
    assert_eq!(
        (&end["choices"][0]["finish_reason"], &end["choices"][0]["matched_stop"]),
        (&json!("stop"), &json!(257))
    );
    let usage = chunks.last().unwrap();
    assert_eq!((&usage["choices"], &usage["usage"]["completion_tokens"]), (&json!([]), &json!(9)));
    assert!(chunks.iter().all(|c| c["id"] == chunks[0]["id"] && c["object"] == "chat.completion.chunk"));
}

#[actix_web::test]
async fn every_token_of_a_chat_stream_has_its_log_probability() {
    let server = common::start(&[]).await;
    let body = |stream| {
        let mut body = chat(json!({"max_tokens": 99, "logprobs": true, "top_logprobs": 1, "stream": stream}));
        body["messages"][0]["content"] = "ü".into();
        body
    };
    let whole = server.ok("/v1/chat/completions", body(false)).await;
    let whole = whole["choices"][0]["logprobs"]["content"].as_array().unwrap().clone();
    let chunks = server.chunks("/v1/chat/completions", body(true)).await;
    let streamed: Vec<Value> = chunks
        .iter()
        .filter_map(|c| c["choices"][0]["logprobs"]["content"].as_array())
        .flatten()
        .cloned()
        .collect();
    assert_eq!(streamed, whole);
    // A token with half a character has one byte, however its text is shown.
    assert!(whole.iter().any(|t| t["bytes"] == json!([0xc3])));
    assert_eq!(whole[1]["top_logprobs"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn several_choices_finish_each_and_the_prompt_counts_once() {
    let server = common::start(&[]).await;
    let answer = server.ok("/v1/chat/completions", chat(json!({"max_tokens": 3, "n": 2}))).await;
    assert_eq!(answer["choices"].as_array().unwrap().len(), 2);
    let one = server.ok("/v1/chat/completions", chat(json!({"max_tokens": 3}))).await;
    assert_eq!(answer["usage"]["prompt_tokens"], one["usage"]["prompt_tokens"]);
    assert_eq!(answer["usage"]["completion_tokens"], 6);
    let chunks =
        server.chunks("/v1/chat/completions", chat(json!({"max_tokens": 3, "n": 2, "stream": true}))).await;
    for index in [0, 1] {
        let ends = chunks
            .iter()
            .filter(|c| c["choices"][0]["index"] == index && c["choices"][0]["finish_reason"] == "length");
        assert_eq!(ends.count(), 1);
    }
}

#[actix_web::test]
async fn ids_and_meta_information_come_on_request() {
    let server = common::start(&["--enable-cache-report"]).await;
    let body = chat(json!({"max_tokens": 2, "return_token_ids": true, "return_meta_info": true}));
    let answer = server.ok("/v1/chat/completions", body).await;
    let choice = &answer["choices"][0];
    assert_eq!(choice["response_token_ids"], json!([258, 117]));
    assert_eq!(choice["prompt_token_ids"][0], 258);
    assert_eq!(choice["meta_info"]["completion_tokens"], 2);
    assert_eq!(answer["usage"]["prompt_tokens_details"], json!({"cached_tokens": 0}));
}

#[actix_web::test]
async fn without_grammars_structured_output_and_forced_tools_are_refused_clearly() {
    let server = common::start(&["--grammar-backend", "none"]).await;
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    for more in [
        json!({"response_format": {"type": "json_object"}}),
        json!({"tools": tools, "tool_choice": "required"}),
        json!({"tools": tools, "tool_choice": {"type": "function", "function": {"name": "f"}}}),
        json!({"regex": "a+"}),
        json!({"ebnf": "root ::= \"a\""}),
    ] {
        let (status, error) = server.call("/v1/chat/completions", chat(more)).await;
        let message = error["message"].as_str().unwrap();
        assert_eq!(status, 400);
        assert!(message.contains("not support") || message.contains("--grammar-backend none"), "{message}");
    }
    // Tools that the model may use are part of the prompt, and the answer stays text.
    let answer = server.ok("/v1/chat/completions", chat(json!({"tools": tools, "max_tokens": 8}))).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "[tool f]");
    let completion = json!({"prompt": "a", "response_format": {"type": "json_object"}});
    assert_eq!(server.call("/v1/completions", completion).await.0, 400);
}

#[actix_web::test]
async fn what_the_template_refuses_is_a_bad_request() {
    let server = common::start(&[]).await;
    let (status, error) = server
        .call("/v1/chat/completions", json!({"messages": [{"role": "latest_reminder", "content": 5}]}))
        .await;
    assert_eq!((status, &error["type"]), (400, &json!("Bad Request")));
    let (status, error) = server
        .call("/v1/chat/completions", chat(json!({"chat_template_kwargs": {"chat_template": "x"}})))
        .await;
    assert_eq!((status, &error["type"]), (400, &json!("BadRequestError")));
}

#[actix_web::test]
async fn a_full_queue_is_503_and_in_a_stream_an_event() {
    let server = common::start(&[]).await;
    server.engine.set(Behaviour::Refuse("The request queue is full.".into(), 503));
    let error = json!({"object": "error", "message": "The request queue is full.", "type": "503", "param": null, "code": 503});
    assert_eq!(server.call("/v1/chat/completions", chat(json!({}))).await, (503, error));
    for (path, body) in [
        ("/v1/chat/completions", chat(json!({"stream": true}))),
        ("/v1/completions", json!({"prompt": "x", "stream": true})),
    ] {
        let text = server.post(path, body).await.text().await.unwrap();
        assert_eq!(
            events(&text),
            [
                r#"{"error": {"object": "error", "message": "The request queue is full.", "type": "SERVICE_UNAVAILABLE", "param": null, "code": 503}}"#,
                "[DONE]"
            ],
            "{path}"
        );
    }
}

#[actix_web::test]
async fn completions_echo_their_prompt_with_its_log_probabilities() {
    let server = common::start(&[]).await;
    let body = json!({"model": "m", "prompt": "ab", "max_tokens": 2, "logprobs": 1, "echo": true});
    let answer = server.ok("/v1/completions", body.clone()).await;
    let choice = &answer["choices"][0];
    assert_eq!(choice["text"], "abab");
    assert_eq!(
        choice["logprobs"],
        json!({"text_offset": [-1, -1, -1, -1], "token_logprobs": [null, -1.5, -0.5, -0.5],
            "tokens": ["a", "b", "a", "b"],
            "top_logprobs": [null, {"b": -0.5}, {"a": -0.5}, {"b": -0.5}]})
    );
    let mut streamed = body;
    streamed["stream"] = true.into();
    let chunks = server.chunks("/v1/completions", streamed).await;
    let text: String = chunks.iter().map(|c| c["choices"][0]["text"].as_str().unwrap()).collect();
    assert_eq!(text, "abab");
    let tokens: usize =
        chunks.iter().filter_map(|c| c["choices"][0]["logprobs"]["tokens"].as_array()).map(Vec::len).sum();
    assert_eq!(tokens, 4);
    let ids = server.ok("/v1/completions", json!({"prompt": [97, 98], "max_tokens": 1, "echo": true})).await;
    assert_eq!(ids["choices"][0]["text"], "aba");
}

#[actix_web::test]
async fn completions_number_choices_over_prompts_and_samples() {
    let server = common::start(&[]).await;
    let answer =
        server.ok("/v1/completions", json!({"prompt": ["One", "Two"], "max_tokens": 2, "n": 2})).await;
    let choices: Vec<(u64, &str)> = answer["choices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["index"].as_u64().unwrap(), c["text"].as_str().unwrap()))
        .collect();
    assert_eq!(choices, [(0, "On"), (1, "On"), (2, "Tw"), (3, "Tw")]);
    assert_eq!(
        (&answer["usage"]["prompt_tokens"], &answer["usage"]["completion_tokens"]),
        (&json!(6), &json!(8))
    );
    // 16 tokens is the default here.
    let default = server.ok("/v1/completions", json!({"prompt": "a"})).await;
    assert_eq!(default["usage"]["completion_tokens"], 16);
}

#[actix_web::test]
async fn a_completion_stream_ends_each_choice_in_its_last_piece() {
    let server = common::start(&[]).await;
    let body =
        json!({"prompt": "abc", "max_tokens": 3, "stream": true, "stream_options": {"include_usage": true}});
    let chunks = server.chunks("/v1/completions", body).await;
    let (usage, pieces) = chunks.split_last().unwrap();
    assert_eq!(
        usage["usage"],
        json!({"prompt_tokens": 3, "total_tokens": 6, "completion_tokens": 3, "reasoning_tokens": 0})
    );
    assert_eq!(pieces.last().unwrap()["choices"][0]["finish_reason"], "length");
    assert!(pieces.iter().all(|c| c["usage"].is_null() && c.as_object().unwrap().contains_key("usage")));
    let text: String = pieces.iter().map(|c| c["choices"][0]["text"].as_str().unwrap()).collect();
    assert_eq!(text, "abc");
}

#[actix_web::test]
async fn a_watermark_may_only_be_switched_off() {
    let server = common::start(&[]).await;
    let off = "request watermarking requires the server to enable --enable-watermark";
    for (watermark, error) in [(json!({"enabled": false}), None), (json!({"enabled": true}), Some(off))] {
        let native = json!({"text": "a", "sampling_params": {"max_new_tokens": 1, "watermark": watermark}});
        let completion = json!({"model": "my-model", "prompt": "a", "max_tokens": 1, "watermark": watermark});
        let chat = chat(json!({"max_tokens": 1, "watermark": watermark}));
        for (path, body) in
            [("/generate", native), ("/v1/completions", completion), ("/v1/chat/completions", chat)]
        {
            let response = server.post(path, body).await;
            assert_eq!(response.status(), if error.is_some() { 400 } else { 200 }, "{path} {watermark}");
            let text = response.text().await.unwrap();
            assert!(error.is_none_or(|error| text.contains(error)), "{path}: {text}");
        }
    }
}
