//! The routes of Ollama.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::TestServer;
use common::engine::Behaviour;
use serde_json::{Value, json};
use sglang_tokenizer_manager::app::EnvSettings;
use sglang_tokenizer_manager::http::moved_routes::MovedRoutes;

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
    assert_eq!((&answer["response"], &answer["context"]), (&json!("abc"), &Value::Null));
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

#[actix_web::test]
async fn a_conversation_is_rendered_as_it_is() {
    let server = common::start(&[]).await;
    let messages = json!([{"role": "system", "content": "s"}, {"role": "assistant", "content": "a"}]);
    server.ok("/api/chat", chat(json!({"messages": messages, "stream": false}))).await;
    let ids = server.engine.saw_request().await.input_ids.unwrap().0;
    let bytes: Vec<u8> = ids.iter().filter_map(|id| u8::try_from(*id).ok()).collect();
    assert_eq!(String::from_utf8(bytes).unwrap(), "system:sassistant:aassistant:");
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
            status == 400 && answer["object"] == "error" && message.contains(part),
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
