//! Reasoning in chat answers, whole and streamed, and `/separate_reasoning`.

use serde_json::{Value, json};
use sglang_http_server::answer::event::Event;
use sglang_http_server::answer::format::AnswerFormat;
use sglang_http_server::chat::request::ChatCompletionRequest;
use sglang_http_server::parsers::Parsers;
use sglang_server_args::ServerArgs;

use crate::common;
use crate::common::TestServer;
use crate::common::engine::Behaviour;

fn chat(more: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn server(flags: &[&str], script: &str) -> TestServer {
    let server = common::start(flags).await;
    server.engine.set(Behaviour::Script(script.into()));
    server
}

const QWEN3: [&str; 2] = ["--reasoning-parser", "qwen3"];

/// Reasoning and content of a stream, and how many chunks had reasoning.
fn put_together(chunks: &[Value]) -> (String, String, usize) {
    let texts = |key: &str| -> Vec<String> {
        let delta = |c: &Value| c["choices"][0]["delta"][key].as_str().map(str::to_owned);
        chunks.iter().filter_map(delta).collect()
    };
    let reasoning = texts("reasoning_content");
    (reasoning.concat(), texts("content").concat(), reasoning.len())
}

#[actix_web::test]
async fn reasoning_stands_apart_from_the_text_and_is_counted() {
    let script = "<think>\nlet me see</think>\n\n42";
    let server = server(&QWEN3, script).await;
    let answer = server.ok("/v1/chat/completions", chat(json!({}))).await;
    let message = &answer["choices"][0]["message"];
    assert_eq!(
        (message["reasoning_content"].as_str().unwrap().trim(), message["content"].as_str().unwrap().trim()),
        ("let me see", "42")
    );
    let tokens = script.find("\n\n42").unwrap();
    assert_eq!(answer["usage"]["reasoning_tokens"], tokens);
    assert_eq!(answer["usage"]["completion_tokens_details"], json!({"reasoning_tokens": tokens}));
    assert_eq!(answer["usage"]["completion_tokens"], script.len() + 1);
    assert!(server.engine.saw_request().await.require_reasoning);
    let body = chat(json!({"stream": true, "stream_options": {"include_usage": true}}));
    let chunks = server.chunks("/v1/chat/completions", body).await;
    let (reasoning, content, _) = put_together(&chunks);
    assert_eq!(
        (json!(reasoning), json!(content)),
        (message["reasoning_content"].clone(), message["content"].clone())
    );
    assert_eq!(chunks.last().unwrap()["usage"], answer["usage"]);
    let ends = chunks.iter().filter(|c| !c["choices"][0]["finish_reason"].is_null());
    assert_eq!(ends.count(), 1);
}

#[actix_web::test]
async fn an_answer_without_tags_is_reasoning_unless_thinking_is_off() {
    let server = server(&QWEN3, "One colour is not possible.").await;
    let answer = server.ok("/v1/chat/completions", chat(json!({}))).await;
    let message = &answer["choices"][0]["message"];
    assert_eq!(
        (&message["content"], &message["reasoning_content"]),
        (&json!(""), &json!("One colour is not possible."))
    );
    assert_eq!(answer["usage"]["reasoning_tokens"], answer["usage"]["completion_tokens"]);
    let off = json!({"chat_template_kwargs": {"enable_thinking": false}});
    let answer = server.ok("/v1/chat/completions", chat(off.clone())).await;
    let message = &answer["choices"][0]["message"];
    assert_eq!(
        (&message["content"], &message["reasoning_content"]),
        (&json!("One colour is not possible."), &Value::Null)
    );
    assert_eq!(answer["usage"]["reasoning_tokens"], 0);
    assert_eq!(answer["usage"]["completion_tokens_details"], Value::Null);
    let mut body = chat(off);
    body["stream"] = true.into();
    let chunks = server.chunks("/v1/chat/completions", body).await;
    assert_eq!(put_together(&chunks), (String::new(), "One colour is not possible.".into(), 0));
}

#[actix_web::test]
async fn reasoning_stays_in_the_text_or_comes_in_one_piece_on_request() {
    let script = "<think>hm</think>yes";
    let server = server(&QWEN3, script).await;
    let answer = server.ok("/v1/chat/completions", chat(json!({"separate_reasoning": false}))).await;
    let message = &answer["choices"][0]["message"];
    assert_eq!((&message["content"], &message["reasoning_content"]), (&json!(script), &Value::Null));
    let body = chat(json!({"stream": true, "stream_reasoning": false}));
    let chunks = server.chunks("/v1/chat/completions", body).await;
    assert_eq!(put_together(&chunks), ("hm".into(), "yes".into(), 1));
}

#[actix_web::test]
async fn a_call_behind_reasoning_is_found_in_streams_too() {
    let flags = ["--reasoning-parser", "deepseek-r1", "--tool-call-parser", "hermes"];
    let script = "hm</think>ok <tool_call>{\"name\": \"f\", \"arguments\": {\"x\": 1}}</tool_call>";
    let server = server(&flags, script).await;
    let tools = json!({"tools": [{"type": "function", "function": {"name": "f"}}]});
    let answer = server.ok("/v1/chat/completions", chat(tools.clone())).await;
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["reasoning_content"], "hm");
    assert_eq!(
        choice["message"]["tool_calls"][0]["function"],
        json!({"name": "f", "arguments": "{\"x\": 1}"})
    );
    assert_eq!(choice["finish_reason"], "tool_calls");
    let mut body = chat(tools);
    body["stream"] = true.into();
    let chunks = server.chunks("/v1/chat/completions", body).await;
    let (reasoning, content, _) = put_together(&chunks);
    assert_eq!((json!("hm"), &choice["message"]["content"]), (json!(reasoning), &json!(content)));
    let arguments: String = chunks
        .iter()
        .filter_map(|c| c["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str())
        .collect();
    assert_eq!(arguments, "{\"x\": 1}");
}

#[actix_web::test]
async fn separate_reasoning_answers_as_recorded_and_refuses_unknown_parsers() {
    let server = common::start(&[]).await;
    let body = |parser: &str| json!({"text": "let me see</think>42", "reasoning_parser": parser});
    let response = server.post("/separate_reasoning", body("deepseek-r1")).await;
    assert_eq!(response.text().await.unwrap(), r#"{"reasoning_text":"let me see","text":"42"}"#);
    let mut blocks = body("deepseek-r1");
    blocks["return_blocks"] = true.into();
    assert_eq!(
        server.ok("/separate_reasoning", blocks).await,
        json!({"reasoning_text": "let me see", "text": "42", "reasoning_blocks": ["let me see"],
            "text_blocks": ["42"], "blocks": [{"type": "reasoning", "text": "let me see"},
            {"type": "text", "text": "42"}]})
    );
    let plain = json!({"text": "no tags", "reasoning_parser": "qwen3"});
    assert_eq!(
        server.ok("/separate_reasoning", plain).await,
        json!({"reasoning_text": "", "text": "no tags"})
    );
    let (status, error) = server.call("/separate_reasoning", body("nope")).await;
    assert!(status == 400 && error["message"].as_str().unwrap().contains("deepseek-r1"), "{error}");
    let (status, error) = server.call("/separate_reasoning", json!({"text": "x"})).await;
    let message = error["message"].as_str().unwrap();
    assert!(status == 400 && message.contains("'reasoning_parser'") && message.contains("Field required"));
}

#[test]
fn reasoning_comes_as_it_is_made_or_when_it_is_over() {
    let argv = ["sglang-launch", "--model-path", "m"].into_iter().chain(QWEN3);
    let args = ServerArgs::parse_from(argv).unwrap_or_else(|_| panic!("flags"));
    let parsers = Parsers::new(&args, &Default::default(), Default::default());
    let pieces = |stream_reasoning: bool| {
        let body = chat(json!({"stream_reasoning": stream_reasoning}));
        let request = ChatCompletionRequest::from_json(body.as_object().unwrap()).unwrap();
        let mut stream = AnswerFormat::new(&parsers, &request, None).stream();
        let mut pieces = Vec::new();
        for character in "<think>abc</think>de".chars() {
            pieces.extend(stream.push(&character.to_string()));
        }
        pieces.extend(stream.finish());
        pieces
    };
    let reasoning = |text: &str| Event::Reasoning(text.into());
    let content = |text: &str| Event::Text(text.into());
    let made = [reasoning("a"), reasoning("b"), reasoning("c"), content("d"), content("e")];
    assert_eq!(pieces(true), made);
    assert_eq!(pieces(false), [reasoning("abc"), content("d"), content("e")]);
}
