//! Tool calls in chat answers, whole and streamed, and the parser routes.

use serde_json::{Value, json};

use crate::common;
use crate::common::TestServer;
use crate::common::engine::Behaviour;

const ROME_AND_PARIS: &str = "Let me see.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}\n\
    </tool_call>\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Zürich\"}}\n</tool_call>";

fn tools() -> Value {
    json!([{"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}])
}

fn chat(more: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": tools()});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn qwen(script: &str) -> TestServer {
    let server = common::start(&["--tool-call-parser", "qwen25"]).await;
    server.engine.set(Behaviour::Script(script.into()));
    server
}

/// A reassembled streamed choice: content, calls as (id, name, arguments), finish reasons.
struct Streamed {
    content: String,
    calls: Vec<(String, String, String)>,
    finishes: Vec<String>,
}

fn put_together(chunks: &[Value], index: usize) -> Streamed {
    let mut whole = Streamed { content: String::new(), calls: Vec::new(), finishes: Vec::new() };
    for choice in chunks.iter().filter_map(|c| c["choices"].get(0)).filter(|c| c["index"] == index) {
        whole.content.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let place = call["index"].as_u64().unwrap() as usize;
            let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
            if place == whole.calls.len() {
                assert_eq!(call["function"]["arguments"], "", "the name comes alone");
                whole.calls.push((text(&call["id"]), text(&call["function"]["name"]), String::new()));
            } else {
                assert_eq!((&call["id"], &call["function"]["name"]), (&Value::Null, &Value::Null));
                whole.calls[place].2.push_str(call["function"]["arguments"].as_str().unwrap());
            }
        }
        whole.finishes.extend(choice["finish_reason"].as_str().map(str::to_owned));
    }
    whole
}

#[actix_web::test]
async fn calls_of_a_whole_answer_have_the_references_shape() {
    let server = qwen(ROME_AND_PARIS).await;
    let answer = server.ok("/v1/chat/completions", chat(json!({}))).await;
    let choice = &answer["choices"][0];
    let keys: Vec<&String> = choice["message"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["role", "content", "reasoning_content", "tool_calls"]);
    assert_eq!(choice["message"]["content"], "Let me see.");
    assert_eq!((&choice["finish_reason"], &choice["matched_stop"]), (&json!("tool_calls"), &Value::Null));
    let calls = choice["message"]["tool_calls"].as_array().unwrap();
    assert_eq!(calls.len(), 2);
    for (i, (call, city)) in calls.iter().zip(["Rome", "Zürich"]).enumerate() {
        let keys: Vec<&String> = call.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["id", "index", "type", "function"]);
        assert_eq!((&call["index"], &call["type"]), (&json!(i), &json!("function")));
        let id = call["id"].as_str().unwrap().strip_prefix("call_").unwrap();
        assert!(id.len() == 24 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
        assert_eq!(call["function"]["name"], "get_weather");
        let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
        assert_eq!(arguments, json!({"city": city}));
    }
    assert_ne!(calls[0]["id"], calls[1]["id"]);
    // In some models the markers of calls are special tokens.
    assert!(!server.engine.saw_request().await.sampling_params.skip_special_tokens);
}

#[actix_web::test]
async fn a_streamed_answer_equals_the_whole_one() {
    let array = "[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}]";
    let cases = [
        ("qwen25", ROME_AND_PARIS.to_owned(), "tool_calls"),
        ("hermes", ROME_AND_PARIS.replace(">\n{", ">{"), "tool_calls"),
        ("mistral", format!("[TOOL_CALLS] {array}"), "tool_calls"),
        ("llama3", "<|python_tag|>{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Rome\"}}".into(), "tool_calls"),
        ("pythonic", "[get_weather(city=\"Rome\")]".into(), "tool_calls"),
        (
            "qwen3_coder",
            "<tool_call>\n<function=get_weather>\n<parameter=city>\nRome\n</parameter>\n</function>\n</tool_call>".into(),
            "tool_calls",
        ),
        ("qwen25", "Just text, 1 < 2, and no <tool.".into(), "stop"),
        ("qwen25", "<tool_call>\n{\"name\": \"nothing_like_it\", \"arguments\": {}}\n</tool_call>".into(), "stop"),
    ];
    for (parser, script, finish) in cases {
        let server = common::start(&["--tool-call-parser", parser]).await;
        server.engine.set(Behaviour::Script(script.clone()));
        let answer = server.ok("/v1/chat/completions", chat(json!({}))).await;
        let whole = &answer["choices"][0];
        let chunks = server.chunks("/v1/chat/completions", chat(json!({"stream": true}))).await;
        let streamed = put_together(&chunks, 0);
        assert_eq!(streamed.content, whole["message"]["content"].as_str().unwrap(), "{parser} {script}");
        assert_eq!(streamed.finishes, [finish], "{parser} {script}");
        assert_eq!(whole["finish_reason"], finish, "{parser} {script}");
        let calls = whole["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
        assert_eq!(calls.len(), streamed.calls.len(), "{parser} {script}");
        assert_eq!(calls.is_empty(), finish == "stop");
        for (call, (id, name, arguments)) in calls.iter().zip(&streamed.calls) {
            assert_eq!(call["function"], json!({"name": name, "arguments": arguments}), "{parser}");
            assert!(id.starts_with("call_"));
            assert!(serde_json::from_str::<Value>(arguments).unwrap().is_object());
        }
    }
}

#[actix_web::test]
async fn a_call_chunk_is_written_as_the_reference_writes_it() {
    let server = qwen(ROME_AND_PARIS).await;
    let chunks = server.chunks("/v1/chat/completions", chat(json!({"stream": true}))).await;
    let first = chunks.iter().find(|c| c["choices"][0]["delta"].get("tool_calls").is_some()).unwrap();
    let delta = &first["choices"][0]["delta"];
    let id = delta["tool_calls"][0]["id"].as_str().unwrap();
    assert_eq!(
        delta.to_string(),
        format!(
            "{{\"role\":null,\"content\":null,\"reasoning_content\":null,\"tool_calls\":[{{\"id\":\"{id}\",\"index\":0,\
             \"type\":\"function\",\"function\":{{\"name\":\"get_weather\",\"arguments\":\"\"}}}}]}}"
        )
    );
    assert_eq!(first.get("usage"), Some(&Value::Null));
}

#[actix_web::test]
async fn a_call_that_the_length_cut_off_is_told_alike_in_both_forms_and_taken_back() {
    let server = qwen(ROME_AND_PARIS).await;
    let mut beginnings = Vec::new();
    for limit in [30, 40, 56, 60, 70, 75, 80, 100, 110, 136, 140, 150] {
        let answer = server.ok("/v1/chat/completions", chat(json!({"max_tokens": limit}))).await;
        let choice = &answer["choices"][0];
        let chunks =
            server.chunks("/v1/chat/completions", chat(json!({"stream": true, "max_tokens": limit}))).await;
        let streamed = put_together(&chunks, 0);
        let calls = choice["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
        let told: Vec<Value> = calls.iter().map(|call| call["function"].clone()).collect();
        let wanted: Vec<Value> =
            streamed.calls.iter().map(|(_, name, args)| json!({"name": name, "arguments": args})).collect();
        assert_eq!(told, wanted, "{limit}");
        assert_eq!(
            (&choice["finish_reason"], &streamed.finishes[0]),
            (&json!("length"), &"length".to_owned())
        );
        let Some(last) = calls.last() else { continue };
        beginnings.push(last["function"]["arguments"].as_str().unwrap().to_owned());
        let history = json!({"max_tokens": 1, "messages": [{"role": "user", "content": "hi"}, choice["message"],
            {"role": "tool", "tool_call_id": last["id"], "content": "12"}]});
        server.ok("/v1/chat/completions", history).await;
    }
    let cut = |text: &&String| serde_json::from_str::<Value>(text).is_err();
    assert!(
        beginnings.iter().filter(cut).count() > 2 && !beginnings.iter().all(|text| cut(&text)),
        "{beginnings:?}"
    );
}

#[actix_web::test]
async fn without_parser_tools_or_choice_calls_stay_text() {
    let server = qwen(ROME_AND_PARIS).await;
    let mut no_tools = chat(json!({}));
    no_tools.as_object_mut().unwrap().remove("tools");
    let plain = common::start(&[]).await;
    plain.engine.set(Behaviour::Script(ROME_AND_PARIS.into()));
    for (server, body) in [
        (&server, chat(json!({"tool_choice": "none"}))),
        (&server, no_tools),
        (&plain, chat(json!({"tool_choice": "auto"}))),
    ] {
        let answer = server.ok("/v1/chat/completions", body).await;
        let choice = &answer["choices"][0];
        assert_eq!(choice["message"]["content"], ROME_AND_PARIS);
        assert_eq!((&choice["finish_reason"], &choice["matched_stop"]), (&json!("stop"), &json!(257)));
        assert!(choice["message"].get("tool_calls").is_none());
    }
}

#[actix_web::test]
async fn one_call_is_given_when_parallel_calls_are_not_wanted() {
    let server = qwen(ROME_AND_PARIS).await;
    let answer = server.ok("/v1/chat/completions", chat(json!({"parallel_tool_calls": false}))).await;
    assert_eq!(answer["choices"][0]["message"]["tool_calls"].as_array().unwrap().len(), 1);
    let body = chat(json!({"parallel_tool_calls": false, "stream": true}));
    let streamed = put_together(&server.chunks("/v1/chat/completions", body).await, 0);
    assert_eq!((streamed.calls.len(), streamed.finishes), (1, vec!["tool_calls".to_owned()]));
}

#[actix_web::test]
async fn every_choice_of_a_stream_has_its_own_calls_end_and_log_probabilities() {
    let server = qwen(ROME_AND_PARIS).await;
    let body = chat(json!({"stream": true, "n": 2, "logprobs": true}));
    let chunks = server.chunks("/v1/chat/completions", body).await;
    for index in [0, 1] {
        let streamed = put_together(&chunks, index);
        assert_eq!((streamed.calls.len(), streamed.finishes.len()), (2, 1));
        let tokens = chunks
            .iter()
            .filter(|c| c["choices"][0]["index"] == index)
            .filter_map(|c| c["choices"][0]["logprobs"]["content"].as_array());
        assert_eq!(tokens.map(Vec::len).sum::<usize>(), ROME_AND_PARIS.len() + 1);
    }
}

#[actix_web::test]
async fn kimi_counts_its_calls_over_the_conversation() {
    let server = common::start(&["--tool-call-parser", "kimi_k2"]).await;
    server.engine.set(Behaviour::Script(
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>\
         {\"city\": \"Rome\"}<|tool_call_end|><|tool_calls_section_end|>"
            .into(),
    ));
    let call = json!({"id": "functions.get_weather:0", "type": "function",
        "function": {"name": "get_weather", "arguments": "{}"}});
    let body = chat(json!({"messages": [{"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "functions.get_weather:0", "content": "sunny"}]}));
    let answer = server.ok("/v1/chat/completions", body).await;
    assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["id"], "functions.get_weather:1");
}

#[actix_web::test]
async fn the_model_says_which_parsers_it_has() {
    let server = common::start(&["--tool-call-parser", "qwen25", "--reasoning-parser", "qwen3"]).await;
    let info: Value = server.get("/model_info").await.json().await.unwrap();
    assert_eq!((&info["tool_call_parser"], &info["reasoning_parser"]), (&json!("qwen"), &json!("qwen3")));
    let server = common::start(&["--tool-call-parser", "auto"]).await;
    let info: Value = server.get("/model_info").await.json().await.unwrap();
    assert_eq!((&info["tool_call_parser"], &info["reasoning_parser"]), (&Value::Null, &Value::Null));
}

#[actix_web::test]
async fn parse_function_call_answers_as_recorded_and_refuses_unknown_parsers() {
    let server = common::start(&[]).await;
    let text =
        "ok<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>";
    let body = |parser: Value| json!({"text": text, "tools": tools(), "tool_call_parser": parser});
    let response = server.post("/parse_function_call", body("qwen25".into())).await;
    assert_eq!(
        response.text().await.unwrap(),
        r#"{"normal_text":"ok","calls":[{"tool_index":0,"name":"get_weather","parameters":"{\"city\": \"Rome\"}"}]}"#
    );
    for (parser, why) in [(json!("nope"), "Unsupported tool_call_parser: nope"), (Value::Null, "is missing")]
    {
        let (status, error) = server.call("/parse_function_call", body(parser)).await;
        let message = error["message"].as_str().unwrap();
        assert_eq!((status, &error["code"]), (400, &json!(400)));
        assert!(message.contains(why) && message.contains("qwen3_coder"), "{message}");
    }
    let own = qwen("").await.ok("/parse_function_call", body(Value::Null)).await;
    assert_eq!(own["normal_text"], "ok");
    let (status, error) = server.call("/parse_function_call", json!({"tools": []})).await;
    assert!(status == 400 && error["message"].as_str().unwrap().contains("'text'"), "{error}");
}
