//! The Responses API: objects, events, stored responses, background work and chains.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common;
use crate::common::TestServer;
use crate::common::engine::Behaviour;

const STORE: &str = "--enable-response-store";
const CALL: &str = "Let me see.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>";

async fn server(flags: &[&str], script: &str) -> TestServer {
    let server = common::start(flags).await;
    server.engine.set(Behaviour::Script(script.into()));
    server
}

fn tool() -> Value {
    json!({"type": "function", "name": "f", "parameters": {"type": "object"}})
}

/// The named events of a stream, numbered from 0 and without an end mark.
async fn events(server: &TestServer, body: Value) -> Vec<Value> {
    let response = server.post("/v1/responses", body).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["cache-control"], "no-cache");
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    let text = response.text().await.unwrap();
    let events: Vec<Value> = text
        .trim_end()
        .split("\n\n")
        .enumerate()
        .map(|(number, event)| {
            let (name, data) = event.split_once('\n').unwrap();
            let value: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(name.strip_prefix("event: ").unwrap(), value["type"]);
            assert_eq!(value["sequence_number"], number, "{value}");
            value
        })
        .collect();
    events
}

fn without_ids(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| !["id", "call_id", "created_at", "cached_tokens"].contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), without_ids(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(list) => list.iter().map(without_ids).collect(),
        other => other.clone(),
    }
}

#[actix_web::test]
async fn an_answer_is_a_message_item_and_the_stream_builds_the_same() {
    let server = server(&[], "One colour.").await;
    let body = |stream: bool| json!({"input": "Name one.", "temperature": 0, "stream": stream, "metadata": {"k": "v"}});
    let whole = server.ok("/v1/responses", body(false)).await;
    assert!(whole["id"].as_str().unwrap().starts_with("resp_"));
    assert_eq!((&whole["status"], &whole["model"]), (&json!("completed"), &json!("MODELS/tiny")));
    assert_eq!(whole["output"][0]["content"][0]["text"], "One colour.");
    assert_eq!(
        (&whole["text"], &whole["metadata"]),
        (&json!({"format": {"type": "text"}}), &json!({"k": "v"}))
    );
    let usage = &whole["usage"];
    let count = |key: &str| usage[key].as_u64().unwrap();
    assert_eq!(count("total_tokens"), count("input_tokens") + count("output_tokens"));
    let events = events(&server, body(true)).await;
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.completed");
    assert_eq!(without_ids(&last["response"]), without_ids(&whole));
    assert_eq!(
        (&events[0]["type"], &events[1]["type"]),
        (&json!("response.created"), &json!("response.in_progress"))
    );
    assert_eq!(events[0]["response"]["usage"], Value::Null);
    let text: String = events
        .iter()
        .filter(|e| e["type"] == "response.output_text.delta")
        .filter_map(|e| e["delta"].as_str())
        .collect();
    assert_eq!(text, "One colour.");
    let request = server.engine.saw_request().await;
    assert_eq!(Some(request.rid.as_str()), whole["id"].as_str());
}

#[actix_web::test]
async fn sampling_is_that_of_the_reference() {
    let server = server(&[], "x").await;
    server.ok("/v1/responses", json!({"input": "a", "max_output_tokens": 8})).await;
    let sampling = server.engine.saw_request().await.sampling_params;
    assert_eq!((sampling.max_new_tokens, sampling.temperature), (Some(6), 0.7));
    let cut = server.ok("/v1/responses", json!({"input": "a", "max_output_tokens": 2})).await;
    assert_eq!(
        (&cut["status"], &cut["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
    server.engine.seen.lock().clear();
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let text = json!({"format": {"type": "json_schema", "name": "n", "schema": schema}});
    let answer = server.ok("/v1/responses", json!({"input": "a", "text": text})).await;
    assert_eq!(answer["text"], text);
    let sampling = server.engine.saw_request().await.sampling_params;
    assert_eq!(sampling.json_schema, Some(schema.to_string()));
    let body = json!({"input": "a", "include": ["message.output_text.logprobs"], "top_logprobs": 1});
    let answer = server.ok("/v1/responses", body).await;
    let logprobs = answer["output"][0]["content"][0]["logprobs"].as_array().unwrap();
    assert_eq!(logprobs.len() as u64, answer["usage"]["output_tokens"].as_u64().unwrap());
    assert!(logprobs[0]["token"].is_string() && logprobs[0]["top_logprobs"].is_array());
}

#[actix_web::test]
async fn calls_are_items_of_their_own_whole_and_streamed() {
    let server = server(&["--tool-call-parser", "qwen25"], CALL).await;
    let body = |stream: bool| json!({"input": "hi", "tools": [tool()], "stream": stream});
    let whole = server.ok("/v1/responses", body(false)).await;
    let output = whole["output"].as_array().unwrap();
    assert_eq!((&output[0]["type"], &output[0]["phase"]), (&json!("message"), &json!("commentary")));
    assert_eq!(output[1]["type"], "function_call");
    assert_eq!((&output[1]["name"], &output[1]["arguments"]), (&json!("f"), &json!("{\"a\": 1}")));
    assert!(output[1]["id"].as_str().unwrap().starts_with("fc_"));
    assert!(output[1]["call_id"].as_str().unwrap().starts_with("call_"));
    assert_eq!(whole["tools"][0]["strict"], false);
    let events = events(&server, body(true)).await;
    let last = events.last().unwrap();
    assert_eq!(without_ids(&last["response"]), without_ids(&whole));
    let done: Vec<&Value> =
        events.iter().filter(|e| e["type"] == "response.output_item.done").map(|e| &e["item"]).collect();
    assert_eq!(done, last["response"]["output"].as_array().unwrap().iter().collect::<Vec<_>>());
    let arguments: String = events
        .iter()
        .filter(|e| e["type"] == "response.function_call_arguments.delta")
        .filter_map(|e| e["delta"].as_str())
        .collect();
    assert_eq!(arguments, "{\"a\": 1}");
}

#[actix_web::test]
async fn a_forced_call_is_read_without_a_parser_too_and_one_that_is_cut_off_says_so() {
    let server = server(&[], "[{\"name\": \"f\", \"parameters\": {\"a\": [1, 2]}}]").await;
    let body = json!({"input": "hi", "tools": [tool()], "tool_choice": {"type": "function", "name": "f"}});
    let answer = server.ok("/v1/responses", body.clone()).await;
    assert_eq!(answer["output"][0]["arguments"], "{\"a\": [1, 2]}");
    assert_eq!(
        (&answer["tool_choice"], &answer["output"][0]["status"]),
        (&json!({"type": "function", "name": "f"}), &json!("completed"))
    );
    let mut cut = body;
    cut["max_output_tokens"] = 36.into();
    let answer = server.ok("/v1/responses", cut).await;
    assert_eq!(
        (&answer["status"], &answer["output"][0]["status"]),
        (&json!("incomplete"), &json!("incomplete"))
    );
    assert!(server.engine.saw_request().await.sampling_params.json_schema.is_some());
}

#[actix_web::test]
async fn reasoning_is_an_item_in_front() {
    let server = server(&["--reasoning-parser", "qwen3"], "<think>hm</think>so").await;
    let body = json!({"input": "hi", "reasoning": {"effort": "low", "summary": "auto"}, "stream": true,
        "include": ["reasoning.encrypted_content"]});
    let events = events(&server, body).await;
    let response = &events.last().unwrap()["response"];
    let output = response["output"].as_array().unwrap();
    assert_eq!((&output[0]["type"], &output[0]["content"][0]["text"]), (&json!("reasoning"), &json!("hm")));
    assert_eq!(
        (&output[0]["summary"][0]["text"], &output[1]["content"][0]["text"]),
        (&json!("hm"), &json!("so"))
    );
    assert_eq!(response["reasoning"]["effort"], "low");
    assert!(response["usage"]["output_tokens_details"]["reasoning_tokens"].as_u64().unwrap() > 0);
    assert!(events.iter().any(|e| e["type"] == "response.reasoning_summary_text.delta"));
    // A client without stored responses sends the item back.
    let replay = json!({"input": [output[0], {"role": "user", "content": "and?"}]});
    assert_eq!(server.call("/v1/responses", replay).await.0, 200);
}

#[actix_web::test]
async fn kept_responses_are_retrieved_chained_and_cancelled() {
    let server = server(&[STORE, "--tool-call-parser", "qwen25"], CALL).await;
    let first = server.ok("/v1/responses", json!({"input": "first", "tools": [tool()]})).await;
    let id = first["id"].as_str().unwrap();
    let fetch = |id: &str| {
        let url = server.url(&format!("/v1/responses/{id}"));
        let client = server.client.clone();
        async move {
            let response = client.get(url).send().await.unwrap();
            (response.status().as_u16(), response.json::<Value>().await.unwrap())
        }
    };
    assert_eq!(fetch(id).await, (200, first.clone()));
    server.engine.set(Behaviour::Script("Done.".into()));
    server.engine.seen.lock().clear();
    let output =
        json!({"type": "function_call_output", "call_id": first["output"][1]["call_id"], "output": "42"});
    let second = server.ok("/v1/responses", json!({"input": [output], "previous_response_id": id})).await;
    assert_eq!(second["previous_response_id"], id);
    let bytes: Vec<u8> =
        server.engine.saw_request().await.input_ids.unwrap().0.iter().map(|id| *id as u8).collect();
    let prompt = String::from_utf8_lossy(&bytes).into_owned();
    for part in ["first", "Let me see.", "42"] {
        assert!(prompt.contains(part), "{part} is not in {prompt}");
    }
    // Cancelling a finished response changes nothing.
    let path = format!("/v1/responses/{id}/cancel");
    assert_eq!(server.call(&path, json!({})).await, (200, first.clone()));
    let unkept = server.ok("/v1/responses", json!({"input": "x", "store": false})).await;
    assert_eq!(fetch(unkept["id"].as_str().unwrap()).await.0, 404);
    let streamed = events(&server, json!({"input": "x", "stream": true})).await;
    let response = &streamed.last().unwrap()["response"];
    assert_eq!(&fetch(response["id"].as_str().unwrap()).await.1, response);
}

#[actix_web::test]
async fn background_work_is_queued_then_done_or_cancelled() {
    let server = server(&[STORE], "Done.").await;
    let status = |id: String| {
        let (client, url) = (server.client.clone(), server.url(&format!("/v1/responses/{id}")));
        async move { client.get(url).send().await.unwrap().json::<Value>().await.unwrap() }
    };
    let body = json!({"input": "x", "background": true});
    let queued = server.ok("/v1/responses", body.clone()).await;
    assert_eq!((&queued["status"], &queued["output"]), (&json!("queued"), &json!([])));
    let id = queued["id"].as_str().unwrap().to_owned();
    let mut now = status(id.clone()).await;
    for _ in 0..500 {
        if now["status"] == "completed" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        now = status(id.clone()).await;
    }
    assert_eq!(
        (&now["status"], &now["output"][0]["content"][0]["text"]),
        (&json!("completed"), &json!("Done."))
    );
    server.engine.set(Behaviour::Queue);
    let waiting = server.ok("/v1/responses", body).await;
    let id = waiting["id"].as_str().unwrap().to_owned();
    server
        .engine
        .saw(|m| match m {
            sglang_proto::messages::AnyMessage::TokenizedGenerateReqInput(r) => (r.rid == id).then_some(()),
            _ => None,
        })
        .await;
    let cancelled = server.ok(&format!("/v1/responses/{id}/cancel"), json!({})).await;
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(server.engine.saw_abort().await.rid.as_deref(), Some(id.as_str()));
    assert_eq!(status(id).await["status"], "cancelled");
}

#[actix_web::test]
async fn errors_have_their_own_shape_and_name_the_field() {
    let server = server(&[], "x").await;
    let kept = common::start(&[STORE]).await;
    let disabled = "Response store is disabled. Stateful Responses require --enable-response-store on a standalone \
        server; response storage is unavailable in PD mode.";
    let unknown = "Response with id 'resp_abc' not found.";
    for (server, body, status, message, param) in [
        (
            &server,
            json!({"input": "x", "previous_response_id": "resp_abc"}),
            400,
            disabled,
            "previous_response_id",
        ),
        (&server, json!({"input": "x", "background": true}), 400, disabled, "background"),
        (&kept, json!({"input": "x", "previous_response_id": "resp_abc"}), 404, unknown, "response_id"),
        (
            &kept,
            json!({"input": [{"type": "item_reference", "id": "x"}]}),
            400,
            "Unsupported Responses API input item type: 'item_reference' (input[0])",
            "input",
        ),
    ] {
        let error = json!({"error": {"message": message, "type": "invalid_request_error", "param": param, "code": status}});
        assert_eq!(server.call("/v1/responses", body).await, (status, error));
    }
    let (status, error) = server.call("/v1/responses", json!({"max_output_tokens": 3})).await;
    let message = error["error"]["message"].as_str().unwrap();
    assert!(
        status == 400
            && message.starts_with("1 validation error:\n  {'type': 'missing', 'loc': ('body', 'input')")
    );
    assert_eq!(error["error"]["type"], "Bad Request");
    let (status, error) = server.call("/v1/responses", json!({"input": "x", "temperature": -1})).await;
    assert!(status == 400 && error["error"]["message"].as_str().unwrap().contains("temperature"), "{error}");
    for (id, status) in [("abc", 400), ("resp_abc", 404)] {
        assert_eq!(kept.get(&format!("/v1/responses/{id}")).await.status(), status);
        assert_eq!(kept.post(&format!("/v1/responses/{id}/cancel"), json!({})).await.status(), status);
        assert_eq!(server.get(&format!("/v1/responses/{id}")).await.status(), 400);
    }
}

#[actix_web::test]
async fn a_refusal_of_the_scheduler_is_an_error_and_in_a_stream_a_failed_response() {
    let server = server(&[], "x").await;
    server.engine.set(Behaviour::Refuse("The request queue is full.".into(), 503));
    let (status, error) = server.call("/v1/responses", json!({"input": "x"})).await;
    assert_eq!((status, &error["error"]["type"]), (503, &json!("Service Unavailable")));
    let events = events(&server, json!({"input": "x", "stream": true})).await;
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.failed");
    assert_eq!(
        last["response"]["error"],
        json!({"code": "server_error", "message": "The request queue is full."})
    );
}
