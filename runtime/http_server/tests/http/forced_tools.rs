//! Forced calls: what is requested from the scheduler, and how the answer is parsed.

use serde_json::{Value, json};

use crate::common;
use crate::common::TestServer;
use crate::common::engine::Behaviour;

const ARRAY: &str = "[{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Zürich \\\"HB\\\"\", \"days\": 3}}, \
    {\"name\": \"get_time\", \"parameters\": {}}]";

/// Forces calls of tools whose schemas cannot be expressed as a Python list, which has no patterns.
fn chat(more: Value) -> Value {
    let tool = |name: &str| {
        json!({"type": "function", "function": {"name": name, "parameters": {
        "type": "object", "properties": {"city": {"type": "str", "pattern": "."}, "days": {"type": "int"}}}}})
    };
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}],
        "tools": [tool("get_weather"), tool("get_time")], "tool_choice": "required"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn named(name: &str) -> Value {
    json!({"tool_choice": {"type": "function", "function": {"name": name}}})
}

async fn server(flags: &[&str], script: &str) -> TestServer {
    let server = common::start(flags).await;
    server.engine.set(Behaviour::Script(script.into()));
    server
}

/// The calls of a streamed choice; every piece must leave a prefix of valid JSON.
fn streamed_calls(chunks: &[Value]) -> (Vec<(String, String)>, Vec<String>) {
    let (mut calls, mut finishes): (Vec<(String, String)>, Vec<String>) = Default::default();
    for choice in chunks.iter().filter_map(|c| c["choices"].get(0)) {
        assert!(choice["delta"]["content"].as_str().is_none_or(str::is_empty), "{choice}");
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            if let Some(name) = call["function"]["name"].as_str() {
                calls.push((name.to_owned(), String::new()));
            }
            let arguments = &mut calls.last_mut().unwrap().1;
            arguments.push_str(call["function"]["arguments"].as_str().unwrap());
            let prefix = serde_json::from_str::<Value>(arguments);
            assert!(prefix.is_ok() || prefix.is_err_and(|e| e.is_eof()), "{arguments} begins no JSON");
        }
        finishes.extend(choice["finish_reason"].as_str().map(str::to_owned));
    }
    (calls, finishes)
}

#[actix_web::test]
async fn a_format_without_a_grammar_is_forced_into_an_array_and_read_from_it() {
    let server = server(&["--tool-call-parser", "pythonic"], ARRAY).await;
    let answer = server.ok("/v1/chat/completions", chat(json!({}))).await;
    let choice = &answer["choices"][0];
    assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json!("tool_calls"), &json!("")));
    let calls = choice["message"]["tool_calls"].as_array().unwrap();
    let whole: Vec<(String, String)> = calls
        .iter()
        .map(|call| {
            let text = |key: &str| call["function"][key].as_str().unwrap().to_owned();
            (text("name"), text("arguments"))
        })
        .collect();
    assert_eq!(whole[1], ("get_time".into(), "{}".into()));
    let arguments: Value = serde_json::from_str(&whole[0].1).unwrap();
    assert_eq!(arguments, json!({"city": "Zürich \"HB\"", "days": 3}));
    let chunks = server.chunks("/v1/chat/completions", chat(json!({"stream": true}))).await;
    let (streamed, finishes) = streamed_calls(&chunks);
    assert_eq!((streamed, finishes), (whole, vec!["tool_calls".to_owned()]));
    let sampling = server.engine.saw_request().await.sampling_params;
    let schema: Value = serde_json::from_str(sampling.json_schema.as_deref().unwrap()).unwrap();
    assert_eq!((&schema["type"], &schema["minItems"]), (&json!("array"), &json!(1)));
    // Type names of other languages are replaced by JSON Schema types.
    let city = schema.pointer("/items/anyOf/0/properties/parameters/properties/city/type");
    assert_eq!((city, sampling.skip_special_tokens), (Some(&json!("string")), false));
}

#[actix_web::test]
async fn without_a_parser_the_array_stays_text_as_in_the_reference() {
    let server = server(&[], ARRAY).await;
    let answer = server.ok("/v1/chat/completions", chat(json!({}))).await;
    let choice = &answer["choices"][0];
    assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json!("stop"), &json!(ARRAY)));
    assert!(choice["message"].get("tool_calls").is_none());
    assert!(server.engine.saw_request().await.sampling_params.json_schema.is_some());
}

#[actix_web::test]
async fn a_named_tool_is_the_only_one_in_prompt_and_grammar_and_is_called_once() {
    let call = "<tool_call>\n{\"name\":\"get_time\", \"arguments\":{\"days\": 1}}\n</tool_call>";
    let server = server(&["--tool-call-parser", "qwen25"], call).await;
    let answer = server.ok("/v1/chat/completions", chat(named("get_time"))).await;
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["name"], "get_time");
    assert_eq!((&choice["finish_reason"], &choice["matched_stop"]), (&json!("tool_calls"), &Value::Null));
    let request = server.engine.saw_request().await;
    let tag: Value =
        serde_json::from_str(request.sampling_params.structural_tag.as_deref().unwrap()).unwrap();
    let format = &tag["format"];
    assert_eq!((&format["at_least_one"], &format["stop_after_first"]), (&json!(true), &json!(true)));
    let tags = format["tags"].as_array().unwrap();
    assert!(tags.len() == 1 && tags[0]["begin"].as_str().unwrap().contains("get_time"), "{tag}");
    assert_eq!(tags[0]["content"]["json_schema"]["properties"]["days"]["type"], "integer");
    let bytes: Vec<u8> = request.input_ids.unwrap().0.iter().map(|id| *id as u8).collect();
    let prompt = String::from_utf8_lossy(&bytes).into_owned();
    assert!(prompt.contains("[tool get_time]") && !prompt.contains("get_weather"), "{prompt}");
}

#[actix_web::test]
async fn one_call_at_a_time_and_every_schema_reach_the_grammar() {
    let server = server(&["--tool-call-parser", "hermes"], "no call").await;
    let mut body = chat(json!({"parallel_tool_calls": false}));
    body["tools"][0]["function"]["strict"] = true.into();
    let answer = server.ok("/v1/chat/completions", body).await;
    // This test's engine knows no grammars, so its output is text.
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["choices"][0]["message"]["content"], "no call");
    let sampling = server.engine.saw_request().await.sampling_params;
    let tag: Value = serde_json::from_str(sampling.structural_tag.as_deref().unwrap()).unwrap();
    assert_eq!(tag["format"]["stop_after_first"], true);
    for i in 0..2 {
        assert_eq!(
            tag["format"]["tags"][i]["content"]["json_schema"]["properties"]["days"]["type"],
            "integer"
        );
    }
}

#[actix_web::test]
async fn a_forced_call_that_the_length_cuts_off_ends_with_length() {
    let server = server(&["--tool-call-parser", "pythonic"], ARRAY).await;
    let answer = server.ok("/v1/chat/completions", chat(json!({"max_tokens": 60}))).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    let more = json!({"max_tokens": 60, "stream": true});
    let (calls, finishes) = streamed_calls(&server.chunks("/v1/chat/completions", chat(more)).await);
    assert_eq!((calls[0].0.as_str(), finishes), ("get_weather", vec!["length".to_owned()]));
    assert!(serde_json::from_str::<Value>(&calls[0].1).unwrap_err().is_eof());
}

#[actix_web::test]
async fn tools_that_cannot_be_are_refused_by_name_and_place() {
    let server = server(&["--tool-call-parser", "qwen25"], "x").await;
    let with = |function: Value| chat(json!({"tools": [{"type": "function", "function": function}]}));
    for (body, part) in [
        (chat(named("get_wether")), "Tool 'get_wether' not found in tools list."),
        (with(json!({"parameters": {}})), "'loc': ('body', 'tools', 0, 'function', 'name')"),
        (with(json!({"name": ""})), "a function needs a name that is not empty"),
        (
            with(json!({"name": "f", "parameters": "{}"})),
            "'loc': ('body', 'tools', 0, 'function', 'parameters')",
        ),
        (
            with(json!({"name": "f", "parameters": {"properties": {"a": {"type": "strin"}}}})),
            "Tool 0 function has invalid 'parameters' schema: at /properties/a/type",
        ),
        (chat(json!({"response_format": {"type": "json_object"}})), "cannot both be honored"),
        (chat(json!({"regex": "a"})), "cannot both be honored"),
        (chat(json!({"tools": []})), "Tools cannot be empty if tool choice is set to required."),
    ] {
        let (status, error) = server.call("/v1/chat/completions", body).await;
        let message = error["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(part), "{status} {error}");
    }
}

#[actix_web::test]
async fn the_messages_api_forces_calls_too() {
    let call = "<tool_call>\n{\"name\":\"f\", \"arguments\":{\"a\": 1}}\n</tool_call>";
    let server = server(&["--tool-call-parser", "qwen25"], call).await;
    let body = |choice: Value| {
        json!({"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}], "tool_choice": choice,
            "tools": [{"name": "f", "input_schema": {"type": "object"}}, {"name": "g", "input_schema": {}}]})
    };
    for (choice, tags, single) in [
        (json!({"type": "any"}), 2, false),
        (json!({"type": "any", "disable_parallel_tool_use": true}), 2, true),
        (json!({"type": "tool", "name": "f"}), 1, true),
    ] {
        server.engine.seen.lock().clear();
        let answer = server.ok("/v1/messages", body(choice.clone())).await;
        assert_eq!(answer["stop_reason"], "tool_use", "{answer}");
        assert_eq!(
            (&answer["content"][0]["name"], &answer["content"][0]["input"]),
            (&json!("f"), &json!({"a": 1}))
        );
        let sampling = server.engine.saw_request().await.sampling_params;
        let tag: Value = serde_json::from_str(sampling.structural_tag.as_deref().unwrap()).unwrap();
        assert_eq!(tag["format"]["tags"].as_array().unwrap().len(), tags, "{choice}");
        assert_eq!(tag["format"]["stop_after_first"], single, "{choice}");
    }
    server.engine.seen.lock().clear();
    server.ok("/v1/messages", body(json!({"type": "none"}))).await;
    assert_eq!(server.engine.saw_request().await.sampling_params.structural_tag, None);
}

#[actix_web::test]
async fn gpt_oss_keeps_its_marks_and_cannot_stop_thinking() {
    let script = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.get_time \
        <|constrain|>json<|message|>{\"days\": 2}<|call|>";
    let flags = ["--tool-call-parser", "gpt-oss", "--reasoning-parser", "gpt-oss"];
    let server = server(&flags, script).await;
    let answer = server.ok("/v1/chat/completions", chat(json!({}))).await;
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["reasoning_content"], "Hm.");
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["arguments"], "{\"days\": 2}");
    let request = server.engine.saw_request().await;
    assert!(!request.sampling_params.skip_special_tokens && request.require_reasoning);
    server.ok("/v1/chat/completions", chat(json!({"tools": null, "tool_choice": null}))).await;
    let kept = server.engine.seen.lock().iter().all(|message| match message {
        sglang_proto::messages::AnyMessage::TokenizedGenerateReqInput(r) => {
            !r.sampling_params.skip_special_tokens
        }
        _ => true,
    });
    assert!(kept, "without tools as well");
    let (status, error) =
        server.call("/v1/chat/completions", chat(json!({"reasoning_effort": "none"}))).await;
    assert_eq!((status, &error["message"]), (400, &json!("Harmony does not support reasoning effort none")));
}
