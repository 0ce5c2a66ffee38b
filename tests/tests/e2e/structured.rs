//! Output that follows a grammar, on a real model.

use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sglang_e2e::{Server, sse_events};

const QUESTION: &str = "What is the capital of France?";

fn generate(server: &Server, text: &str, params: Value) -> Value {
    server.post_json("/generate", &json!({"text": text, "sampling_params": params})).unwrap()
}

fn text(answer: &Value) -> &str {
    answer["text"].as_str().unwrap()
}

fn person() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 12},
            "age": {"type": "integer", "minimum": 0, "maximum": 120},
            "colour": {"enum": ["red", "green", "blue"]},
        },
        "required": ["name", "age", "colour"],
    })
}

/// If white space is allowed and sampling is free, a small model can write line breaks for ever.
const COMPACT: &str = "--constrained-json-disable-any-whitespace";

/// Checks the schema of [`person`] by hand.
fn assert_person(text: &str) {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{text:?}: {e}"));
    let object = value.as_object().unwrap();
    assert_eq!(object.len(), 3, "{text}");
    assert!(object["name"].as_str().unwrap().chars().count() <= 12, "{text}");
    assert!((0..=120).contains(&object["age"].as_i64().unwrap()), "{text}");
    assert!(["red", "green", "blue"].contains(&object["colour"].as_str().unwrap()), "{text}");
}

fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 10
        && bytes
            .iter()
            .enumerate()
            .all(|(i, b)| if i == 4 || i == 7 { *b == b'-' } else { b.is_ascii_digit() })
}

#[test]
fn every_grammar_binds_the_native_answer() {
    let server = Server::start(&[]).unwrap();
    for temperature in [0.0, 1.3] {
        let params = |name: &str, grammar: String| json!({name: grammar, "temperature": temperature, "max_new_tokens": 120, "sampling_seed": 5});
        let answer = generate(&server, "A person:", params("json_schema", person().to_string()));
        assert_person(text(&answer));
        assert_eq!(answer["meta_info"]["finish_reason"]["type"], "stop");
        let answer = generate(&server, "Today is", params("regex", "[0-9]{4}-[0-9]{2}-[0-9]{2}".into()));
        assert!(is_date(text(&answer)), "{answer}");
        let answer = generate(&server, "Is water wet?", params("regex", "(yes|no|maybe)".into()));
        assert!(["yes", "no", "maybe"].contains(&text(&answer)), "{answer}");
        let ebnf = "root ::= \"<\" word \">\"\nword ::= [a-z] [a-z]? [a-z]?";
        let answer = generate(&server, "A tag:", params("ebnf", ebnf.into()));
        let inner = text(&answer).strip_prefix('<').unwrap().strip_suffix('>').unwrap();
        assert!((1..=3).contains(&inner.len()) && inner.bytes().all(|b| b.is_ascii_lowercase()), "{answer}");
        let tag = json!({"type": "structural_tag", "format": {"type": "tag", "begin": "<f>", "end": "</f>",
            "content": {"type": "json_schema", "json_schema": {"type": "boolean"}}}});
        let answer = generate(&server, "Call:", params("structural_tag", tag.to_string()));
        assert!(["<f>true</f>", "<f>false</f>"].contains(&text(&answer)), "{answer}");
    }
}

#[test]
fn a_grammar_ends_the_answer_even_where_ends_are_ignored() {
    let server = Server::start(&[]).unwrap();
    for more in [json!({"ignore_eos": true}), json!({"min_new_tokens": 30}), json!({"stop": ["zzz"]})] {
        let mut params = json!({"regex": "(cat|dog)", "temperature": 0, "max_new_tokens": 60});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = generate(&server, "My pet is a", params);
        assert!(text(&answer).starts_with("cat") || text(&answer).starts_with("dog"), "{answer}");
        assert_eq!(answer["meta_info"]["finish_reason"]["type"], "stop", "{answer}");
        assert!(answer["meta_info"]["completion_tokens"].as_u64().unwrap() < 10, "{answer}");
    }
}

#[test]
fn response_formats_bind_chat_and_completions() {
    let server = Server::start(&[]).unwrap();
    let schema = json!({"type": "json_schema", "json_schema": {"name": "person", "schema": person()}});
    let short = json!({"type": "json_schema", "schema": person()});
    let chat = |format: &Value| {
        json!({"messages": [{"role": "user", "content": QUESTION}], "response_format": format, "max_tokens": 150,
               "temperature": 0})
    };
    for format in [&schema, &short] {
        let answer = server.post_json("/v1/chat/completions", &chat(format)).unwrap();
        assert_person(answer["choices"][0]["message"]["content"].as_str().unwrap());
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    }
    let tag = json!({"type": "structural_tag", "triggers": ["<n>"], "at_least_one": true, "structures":
        [{"begin": "<n>", "schema": {"type": "integer", "maximum": 9, "minimum": 0}, "end": "</n>"}]});
    let answer = server.post_json("/v1/chat/completions", &chat(&tag)).unwrap();
    let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
    let number = content.split_once("<n>").unwrap().1.split_once("</n>").unwrap().0;
    assert!(number.trim().parse::<u8>().unwrap() < 10, "{content}");
    let completion =
        json!({"prompt": "A person:", "response_format": schema, "max_tokens": 150, "temperature": 0});
    let answer = server.post_json("/v1/completions", &completion).unwrap();
    assert_person(answer["choices"][0]["text"].as_str().unwrap());
    let object = json!({"messages": [{"role": "user", "content": "Reply with {\"a\": 1}"}], "max_tokens": 60,
                        "temperature": 0, "response_format": {"type": "json_object"}});
    let answer = server.post_json("/v1/chat/completions", &object).unwrap();
    assert!(answer["choices"][0]["message"]["content"].as_str().unwrap().trim_start().starts_with('{'));
}

#[test]
fn streams_and_samples_follow_the_grammar_too() {
    let server = Server::start(&[COMPACT]).unwrap();
    let params = json!({"json_schema": person().to_string(), "temperature": 0, "max_new_tokens": 120});
    let whole = generate(&server, "A person:", params.clone());
    let body = json!({"text": "A person:", "sampling_params": params, "stream": true});
    let stream = server.post_text("/generate", &body).unwrap();
    let events = sse_events(&stream);
    let last: Value = serde_json::from_str(events[events.len() - 2]).unwrap();
    assert_eq!((&last["text"], &last["output_ids"]), (&whole["text"], &whole["output_ids"]));
    let several = json!({"prompt": "A person:", "n": 2, "temperature": 1.0, "seed": 3, "max_tokens": 150,
                         "json_schema": person().to_string()});
    let answer = server.post_json("/v1/completions", &several).unwrap();
    let choices = answer["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 2);
    choices.iter().for_each(|choice| assert_person(choice["text"].as_str().unwrap()));
}

#[test]
fn wrong_grammars_are_answered_with_the_place_and_the_server_goes_on() {
    let server = Server::start(&[]).unwrap();
    for (name, grammar, says) in [
        ("json_schema", "{\"type\": ", "Failed to compile json grammar: "),
        ("json_schema", "{\"type\": \"thing\"}", "Failed to compile json grammar: "),
        ("regex", "(a", "Failed to compile regex grammar: "),
        ("ebnf", "root ::= missing", "Failed to compile ebnf grammar: "),
        ("structural_tag", "{}", "Failed to compile structural_tag grammar: "),
    ] {
        let body = json!({"text": "x", "sampling_params": {name: grammar}});
        let native = server.post("/generate", &body).unwrap();
        assert_eq!(native.status(), 400, "{name}");
        let error: Value = native.json().unwrap();
        assert!(error["error"]["message"].as_str().unwrap().starts_with(says), "{error}");
    }
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 5}}});
    let body = json!({"messages": [{"role": "user", "content": "x"}], "response_format": format});
    for stream in [false, true] {
        let mut body = body.clone();
        body["stream"] = stream.into();
        let response = server.post("/v1/chat/completions", &body).unwrap();
        let text = response.text().unwrap();
        assert!(text.contains("Failed to compile json grammar: "), "{text}");
    }
    let both = json!({"text": "x", "sampling_params": {"regex": "a", "json_schema": "{}"}});
    assert_eq!(server.post("/generate", &both).unwrap().status(), 400);
    let answer = generate(&server, "x", json!({"regex": "ok", "max_new_tokens": 8}));
    assert_eq!(text(&answer), "ok");
}

#[test]
fn bound_and_free_requests_run_together_without_touching_each_other() {
    let server = Server::start(&[COMPACT]).unwrap();
    let free = json!({"temperature": 0, "max_new_tokens": 24});
    let alone = generate(&server, QUESTION, free.clone());
    std::thread::scope(|scope| {
        for i in 0..8 {
            let (server, free, alone) = (&server, &free, &alone);
            scope.spawn(move || {
                let answer = generate(server, QUESTION, free.clone());
                assert_eq!(answer["output_ids"], alone["output_ids"], "free request {i}");
            });
            scope.spawn(move || match i % 2 {
                0 => {
                    let params = json!({"json_schema": person().to_string(), "max_new_tokens": 120,
                                        "sampling_seed": i, "temperature": 1.0});
                    assert_person(text(&generate(server, "A person:", params)));
                }
                _ => {
                    let params = json!({"regex": format!("[a-f]{{{}}}", i + 1), "max_new_tokens": 40});
                    let answer = generate(server, "Letters:", params);
                    assert_eq!(text(&answer).len(), i + 1, "{answer}");
                    assert!(text(&answer).bytes().all(|b| (b'a'..=b'f').contains(&b)), "{answer}");
                }
            });
        }
    });
}

#[test]
fn a_retracted_request_goes_on_inside_its_grammar() {
    let server = Server::start(&[]).unwrap();
    let params =
        json!({"regex": "[a-z]{1,2}(-[0-9]{1,2}-[a-z]{1,2}){40}", "max_new_tokens": 400, "temperature": 0});
    let whole = generate(&server, "Codes:", params.clone());
    assert_eq!(text(&whole).split('-').count(), 81, "{whole}");
    let body = json!({"text": "Codes:", "sampling_params": params, "stream": true});
    let mut response = server.post("/generate", &body).unwrap();
    let mut begin = [0u8; 600];
    response.read_exact(&mut begin).unwrap();
    assert!(server.post("/pause_generation", &json!({"mode": "retract"})).unwrap().status().is_success());
    let started = Instant::now();
    let retractions = || {
        let info: Value = server.get("/get_server_info").unwrap().json().unwrap();
        info["internal_states"][0]["num_waiting_retracted_reqs"].as_u64().unwrap_or_default()
    };
    while retractions() == 0 {
        assert!(started.elapsed() < Duration::from_secs(20), "nothing was retracted");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(server.post("/continue_generation", &json!({})).unwrap().status().is_success());
    let mut rest = String::from_utf8(begin.to_vec()).unwrap();
    response.read_to_string(&mut rest).unwrap();
    let events = sse_events(&rest);
    let last: Value = serde_json::from_str(events[events.len() - 2]).unwrap();
    assert_eq!((&last["text"], &last["output_ids"]), (&whole["text"], &whole["output_ids"]));
    assert_eq!(last["meta_info"]["finish_reason"]["type"], "stop");
}

#[test]
fn the_flags_say_how_json_is_written_and_whether_there_are_grammars() {
    let compact = Server::start(&[COMPACT]).unwrap();
    let params = json!({"json_schema": person().to_string(), "temperature": 0, "max_new_tokens": 120});
    let answer = generate(&compact, "A person:", params.clone());
    assert_person(text(&answer));
    assert!(text(&answer).starts_with("{\"name\": \""), "{answer}");
    drop(compact);
    let none = Server::start(&["--grammar-backend", "none"]).unwrap();
    let response = none.post("/generate", &json!({"text": "x", "sampling_params": params})).unwrap();
    assert_eq!(response.status(), 400);
    assert!(response.text().unwrap().contains("launched with --grammar-backend none"));
}
