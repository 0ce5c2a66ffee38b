//! Ollama's routes.

use serde_json::{Value, json};
use sglang_http_server::environment::EnvSettings;
use sglang_http_server::environment::moved_routes::MovedRoutes;
use sglang_tokenizer_manager::requests::embedding::EmbeddingFacts;

use crate::common;
use crate::common::TestServer;
use crate::common::engine::Behaviour;

fn chat(more: Value) -> Value {
    let mut body = json!({"model": "any", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn lines(server: &TestServer, path: &str, body: Value) -> Vec<Value> {
    let response = server.post(path, body).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let text = response.text().await.unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[actix_web::test]
async fn answers_have_the_references_shape() {
    let server = common::start(&[]).await;
    let mut answer = server.ok("/api/chat", chat(json!({"stream": false}))).await;
    assert!(answer["total_duration"].as_u64().unwrap() > 0);
    let time = answer["created_at"].as_str().unwrap().to_owned();
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    answer["total_duration"] = 1.into();
    answer["created_at"] = "T".into();
    assert_eq!(
        answer.to_string(),
        "{\"model\":\"MODELS/tiny\",\"created_at\":\"T\",\"message\":{\"role\":\"assistant\",\"content\":\"user:hi\",\
         \"images\":null},\"done\":true,\"done_reason\":\"stop\",\"total_duration\":1,\"load_duration\":null,\
         \"prompt_eval_count\":20,\"prompt_eval_duration\":null,\"eval_count\":9,\"eval_duration\":null}"
    );
    let body = json!({"model": "any", "prompt": "abc", "stream": false, "options": {"num_predict": 3}});
    let answer = server.ok("/api/generate", body).await;
    assert_eq!((&answer["response"], &answer["done_reason"]), (&json!("abc"), &json!("length")));
    assert_eq!(answer["context"], json!([97, 98, 99, 97, 98, 99]));
    assert_eq!(answer.as_object().unwrap().len(), 12);
}

#[actix_web::test]
async fn no_piece_of_a_stream_is_lost_whatever_the_native_streams_look_like() {
    for flags in [&[][..], &["--incremental-streaming-output"]] {
        let server = common::start(flags).await;
        let lines = lines(&server, "/api/chat", chat(json!({}))).await;
        let text: String = lines.iter().map(|l| l["message"]["content"].as_str().unwrap()).collect();
        assert_eq!(text, "user:hi");
        let (end, pieces) = lines.split_last().unwrap();
        assert!(
            !pieces.is_empty() && pieces.iter().all(|l| l["done"] == false && l["done_reason"].is_null())
        );
        assert_eq!(
            (&end["done"], &end["done_reason"], &end["message"]["content"]),
            (&json!(true), &json!("stop"), &json!(""))
        );
        assert!(lines.iter().all(|l| l["model"] == "MODELS/tiny"));
    }
}

#[actix_web::test]
async fn options_reach_the_engine_and_the_seed_is_no_error() {
    let server = common::start(&[]).await;
    let options = json!({"seed": 7, "temperature": 0.5, "num_predict": 4, "stop": ["x"], "num_ctx": 9});
    server
        .ok("/api/generate", json!({"model": "m", "prompt": "x", "stream": false, "options": options}))
        .await;
    let params = server.engine.saw_request().await.sampling_params;
    assert_eq!((params.sampling_seed, params.temperature, params.max_new_tokens), (Some(7), 0.5, Some(4)));
    assert_eq!(params.stop_strs.0, ["x"]);
}

#[actix_web::test]
async fn a_format_is_the_grammar_of_the_answer() {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    for (format, expected) in [
        (json!("json"), Some(json!({"type": "object"}))),
        (schema.clone(), Some(schema)),
        (Value::Null, None),
    ] {
        let bodies = [
            ("/api/chat", chat(json!({"stream": false, "format": format}))),
            ("/api/generate", json!({"model": "m", "prompt": "x", "stream": false, "format": format})),
        ];
        for (path, body) in bodies {
            let server = common::start(&[]).await;
            server.ok(path, body).await;
            let params = server.engine.saw_request().await.sampling_params;
            let grammar = params.json_schema.as_deref().map(serde_json::from_str::<Value>);
            assert_eq!(grammar.transpose().unwrap(), expected, "{path}");
        }
    }
}

#[actix_web::test]
async fn an_answer_may_have_2048_tokens_when_nothing_is_said() {
    let server = common::start(&[]).await;
    server.ok("/api/chat", chat(json!({"stream": false}))).await;
    assert_eq!(server.engine.saw_request().await.sampling_params.max_new_tokens, Some(2048));
}

#[actix_web::test]
async fn a_blank_prompt_is_answered_at_once() {
    let server = common::start(&[]).await;
    let answer = lines(&server, "/api/generate", json!({"model": "m", "prompt": " "})).await;
    assert_eq!((answer.len(), &answer[0]["done"], &answer[0]["response"]), (1, &json!(true), &json!("")));
    let whole = server.ok("/api/generate", json!({"model": "m", "prompt": "", "stream": false})).await;
    assert_eq!((&whole["done"], &whole["eval_count"]), (&json!(true), &Value::Null));
    assert!(server.engine.seen.lock().is_empty());
}

/// The prompt that the engine received, without special tokens.
async fn prompt(server: &TestServer) -> String {
    let ids = server.engine.saw_request().await.input_ids.unwrap().0;
    let bytes: Vec<u8> = ids.iter().filter_map(|id| u8::try_from(*id).ok()).collect();
    String::from_utf8(bytes).unwrap()
}

#[actix_web::test]
async fn a_last_message_of_the_assistant_is_continued() {
    let server = common::start(&[]).await;
    let messages = json!([{"role": "system", "content": "s"}, {"role": "assistant", "content": "a b"}]);
    server.ok("/api/chat", chat(json!({"messages": messages, "stream": false}))).await;
    assert_eq!(prompt(&server).await, "system:sassistant:a b");
}

#[actix_web::test]
async fn the_model_is_listed_and_shown() {
    let server = common::start(&["--served-model-name", "org/Tiny-Chat"]).await;
    let tags: Value = server.get("/api/tags").await.json().await.unwrap();
    let model = &tags["models"][0];
    assert_eq!(
        (&model["name"], &model["model"], &model["size"]),
        (&json!("org/Tiny-Chat"), &json!("org/Tiny-Chat"), &json!(0))
    );
    assert_eq!(
        model["details"],
        json!({"format": "sglang", "family": "Tiny-Chat", "parameter_size": "unknown"})
    );
    let shown = server.ok("/api/show", json!({"model": "asked"})).await;
    assert_eq!(shown["model_info"]["general.name"], "asked");
}

#[actix_web::test]
async fn errors_say_what_is_wrong() {
    let server = common::start(&[]).await;
    for (path, wrong, part) in [
        (
            "/api/chat",
            json!({"model": "m", "messages": [{"role": "user"}]}),
            "('body', 'messages', 0, 'content')",
        ),
        ("/api/chat", chat(json!({"options": {"temperature": -1}})), "temperature must be"),
        (
            "/api/chat",
            chat(json!({"messages": [{"role": "raise", "content": "x"}]})),
            "'role' must be one of",
        ),
        ("/api/generate", json!({"model": "m", "prompt": "x", "options": {"top_k": "many"}}), "top_k"),
        ("/api/show", json!({}), "('body', 'model')"),
    ] {
        let (status, answer) = server.call(path, wrong).await;
        let message = answer["message"].as_str().unwrap_or_default();
        assert!(
            status == 400
                && answer["object"] == "error"
                && message.contains(part)
                && answer["error"] == message,
            "{path}: {status} {answer}"
        );
    }
    server.engine.set(Behaviour::Refuse("The request queue is full.".into(), 503));
    let (status, answer) = server.call("/api/chat", chat(json!({"stream": false}))).await;
    assert_eq!((status, &answer["message"]), (503, &json!("The request queue is full.")));
    let lines = lines(&server, "/api/chat", chat(json!({}))).await;
    assert_eq!(lines, [json!({"error": "The request queue is full."})]);
}

#[actix_web::test]
async fn routes_can_be_moved() {
    let moved_routes = MovedRoutes::new(|name| match name {
        "SGLANG_OLLAMA_ROOT_ROUTE" => Some("/o".into()),
        "SGLANG_OLLAMA_TAGS_ROUTE" => Some("/o/tags".into()),
        _ => None,
    });
    let env = EnvSettings { moved_routes, ..Default::default() };
    let server = common::start_with(&["--api-key", "k", "--fastapi-root-path", "/p"], env).await;
    let get = |path: &'static str| {
        let request = server.client.get(server.url(path)).bearer_auth("k");
        async { request.send().await.unwrap() }
    };
    let root = get("/o").await;
    assert_eq!((root.status().as_u16(), root.text().await.unwrap().as_str()), (200, "\"Ollama is running\""));
    assert_eq!(get("/").await.status(), 404);
    assert_eq!(get("/o/tags").await.status(), 200);
    assert_eq!(get("/p/o/tags").await.status(), 200);
    assert_eq!(get("/api/tags").await.status(), 404);
    assert_eq!(server.get("/o/tags").await.status(), 401);
}

const TOOLS: &str = r#"[{"type": "function", "function": {"name": "get_weather", "description": "Weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]"#;
const CALL: &str =
    "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>";

#[actix_web::test]
async fn tools_reach_the_template_and_calls_come_in_ollamas_form() {
    let server = common::start(&["--tool-call-parser", "hermes"]).await;
    server.engine.set(Behaviour::Script(format!("Let me see.{CALL}")));
    let tools: Value = serde_json::from_str(TOOLS).unwrap();
    let answer = server.ok("/api/chat", chat(json!({"tools": tools, "stream": false}))).await;
    assert!(prompt(&server).await.starts_with("[tool get_weather]"));
    let message = &answer["message"];
    assert_eq!(
        message["tool_calls"][0]["function"],
        json!({"index": 0, "name": "get_weather", "arguments": {"city": "Paris"}})
    );
    assert_eq!((&message["content"], &answer["done_reason"]), (&json!("Let me see."), &json!("stop")));
    let lines = lines(&server, "/api/chat", chat(json!({"tools": tools}))).await;
    let text: String = lines.iter().map(|l| l["message"]["content"].as_str().unwrap()).collect();
    let calls: Vec<&Value> =
        lines.iter().flat_map(|l| l["message"]["tool_calls"].as_array()).flatten().collect();
    assert_eq!(text, "Let me see.");
    assert_eq!((calls.len(), &calls[0]["function"]), (1, &message["tool_calls"][0]["function"]));
    // The assistant's message is sent back unchanged, followed by the tool's answer.
    let history = json!([{"role": "user", "content": "q"}, message,
        {"role": "tool", "tool_name": "get_weather", "content": "12 degrees"}]);
    server.engine.set(Behaviour::Script("Cold.".into()));
    let answer =
        server.ok("/api/chat", chat(json!({"messages": history, "tools": tools, "stream": false}))).await;
    assert_eq!(answer["message"]["content"], "Cold.");
    assert_eq!(answer["message"].get("tool_calls"), None);
}

#[actix_web::test]
async fn a_call_that_the_limit_cuts_off_is_left_out_and_the_reason_says_so() {
    let server = common::start(&["--tool-call-parser", "hermes"]).await;
    server.engine.set(Behaviour::Script(CALL.into()));
    let tools: Value = serde_json::from_str(TOOLS).unwrap();
    let body = json!({"tools": tools, "options": {"num_predict": CALL.len() - 20}});
    let mut whole = chat(body.clone());
    whole["stream"] = false.into();
    let answer = server.ok("/api/chat", whole).await;
    assert_eq!((answer["message"].get("tool_calls"), &answer["done_reason"]), (None, &json!("length")));
    let lines = lines(&server, "/api/chat", chat(body)).await;
    assert!(lines.iter().all(|line| line["message"].get("tool_calls").is_none()), "{lines:?}");
    assert_eq!(lines.last().unwrap()["done_reason"], "length");
}

#[actix_web::test]
async fn what_the_model_cannot_do_is_refused_by_name() {
    let server = common::start(&[]).await;
    let tools: Value = serde_json::from_str(TOOLS).unwrap();
    let image = json!([{"role": "user", "content": "x", "images": ["aGk="]}]);
    for (path, body, part) in [
        ("/api/chat", chat(json!({"tools": tools})), "does not support tools"),
        ("/api/chat", chat(json!({"messages": image})), "only supports text"),
        ("/api/chat", chat(json!({"think": true})), "does not support thinking"),
        ("/api/chat", chat(json!({"messages": [], "keep_alive": 0})), "stays loaded"),
        ("/api/generate", json!({"model": "m", "prompt": "x", "images": ["aGk="]}), "only supports text"),
        ("/api/generate", json!({"model": "m", "prompt": "x", "suffix": "y"}), "does not support insert"),
        ("/api/generate", json!({"model": "m", "prompt": "x", "template": "{{ .Prompt }}"}), "template"),
        ("/api/generate", json!({"model": "m", "prompt": "x", "context": [1, 999_999]}), "999999"),
        ("/api/generate", json!({"model": "m", "prompt": "", "keep_alive": "0s"}), "stays loaded"),
        ("/api/embed", json!({"model": "m", "input": "x"}), "--is-embedding"),
    ] {
        let (status, answer) = server.call(path, body).await;
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(status == 400 && error.contains(part), "{path}: {status} {answer}");
    }
}

#[actix_web::test]
async fn thinking_is_switched_and_told_apart() {
    let server = common::start(&["--reasoning-parser", "qwen3"]).await;
    server.engine.set(Behaviour::Script("hm</think>So.".into()));
    let answer = server.ok("/api/chat", chat(json!({"think": true, "stream": false}))).await;
    assert!(prompt(&server).await.contains("[enable_thinking=true]"));
    assert_eq!(
        (&answer["message"]["thinking"], &answer["message"]["content"]),
        (&json!("hm"), &json!("So."))
    );
    let streamed = lines(&server, "/api/chat", chat(json!({"think": true}))).await;
    let of = |key: &str| -> String { streamed.iter().filter_map(|l| l["message"][key].as_str()).collect() };
    assert_eq!((of("thinking").as_str(), of("content").as_str()), ("hm", "So."));
    let body = json!({"model": "m", "prompt": "p", "think": true, "stream": false, "system": "s"});
    let answer = server.ok("/api/generate", body).await;
    assert_eq!((&answer["thinking"], &answer["response"]), (&json!("hm"), &json!("So.")));
}

#[actix_web::test]
async fn a_prompt_is_raw_unless_the_template_is_asked_for_and_a_context_goes_on() {
    let body = |more: Value| {
        let mut body = json!({"model": "m", "prompt": "p", "stream": false, "options": {"num_predict": 2}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (more, expected) in [
        (json!({}), "p"),
        (json!({"raw": true}), "p"),
        (json!({"raw": false, "system": "s"}), "system:suser:passistant:"),
        (json!({"context": [97, 98]}), "abp"),
        (json!({"context": [97, 98], "raw": false}), "abuser:passistant:"),
    ] {
        let server = common::start(&[]).await;
        let answer = server.ok("/api/generate", body(more.clone())).await;
        assert_eq!(prompt(&server).await, expected, "{more}");
        assert_eq!(answer["context"].is_null(), more["raw"] == true, "{more}");
    }
    let server = common::start(&[]).await;
    let first = server.ok("/api/generate", body(json!({}))).await;
    let lines = lines(&server, "/api/generate", body(json!({"stream": true}))).await;
    assert_eq!(first["context"], json!([112, 112, 112]));
    assert_eq!(lines.last().unwrap()["context"], first["context"]);
}

#[actix_web::test]
async fn log_probabilities_come_with_their_text() {
    let server = common::start(&[]).await;
    let more = json!({"logprobs": true, "top_logprobs": 2, "options": {"num_predict": 3}});
    let mut whole = chat(more.clone());
    whole["stream"] = false.into();
    let whole = server.ok("/api/chat", whole).await["logprobs"].clone();
    assert_eq!(whole.as_array().unwrap().len(), 3);
    assert_eq!(whole[0]["top_logprobs"].as_array().unwrap().len(), 2);
    let lines = lines(&server, "/api/chat", chat(more)).await;
    let streamed: Vec<Value> =
        lines.iter().flat_map(|l| l["logprobs"].as_array().cloned()).flatten().collect();
    assert_eq!(Value::from(streamed), whole);
}

#[actix_web::test]
async fn the_end_of_a_stream_counts_and_a_model_is_loaded_by_an_empty_chat() {
    let server = common::start(&[]).await;
    let lines = lines(&server, "/api/chat", chat(json!({"options": {"num_predict": 3}}))).await;
    let end = lines.last().unwrap();
    assert_eq!((&end["prompt_eval_count"], &end["eval_count"]), (&json!(20), &json!(3)));
    assert!(end["total_duration"].as_u64() > end["eval_duration"].as_u64());
    let loaded = server.ok("/api/chat", chat(json!({"messages": [], "stream": false}))).await;
    assert_eq!((&loaded["done"], &loaded["done_reason"]), (&json!(true), &json!("load")));
}

#[actix_web::test]
async fn version_and_running_models_are_told() {
    let server = common::start(&["--served-model-name", "org/Tiny-Chat"]).await;
    let version: Value = server.get("/api/version").await.json().await.unwrap();
    assert_eq!(version["version"].as_str().unwrap().split('.').count(), 3);
    let ps: Value = server.get("/api/ps").await.json().await.unwrap();
    let model = &ps["models"][0];
    assert_eq!((&model["model"], &model["context_length"]), (&json!("org/Tiny-Chat"), &json!(4096)));
}

#[actix_web::test]
async fn vectors_have_length_1_and_long_texts_are_cut() {
    let facts = EmbeddingFacts {
        model_path: "MODELS/tiny".into(),
        by_flag: false,
        hidden_size: 8,
        matryoshka_dimensions: Some(vec![]),
        labels: None,
    };
    let server = common::start_embedding(facts).await;
    let answer = server.ok("/api/embed", json!({"model": "m", "input": ["ab", "c"], "dimensions": 2})).await;
    let first: Vec<f64> = serde_json::from_value(answer["embeddings"][0].clone()).unwrap();
    assert!((first.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-6 && first.len() == 2, "{answer}");
    assert_eq!((&answer["embeddings"][1], &answer["prompt_eval_count"]), (&json!([1.0]), &json!(3)));
    assert_eq!(server.ok("/api/embed", json!({"model": "m", "input": ""})).await["embeddings"], json!([]));
    let old = server.ok("/api/embeddings", json!({"model": "m", "prompt": "a"})).await;
    assert_eq!(old, json!({"embedding": [97.0]}));
    let long = "x".repeat(5000);
    let cut = server.ok("/api/embed", json!({"model": "m", "input": long})).await;
    assert_eq!(cut["prompt_eval_count"], 4096);
    let (status, refused) =
        server.call("/api/embed", json!({"model": "m", "input": long, "truncate": false})).await;
    assert!(status == 400 && refused["error"].as_str().unwrap().contains("longer than"), "{refused}");
}
