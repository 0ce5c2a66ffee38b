//! The routes of Anthropic's Messages API.

use serde_json::{Value, json};
use sglang_proto::messages::AnyMessage;
use sglang_tokenizer_manager::text::TextCodec;

use crate::common;
use crate::common::TestServer;
use crate::common::byte_codec::ByteCodec;
use crate::common::engine::Behaviour;

fn body(more: Value) -> Value {
    let mut body =
        json!({"model": "my-model", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// Names and data of a stream's events.
async fn stream(server: &TestServer, more: Value) -> Vec<(String, Value)> {
    let mut body = body(more);
    body["stream"] = true.into();
    let response = server.post("/v1/messages", body).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    let text = response.text().await.unwrap();
    text.split_terminator("\n\n")
        .map(|event| {
            let (name, data) = event.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
            (name.to_owned(), serde_json::from_str(data).unwrap())
        })
        .collect()
}

#[actix_web::test]
async fn a_message_has_the_references_shape() {
    let server = common::start(&[]).await;
    let response = server.post("/v1/messages", body(json!({"max_tokens": 3}))).await;
    let text = response.text().await.unwrap();
    let id = serde_json::from_str::<Value>(&text).unwrap()["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("msg_") && id.len() == 36, "{id}");
    assert_eq!(
        text.replace(&id, "ID"),
        "{\"id\":\"ID\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"us\"}],\
         \"model\":\"my-model\",\"stop_reason\":\"max_tokens\",\"usage\":{\"input_tokens\":20,\"output_tokens\":3}}"
    );
    let whole = server.ok("/v1/messages", body(json!({}))).await;
    assert_eq!(
        (&whole["content"][0]["text"], &whole["stop_reason"]),
        (&json!("user:hi"), &json!("end_turn"))
    );
}

#[actix_web::test]
async fn a_stream_is_events_in_order_and_its_pieces_make_the_message() {
    let server = common::start(&[]).await;
    let events = stream(&server, json!({})).await;
    let mut names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    names.dedup();
    assert_eq!(
        names,
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    let start = &events[0].1["message"];
    assert_eq!(
        (&start["content"], &start["model"], &start["usage"]),
        (&json!([]), &json!("my-model"), &json!({"input_tokens": 20, "output_tokens": 0}))
    );
    assert!(start.get("stop_reason").is_none());
    let text: String = events.iter().filter_map(|(_, data)| data["delta"]["text"].as_str()).collect();
    assert_eq!(text, "user:hi");
    let delta = &events[events.len() - 2].1;
    assert_eq!(
        delta,
        &json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}})
    );
    assert!(events.iter().all(|(name, data)| data["type"] == name.as_str()));
}

#[actix_web::test]
async fn instructions_tools_and_sampling_reach_the_engine() {
    let server = common::start(&[]).await;
    let answer = server
        .ok(
            "/v1/messages",
            body(json!({
                "system": "S", "temperature": 0.5, "top_p": 0.9, "top_k": 7, "stop_sequences": ["stop"], "max_tokens": 60,
                "tools": [{"name": "f", "input_schema": {"type": "object"}}, {"type": "bash_20250124", "name": "bash"}],
                "metadata": {"user_id": "u"}, "betas": ["b"], "thinking": {"type": "disabled"},
            })),
        )
        .await;
    let prompt = answer["content"][0]["text"].as_str().unwrap();
    assert!(prompt.starts_with("[tool f]") && !prompt.contains("bash"), "{prompt}");
    let params = server.engine.saw_request().await.sampling_params;
    assert_eq!((params.temperature, params.top_p, params.top_k), (0.5, 0.9, 7));
    assert_eq!(params.stop_strs.0, ["stop"]);
    assert_eq!(params.max_new_tokens, Some(60));
}

#[actix_web::test]
async fn tokens_are_counted_as_they_are_generated_from() {
    let server = common::start(&[]).await;
    let mut count = body(json!({"system": "S"}));
    let generated = server.ok("/v1/messages", count.clone()).await;
    count.as_object_mut().unwrap().remove("max_tokens");
    let counted = server.ok("/v1/messages/count_tokens", count).await;
    assert_eq!(counted, json!({"input_tokens": generated["usage"]["input_tokens"]}));
    let (status, answer) = server.call("/v1/messages/count_tokens", json!({"model": "m"})).await;
    assert_eq!((status, &answer["error"]["message"]), (400, &json!("messages: Field required")));
}

#[actix_web::test]
async fn errors_have_anthropics_shape() {
    let server = common::start(&[]).await;
    let cases = [
        (
            json!({"max_tokens": 0}),
            "invalid_request_error",
            "max_tokens: Value error, max_tokens must be positive",
        ),
        (json!({"max_tokens": 5000}), "invalid_request_error", "max_completion_tokens is too large"),
        (json!({"thinking": {"type": "adaptive"}}), "invalid_request_error", "without a reasoning parser"),
        (
            json!({"tool_choice": {"type": "any"}}),
            "invalid_request_error",
            "requires at least one custom tool",
        ),
        (json!({"temperature": -1}), "BadRequestError", "temperature must be a non-negative finite number"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "u"}}]}]}),
            "invalid_request_error",
            "unsupported content type 'image_url'",
        ),
    ];
    for (more, kind, part) in cases {
        let (status, answer) = server.call("/v1/messages", body(more)).await;
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 400 && answer["type"] == "error" && message.contains(part), "{status} {answer}");
        assert_eq!(answer["error"]["type"], kind);
    }
    let response = server.client.post(server.url("/v1/messages")).body("{}").send().await.unwrap();
    assert_eq!(response.status(), 400);
    let answer: Value = response.json().await.unwrap();
    assert!(answer["error"]["message"].as_str().unwrap().contains("Unsupported Media Type"), "{answer}");
}

#[actix_web::test]
async fn a_refusal_of_the_scheduler_is_overload_and_in_a_stream_an_event() {
    let server = common::start(&[]).await;
    server.engine.set(Behaviour::Refuse("The request queue is full.".into(), 503));
    // Recorded from the reference.
    let golden =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Internal server error"}});
    assert_eq!(server.call("/v1/messages", body(json!({}))).await, (503, golden));
    let events = stream(&server, json!({})).await;
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["message_start", "error", "message_stop"]);
    assert_eq!(
        events[1].1["error"],
        json!({"type": "overloaded_error", "message": "The request queue is full."})
    );
}

#[actix_web::test]
async fn a_stream_that_cannot_start_says_so_in_its_events() {
    let server = common::start(&[]).await;
    let events = stream(&server, json!({"temperature": -1})).await;
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["message_start", "error", "message_stop"]);
    assert_eq!(events[1].1["error"]["type"], "invalid_request_error");
}

#[actix_web::test]
async fn only_a_bearer_token_is_a_key() {
    let server = common::start(&["--api-key", "k"]).await;
    let call = |name: &'static str, value: &'static str| {
        let request = server.client.post(server.url("/v1/messages")).header(name, value);
        async { request.json(&body(json!({}))).send().await.unwrap() }
    };
    let refused = call("x-api-key", "k").await;
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.text().await.unwrap(), r#"{"error":"Unauthorized"}"#);
    assert_eq!(call("authorization", "Bearer k").await.status(), 200);
}

/// The prompts that the engine received, with special tokens as text.
fn prompts(server: &TestServer) -> Vec<String> {
    let seen = server.engine.seen.lock();
    let requests = seen.iter().filter_map(|message| match message {
        AnyMessage::TokenizedGenerateReqInput(r) => Some(&r.input_ids.as_ref().unwrap().0),
        _ => None,
    });
    requests.map(|ids| ByteCodec::default().decode(ids, false).unwrap()).collect()
}

#[actix_web::test]
async fn a_last_message_of_the_assistant_is_continued_and_not_repeated() {
    let text = |text: &str| json!({"type": "text", "text": text});
    for last in [json!("Well, b"), json!([text("Well, b")]), json!([text("Well,"), text(" b")])] {
        let server = common::start(&[]).await;
        server.engine.set(Behaviour::Script("onjour.".into()));
        let messages = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": last}]);
        let asked = json!({"messages": messages});
        let whole = server.ok("/v1/messages", body(asked.clone())).await;
        assert_eq!(whole["content"], json!([{"type": "text", "text": "onjour."}]));
        let streamed: String = stream(&server, asked.clone())
            .await
            .iter()
            .filter_map(|(_, data)| data["delta"]["text"].as_str())
            .collect();
        assert_eq!(streamed, "onjour.");
        let prompt = "<|turn|>user:hi</s><|turn|>assistant:Well, b";
        assert_eq!(prompts(&server), [prompt, prompt]);
        let counted = server.ok("/v1/messages/count_tokens", body(asked)).await;
        assert_eq!(counted["input_tokens"], whole["usage"]["input_tokens"]);
    }
}

#[actix_web::test]
async fn a_continued_answer_of_a_model_that_thinks_is_text() {
    let server = common::start(&["--reasoning-parser", "deepseek-r1"]).await;
    server.engine.set(Behaviour::Script("onjour.".into()));
    let last = json!({"role": "assistant", "content": "Well, b"});
    let asked = json!({"messages": [{"role": "user", "content": "hi"}, last]});
    let whole = server.ok("/v1/messages", body(asked.clone())).await;
    assert_eq!(whole["content"], json!([{"type": "text", "text": "onjour."}]));
    let kinds: Vec<Value> = stream(&server, asked)
        .await
        .iter()
        .filter(|(name, _)| name == "content_block_start")
        .map(|(_, data)| data["content_block"]["type"].clone())
        .collect();
    assert_eq!(kinds, ["text"]);
}

#[actix_web::test]
async fn a_beginning_that_cannot_be_continued_is_refused_in_the_routes_shape() {
    let server = common::start(&[]).await;
    let messages = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Well, \n"}]);
    for path in ["/v1/messages", "/v1/messages/count_tokens"] {
        let (status, answer) = server.call(path, body(json!({"messages": messages}))).await;
        assert_eq!((status, &answer["error"]["type"]), (400, &json!("invalid_request_error")));
        let message = "messages: final assistant content cannot end with trailing whitespace";
        assert_eq!(answer["error"]["message"], message, "{path}");
    }
}
