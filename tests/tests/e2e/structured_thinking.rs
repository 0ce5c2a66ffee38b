//! A grammar applies after the end of the thinking, and not before, on a real model.
//!
//! The model does not think by itself; after a few example turns in which the assistant does, it does too.

use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use sglang_e2e::{Server, sse_events};

const FLAGS: [&str; 5] = [
    "--reasoning-parser",
    "deepseek-r1",
    "--tool-call-parser",
    "hermes",
    "--constrained-json-disable-any-whitespace",
];

/// Turns in which the assistant thinks first.
fn turns() -> Vec<Value> {
    let shown = [
        ("What is 2 + 2?", "Two and two make four, I am sure.\n</think>\n\n4"),
        ("What is the capital of Italy?", "Italy is in Europe, I am sure.\n</think>\n\nRome"),
        ("What is 3 + 4?", "Three and four make seven, I am sure.\n</think>\n\n7"),
        ("What is the colour of grass?", "Grass grows in the sun, I am sure.\n</think>\n\ngreen"),
    ];
    let turn = |(question, answer)| {
        [json!({"role": "user", "content": question}), json!({"role": "assistant", "content": answer})]
    };
    let mut turns: Vec<Value> = shown.into_iter().flat_map(turn).collect();
    turns.push(json!({"role": "user", "content": "What is the colour of the sky?"}));
    turns
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green", "blue"]}, "sure": {"type": "boolean"}},
        "required": ["colour", "sure"],
    })
}

/// A chat request whose answer follows [`schema`].
fn chat(more: Value) -> Value {
    let format = json!({"type": "json_schema", "json_schema": {"name": "colour", "schema": schema()}});
    let mut body =
        json!({"messages": turns(), "response_format": format, "max_tokens": 120, "temperature": 0});
    merge(&mut body, more);
    body
}

fn merge(body: &mut Value, more: Value) {
    let more: Map<String, Value> = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
}

fn assert_colour(text: &str) {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{text:?}: {e}"));
    assert!(["red", "green", "blue"].contains(&value["colour"].as_str().unwrap()), "{text}");
    assert!(value["sure"].is_boolean() && value.as_object().unwrap().len() == 2, "{text}");
}

/// Thinking, content and calls of one choice of a stream, reassembled.
fn streamed(text: &str, index: u64) -> (String, String, String) {
    let mut parts = (String::new(), String::new(), String::new());
    for event in sse_events(text).into_iter().filter(|event| *event != "[DONE]") {
        let chunk: Value = serde_json::from_str(event).unwrap();
        let Some(choice) = chunk["choices"].as_array().and_then(|c| c.iter().find(|c| c["index"] == index))
        else {
            continue;
        };
        let delta = &choice["delta"];
        parts.0.push_str(delta["reasoning_content"].as_str().unwrap_or_default());
        parts.1.push_str(delta["content"].as_str().unwrap_or_default());
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            parts.2.push_str(call["function"]["arguments"].as_str().unwrap_or_default());
        }
    }
    parts
}

fn message(answer: &Value, index: usize) -> (&str, &str) {
    let message = &answer["choices"][index]["message"];
    (
        message["reasoning_content"].as_str().unwrap_or_default(),
        message["content"].as_str().unwrap_or_default(),
    )
}

#[test]
fn a_schema_holds_behind_the_thinking_whole_streamed_and_with_penalties() {
    let server = Server::start(&FLAGS).unwrap();
    let penalties = json!({"frequency_penalty": 0.2, "presence_penalty": 0.1, "repetition_penalty": 1.02});
    for more in [json!({}), penalties] {
        let answer = server.post_json("/v1/chat/completions", &chat(more.clone())).unwrap();
        let (thinking, content) = message(&answer, 0);
        // The text before the grammar begins would not be allowed by it.
        assert!(thinking.len() > 10 && !thinking.contains('{'), "{answer}");
        assert_colour(content);
        assert_eq!(answer["choices"][0]["finish_reason"], "stop", "{answer}");
        let mut stream = chat(more);
        stream["stream"] = true.into();
        let text = server.post_text("/v1/chat/completions", &stream).unwrap();
        assert_eq!(streamed(&text, 0), (thinking.to_owned(), content.to_owned(), String::new()));
    }
}

#[test]
fn every_sample_is_bound_once_its_own_thinking_has_ended() {
    let server = Server::start(&FLAGS).unwrap();
    let answer = server
        .post_json("/v1/chat/completions", &chat(json!({"n": 4, "temperature": 0.6, "seed": 7})))
        .unwrap();
    let choices = answer["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 4);
    let mut bound = 0;
    for (index, choice) in choices.iter().enumerate() {
        let (thinking, content) = message(&answer, index);
        assert!(!thinking.is_empty(), "{choice}");
        match choice["finish_reason"].as_str().unwrap() {
            "stop" => {
                assert_colour(content);
                bound += 1;
            }
            // The model thought up to the limit, so the grammar never began.
            _ => assert_eq!(content, "", "{choice}"),
        }
    }
    assert!(bound >= 2, "{answer}");
}

#[test]
fn a_forced_call_follows_the_thinking() {
    let server = Server::start(&FLAGS).unwrap();
    let tool = json!({"type": "function", "function": {"name": "say_colour", "parameters": schema()}});
    let forced = json!({"type": "function", "function": {"name": "say_colour"}});
    for choice in [json!("required"), forced] {
        let mut body = chat(json!({"tools": [tool], "tool_choice": choice}));
        body.as_object_mut().unwrap().remove("response_format");
        let answer = server.post_json("/v1/chat/completions", &body).unwrap();
        let message = &answer["choices"][0]["message"];
        assert!(message["reasoning_content"].as_str().unwrap().len() > 10, "{answer}");
        let call = &message["tool_calls"][0]["function"];
        assert_eq!(call["name"], "say_colour", "{answer}");
        assert_colour(call["arguments"].as_str().unwrap());
        body["stream"] = true.into();
        let text = server.post_text("/v1/chat/completions", &body).unwrap();
        let (thinking, _, arguments) = streamed(&text, 0);
        assert!(
            message["reasoning_content"] == thinking
                && arguments.starts_with(call["arguments"].as_str().unwrap()),
            "{text}"
        );
    }
}

/// The prompt of [`turns`] in the form of the model's template.
fn prompt() -> String {
    let turns = turns();
    let turn = |turn: &Value| {
        let (role, content) = (turn["role"].as_str().unwrap(), turn["content"].as_str().unwrap());
        format!("<|im_start|>{role}\n{content}<|im_end|>\n")
    };
    turns.iter().map(turn).collect::<String>() + "<|im_start|>assistant\n"
}

/// A native request that thinks and then follows `params`.
fn native(params: &Value) -> Value {
    let mut params = params.clone();
    merge(&mut params, json!({"temperature": 0, "max_new_tokens": 200}));
    json!({"text": prompt(), "require_reasoning": true, "sampling_params": params})
}

#[test]
fn neighbours_do_not_see_where_a_grammar_begins() {
    let server = Server::start(&FLAGS).unwrap();
    let bound = native(&json!({"json_schema": schema().to_string()}));
    let free = json!({"text": prompt(), "sampling_params": {"temperature": 0, "max_new_tokens": 40}});
    let (free_alone, bound_alone) =
        (server.post_json("/generate", &free).unwrap(), server.post_json("/generate", &bound).unwrap());
    let text = bound_alone["text"].as_str().unwrap();
    assert_colour(text.split_once("</think>").unwrap().1);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            for (body, alone) in [(&free, &free_alone), (&bound, &bound_alone)] {
                let server = &server;
                scope.spawn(move || {
                    let answer = server.post_json("/generate", body).unwrap();
                    assert_eq!(answer["output_ids"], alone["output_ids"], "{answer}");
                });
            }
        }
    });
}

/// Waits until `server` has retracted its running requests.
fn retract(server: &Server) {
    assert!(server.post("/pause_generation", &json!({"mode": "retract"})).unwrap().status().is_success());
    let started = Instant::now();
    let retracted = || {
        let info: Value = server.get("/get_server_info").unwrap().json().unwrap();
        info["internal_states"][0]["num_waiting_retracted_reqs"].as_u64().unwrap_or_default()
    };
    while retracted() == 0 {
        assert!(started.elapsed() < Duration::from_secs(20), "nothing was retracted");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(server.post("/continue_generation", &json!({})).unwrap().status().is_success());
}

#[test]
fn a_request_that_is_retracted_on_either_side_of_the_end_goes_on_as_it_was() {
    let server = Server::start(&FLAGS).unwrap();
    let bound = native(&json!({"regex": "[a-z]{1,2}(-[0-9]{1,2}-[a-z]{1,2}){30}"}));
    let whole = server.post_json("/generate", &bound).unwrap();
    let answer = whole["text"].as_str().unwrap().split_once("</think>").unwrap().1;
    assert_eq!(answer.split('-').count(), 61, "{whole}");
    let mut stream = bound;
    stream["stream"] = true.into();
    // During the thinking, and well inside the grammar.
    for bytes in [400usize, 12_000] {
        let mut response = server.post("/generate", &stream).unwrap();
        let mut begin = vec![0u8; bytes];
        response.read_exact(&mut begin).unwrap();
        retract(&server);
        let mut rest = String::from_utf8(begin).unwrap();
        response.read_to_string(&mut rest).unwrap();
        let events = sse_events(&rest);
        let last: Value = serde_json::from_str(events[events.len() - 2]).unwrap();
        assert_eq!((&last["text"], &last["output_ids"]), (&whole["text"], &whole["output_ids"]));
    }
}
