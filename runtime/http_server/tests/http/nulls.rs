//! Null means "not given" for every optional field, on every route and at every depth.

use serde_json::{Map, Value, json};
use sglang_proto::messages::AnyMessage;
use sglang_tokenizer_manager::requests::embedding::EmbeddingFacts;

use crate::common;
use crate::common::TestServer;

/// Objects whose keys belong to the client: schemas, arguments, template variables.
const FREE: [&str; 10] = [
    "parameters",
    "schema",
    "input_schema",
    "arguments",
    "input",
    "metadata",
    "chat_template_kwargs",
    "custom_params",
    "logit_bias",
    "properties",
];

/// The only field in which null has a meaning, as in the reference: a missing key means a default limit.
const NO_LIMIT: (&str, &str) = ("/generate", "/sampling_params/max_new_tokens");

/// A valid body with nested fields for every route.
fn generating() -> Vec<(&'static str, Value)> {
    let function = json!({"name": "f", "description": "d", "strict": false, "defer_loading": false,
        "parameters": {"type": "object", "properties": {}}});
    let call =
        json!({"id": "c", "index": 0, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let chat = json!({
        "messages": [
            {"role": "system", "content": "s", "name": "n"},
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
            {"role": "assistant", "content": "b", "reasoning_content": "r", "name": "n", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "name": "f", "content": "1"},
            {"role": "user", "content": "hi"}],
        "max_tokens": 4,
        "tools": [{"type": "function", "function": function}],
        "tool_choice": "auto",
        "stream_options": {"include_usage": true, "continuous_usage_stats": false},
        "reasoning": {"effort": "low", "enabled": true},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "strict": false,
            "schema": {"type": "object"}}},
        "session_params": {"id": null, "rid": null},
    });
    vec![
        (
            "/generate",
            json!({"text": "a", "sampling_params": {"max_new_tokens": 2, "temperature": 0.5, "stop": "x"}}),
        ),
        ("/vertex_generate", json!({"instances": [{"text": "a"}], "parameters": {"stream": false}})),
        ("/v1/chat/completions", chat),
        (
            "/v1/completions",
            json!({"prompt": "a", "max_tokens": 3, "stream_options": {"include_usage": true}}),
        ),
        (
            "/v1/messages",
            json!({"model": "m", "max_tokens": 3,
                "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "a", "citations": []}]},
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "1",
                        "is_error": false}]}],
                "tools": [{"type": "custom", "name": "f", "description": "d", "strict": false, "defer_loading": false,
                    "input_schema": {"type": "object"}}],
                "tool_choice": {"type": "auto", "disable_parallel_tool_use": false},
                "thinking": {"type": "disabled"},
                "output_config": {"effort": "low", "task_budget": {"type": "tokens", "total": 5}}}),
        ),
        (
            "/v1/responses",
            json!({"input": [
                    {"role": "user", "type": "message", "content": [{"type": "input_text", "text": "a"}]},
                    {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}],
                        "encrypted_content": "x", "status": "completed"},
                    {"type": "function_call", "id": "i", "call_id": "c", "name": "f", "arguments": "{}",
                        "status": "completed"},
                    {"type": "function_call_output", "id": "o", "call_id": "c", "output": "1", "status": "completed"}],
                "max_output_tokens": 5, "reasoning": {"effort": "medium", "summary": "auto"},
                "text": {"format": {"type": "text"}, "verbosity": "low"},
                "tools": [{"type": "function", "name": "f", "description": "d", "strict": false,
                    "parameters": {"type": "object"}}]}),
        ),
        (
            "/api/chat",
            json!({"model": "m", "stream": false, "messages": [
                    {"role": "user", "content": "a", "images": []},
                    {"role": "assistant", "content": "b", "thinking": "t", "tool_calls": [
                        {"id": "c", "function": {"name": "f", "arguments": {}, "index": 0}}]},
                    {"role": "tool", "content": "1", "tool_name": "f", "tool_call_id": "c"}],
                "tools": [{"type": "function", "function": {"name": "f", "description": "d",
                    "parameters": {"type": "object"}}}],
                "options": {"num_predict": 3, "temperature": 0.5, "stop": ["x"]}}),
        ),
        (
            "/api/generate",
            json!({"model": "m", "prompt": "a", "stream": false, "options": {"num_predict": 3}}),
        ),
        ("/v1/messages/count_tokens", json!({"model": "m", "messages": [{"role": "user", "content": "a"}]})),
        ("/api/show", json!({"model": "m"})),
        ("/tokenize", json!({"prompt": "a"})),
        ("/detokenize", json!({"tokens": [97]})),
        (
            "/parse_function_call",
            json!({"text": "a", "tool_call_parser": "hermes", "tools": [{"type": "function", "function": {"name": "f"}}]}),
        ),
        ("/separate_reasoning", json!({"text": "a", "reasoning_parser": "qwen3"})),
        ("/open_session", json!({"capacity_of_str_len": 5, "session_id": "s"})),
        ("/close_session", json!({"session_id": "s"})),
        ("/abort_request", json!({"rid": "nobody"})),
        ("/continue_generation", json!({})),
        ("/update_weight_version", json!({"new_version": "v", "abort_all_requests": false})),
        ("/configure_logging", json!({})),
        ("/release_memory_occupation", json!({"tags": ["kv_cache"]})),
        ("/slow_down", json!({"forward_sleep_time": 1})),
        ("/weights_checker", json!({"action": "checksum"})),
        ("/start_profile", json!({"num_steps": 1})),
        ("/set_internal_state", json!({"server_args": {"pp_max_micro_batch_size": 4}})),
    ]
}

/// The same for the routes of an embedding model.
fn embedding() -> Vec<(&'static str, Value)> {
    vec![
        ("/encode", json!({"text": "a"})),
        ("/classify", json!({"text": "a"})),
        ("/v1/embeddings", json!({"input": "a"})),
        ("/v1/classify", json!({"input": "a"})),
        ("/v1/rerank", json!({"query": "q", "documents": ["a", "b"]})),
        ("/v2/rerank", json!({"query": "q", "documents": [{"text": "a", "id": 1}], "rank_fields": ["text"]})),
        ("/api/embed", json!({"model": "m", "input": "a"})),
        ("/api/embeddings", json!({"model": "m", "prompt": "a"})),
        ("/v1/score", json!({"query": "q", "items": ["a"]})),
    ]
}

/// Keys whose values differ between any two answers.
fn is_fresh(key: &str) -> bool {
    ["id", "created", "created_at", "rid", "call_id"].contains(&key)
        || ["_ts", "_time", "latency", "_duration"].iter().any(|end| key.ends_with(end))
}

/// Whether a text is a generated id.
fn is_random_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn settled(value: &Value) -> Value {
    match value {
        Value::String(text) if is_random_id(text) => "ID".into(),
        // How a stream is split into lines depends on time, so only the last one is compared.
        Value::String(text) if text.starts_with('{') => {
            text.lines().last().map_or(Value::Null, |line| settled(&serde_json::from_str(line).unwrap()))
        }
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| !is_fresh(key))
            .map(|(key, value)| (key.clone(), settled(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(settled).collect(),
        other => other.clone(),
    }
}

/// Status and answer, with the prompt and parameters that the scheduler received.
async fn outcome(server: &TestServer, path: &str, body: &Value) -> (u16, Value, String) {
    server.engine.seen.lock().clear();
    let (status, answer) = server.call(path, body.clone()).await;
    let seen = server.engine.seen.lock();
    let seen: Vec<String> = seen
        .iter()
        .filter_map(|message| match message {
            AnyMessage::TokenizedGenerateReqInput(r) => {
                Some(format!("{:?} {:?} {:?}", r.input_ids, r.sampling_params, r.stream))
            }
            AnyMessage::TokenizedEmbeddingReqInput(r) => {
                Some(format!("{:?} {:?}", r.input_ids, r.dimensions))
            }
            _ => None,
        })
        .collect();
    (status, settled(&answer), seen.concat())
}

/// The paths of all keys in an object, including nested ones.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let place = format!("{at}/{key}");
                out.push(place.clone());
                if !FREE.contains(&key.as_str()) || inner.is_array() {
                    places(inner, &place, out);
                }
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, inner)| places(inner, &format!("{at}/{i}"), out));
        }
        _ => {}
    }
}

/// Sets every key that may be missing to null, and reports where that makes a difference.
async fn differences(server: &TestServer, path: &str, body: &Value) -> (usize, Vec<String>) {
    let mut all = Vec::new();
    places(body, "", &mut all);
    let (mut tried, mut wrong) = (0, Vec::new());
    for place in all {
        let (parent, key) = place.rsplit_once('/').unwrap();
        let without = |value: Option<Value>| {
            let mut body = body.clone();
            let map = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            match value {
                Some(value) => map.insert(key.to_owned(), value),
                None => map.shift_remove(key),
            };
            body
        };
        let absent = outcome(server, path, &without(None)).await;
        if absent.0 != 200 || (path, place.as_str()) == NO_LIMIT {
            continue;
        }
        tried += 1;
        let null = outcome(server, path, &without(Some(Value::Null))).await;
        if null != absent {
            wrong.push(format!("{path} {place}: without it {absent:?}, null {null:?}"));
        }
    }
    (tried, wrong)
}

/// Adds the document's fields that `body` lacks as null, one by one.
async fn undocumented(server: &TestServer, path: &str, body: &Value, fields: &Value) -> (usize, Vec<String>) {
    let plain = outcome(server, path, body).await;
    assert_eq!(plain.0, 200, "{path} {body}: {}", plain.1);
    let (mut tried, mut wrong) = (0, Vec::new());
    let required: Vec<&str> =
        fields["required"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
    for (name, schema) in fields["properties"].as_object().unwrap() {
        if body.get(name).is_some() || required.contains(&name.as_str()) {
            continue;
        }
        tried += 1;
        let mut with = body.clone();
        with[name] = Value::Null;
        let null = outcome(server, path, &with).await;
        if null != plain {
            wrong.push(format!("{path} {name}: without it {plain:?}, null {null:?}"));
        }
        let typed =
            schema["type"].is_null() || schema["type"].as_array().is_some_and(|t| t.contains(&json!("null")));
        if !typed {
            wrong.push(format!("{path} {name}: the document does not say that it may be null: {schema}"));
        }
    }
    (tried, wrong)
}

async fn check(server: &TestServer, bodies: Vec<(&'static str, Value)>) -> usize {
    let document: Value = server.get("/openapi.json").await.json().await.unwrap();
    let (mut tried, mut wrong) = (0, Vec::new());
    for (path, body) in bodies {
        let fields = &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"];
        for (n, found) in
            [differences(server, path, &body).await, undocumented(server, path, &body, fields).await]
        {
            tried += n;
            wrong.extend(found);
        }
    }
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
    tried
}

#[actix_web::test]
async fn null_is_no_value_on_every_route_that_generates_or_controls() {
    let server = common::start(&["--tool-call-parser", "hermes"]).await;
    let tried = check(&server, generating()).await;
    assert!(tried > 250, "only {tried} fields were tried");
}

#[actix_web::test]
async fn null_is_no_value_on_every_route_that_embeds() {
    let facts = EmbeddingFacts {
        model_path: "MODELS/tiny".into(),
        by_flag: false,
        hidden_size: 8,
        matryoshka_dimensions: Some(vec![]),
        labels: Some(vec!["LABEL_0".to_owned()]),
    };
    let server = common::start_embedding(facts).await;
    let tried = check(&server, embedding()).await;
    assert!(tried > 30, "only {tried} fields were tried");
}
