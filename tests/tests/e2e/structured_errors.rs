//! Invalid or oversized grammars over HTTP: 400 in time, with the place of the mistake, and the server keeps working.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sglang_e2e::{Server, ServerOptions};

/// Field, grammar, and the expected error.
const WRONG: [(&str, &str, &str); 15] = [
    (
        "json_schema",
        r#"{"type": "object", "properties": {"a": }}"#,
        "json grammar: Expecting value: line 1 column 40 (char 39)",
    ),
    (
        "json_schema",
        r#"{"properties": {"a": {"type": "thing"}}}"#,
        "json grammar: JSON Schema at #/properties/a/type: Invalid type: thing",
    ),
    ("json_schema", r#"{"items": {"type": 5}}"#, "json grammar: JSON Schema at #/items/type: "),
    (
        "json_schema",
        r#"{"properties": {"a": {"pattern": "("}}}"#,
        "json grammar: JSON Schema at #/properties/a/pattern: ",
    ),
    (
        "json_schema",
        r##"{"properties": {"a": {"$ref": "#/$defs/none"}}}"##,
        "json grammar: JSON Schema at #/properties/a/$ref: ",
    ),
    (
        "json_schema",
        r#"{"properties": {"a": {"minimum": "x"}}}"#,
        "json grammar: JSON Schema at #/properties/a/minimum: ",
    ),
    (
        "json_schema",
        r#"{"properties": {"a": {"type": "thing"}}}"#,
        "json grammar: JSON Schema at #/properties/a/type: Invalid type: thing",
    ),
    ("regex", "ab(c", "regex grammar: Regex parsing error at position 3: "),
    ("regex", "a{3,1}", "regex grammar: Regex parsing error at position 2: "),
    ("ebnf", "root ::= \"a\" | b\nb ::= (\"c\"", "ebnf grammar: EBNF parser error at line 2, column 11: "),
    ("ebnf", "root ::= missing", "ebnf grammar: EBNF parser error at line 1, column 10: "),
    ("structural_tag", "[1", "structural_tag grammar: Expecting ',' delimiter: line 1 column 3 (char 2)"),
    (
        "structural_tag",
        r#"{"format": {"type": "tag", "begin": 1}}"#,
        "structural_tag grammar: at /format/begin: ",
    ),
    (
        "structural_tag",
        r#"{"format": {"type": "sequence", "elements": [{"type": "regex", "pattern": "("}]}}"#,
        "structural_tag grammar: at /format/elements/0/pattern: Regex parsing error at position 1: ",
    ),
    (
        "structural_tag",
        r#"{"format": {"type": "json_schema", "json_schema": {"type": "thing"}}}"#,
        "structural_tag grammar: JSON Schema at #/format/json_schema/type: ",
    ),
];

fn refusal(server: &Server, path: &str, body: &Value) -> String {
    let response = server.post(path, body).unwrap();
    let (status, text) = (response.status(), response.text().unwrap());
    assert_eq!(status, 400, "{text}");
    let error: Value = serde_json::from_str(&text).unwrap();
    let message = error["message"].as_str().or_else(|| error["error"]["message"].as_str());
    message.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn every_mistake_is_answered_with_its_place() {
    let server = Server::start(&[]).unwrap();
    for (field, grammar, says) in WRONG {
        let native = json!({"text": "x", "sampling_params": {field: grammar}});
        let mut completion = json!({"prompt": "x", "max_tokens": 4});
        let mut chat = json!({"messages": [{"role": "user", "content": "x"}], "max_tokens": 4});
        (completion[field], chat[field]) = (grammar.into(), grammar.into());
        let bodies = [("/generate", native), ("/v1/completions", completion), ("/v1/chat/completions", chat)];
        // Chat has no field of this name; there, a structural tag is a response format.
        for (path, body) in
            bodies.iter().filter(|(path, _)| field != "structural_tag" || *path == "/generate")
        {
            // In chats, a schema is sent as a response format, below.
            if *path != "/generate" && field == "json_schema" {
                continue;
            }
            let message = refusal(&server, path, body);
            assert!(message.contains(&format!("Failed to compile {says}")), "{path} {grammar}: {message}");
        }
        if field == "json_schema"
            && let Ok(schema) = serde_json::from_str::<Value>(grammar)
        {
            let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
            let body = json!({"messages": [{"role": "user", "content": "x"}], "response_format": format});
            let message = refusal(&server, "/v1/chat/completions", &body);
            assert!(message.contains(&format!("Failed to compile {says}")), "{grammar}: {message}");
        }
    }
    let answer =
        server.post_json("/generate", &json!({"text": "x", "sampling_params": {"regex": "ok"}})).unwrap();
    assert_eq!(answer["text"], "ok");
}

#[test]
fn a_grammar_that_is_too_large_is_refused_and_one_that_is_too_much_work_holds_nobody_up() {
    let server = Server::start(&[]).unwrap();
    let generate = |field: &str, grammar: &str| json!({"text": "x", "sampling_params": {field: grammar, "max_new_tokens": 4}});
    let large = refusal(&server, "/generate", &generate("regex", &"a".repeat((1 << 20) + 1)));
    assert!(large.contains("the grammar has 1048577 bytes, at most 1048576 are allowed"), "{large}");
    // Each of these exceeds the allowed work, at the start or later.
    let words = |n: usize| {
        (0..n).map(|i| format!("\"{}\"", "ab".repeat(i % 97 + 1) + &i.to_string())).collect::<Vec<_>>()
    };
    let heavy = [
        ("regex", "(((a{0,99}b?){0,99}c?){0,99}d?){0,99}[ef]{5000}".to_owned()),
        ("ebnf", format!("root ::= ({}){{1,400}}", words(3000).join(" | "))),
        ("regex", format!("({}){{50}}", "(x|y)*z{0,300}".repeat(200))),
    ];
    std::thread::scope(|scope| {
        let waits: Vec<_> = heavy
            .iter()
            .map(|(field, grammar)| {
                let (server, body) = (&server, generate(field, grammar));
                scope.spawn(move || {
                    let started = Instant::now();
                    let status = server.post("/generate", &body).unwrap().status().as_u16();
                    (status, started.elapsed())
                })
            })
            .collect();
        // Free requests and other grammars continue meanwhile.
        let free = json!({"text": "x", "sampling_params": {"max_new_tokens": 4, "temperature": 0}});
        let alone = server.post_json("/generate", &free).unwrap();
        assert_eq!(alone["meta_info"]["completion_tokens"], 4);
        let bound = server.post_json("/generate", &generate("regex", "ok")).unwrap();
        assert_eq!(bound["text"], "ok");
        for wait in waits {
            let (status, took) = wait.join().unwrap();
            assert!([200, 400, 500].contains(&status), "{status}");
            // The limit is 10 s; the rest allows for a busy machine.
            assert!(took < Duration::from_secs(60), "{took:?}");
        }
    });
    let again = server.post_json("/generate", &generate("regex", "ok")).unwrap();
    assert_eq!(again["text"], "ok");
}

#[test]
fn a_grammar_that_takes_longer_than_the_limit_is_refused_and_the_server_goes_on() {
    // Four times 5 ms. One thread cannot read 2,000 patterns in that time, even on an idle machine.
    let limit = [("SGLANG_GRAMMAR_POLL_INTERVAL", "0.005"), ("SGLANG_GRAMMAR_MAX_POLL_ITERATIONS", "4")];
    let options = ServerOptions {
        env: limit.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        ..Default::default()
    };
    let server = Server::start_with(&options).unwrap();
    let properties: serde_json::Map<String, Value> = (1..2000)
        .map(|i| (format!("p{i}"), json!({"type": "string", "pattern": format!("^[a-f]{{1,{i}}}x$")})))
        .collect();
    let slow = json!({"type": "object", "properties": properties}).to_string();
    let body = json!({"text": "x", "sampling_params": {"json_schema": slow, "max_new_tokens": 4}});
    let says = "Failed to compile json grammar: Grammar preprocessing timed out after 20 ms";
    let message = refusal(&server, "/generate", &body);
    assert!(message.contains(says), "{message}");
    let free = json!({"text": "x", "sampling_params": {"max_new_tokens": 4, "temperature": 0}});
    assert_eq!(server.post_json("/generate", &free).unwrap()["meta_info"]["completion_tokens"], 4);
    // The refusal is cached: it does not occupy a thread a second time.
    assert!(refusal(&server, "/generate", &body).contains(says));
}

#[test]
fn a_grammar_that_overflows_the_stack_costs_the_server_nothing() {
    let server = Server::start(&[]).unwrap();
    let mut chain = String::from("root ::= x0\n");
    for i in 0..11_300 {
        chain += &format!("x{i} ::= \"(\" x{} \")\"\n", i + 1);
    }
    chain += "x11300 ::= \"a\"\n";
    let body = json!({"text": "x", "sampling_params": {"ebnf": chain, "max_new_tokens": 4}});
    let message = refusal(&server, "/generate", &body);
    // A slow machine does not get as far as the overflow.
    let refusals =
        ["the grammar is nested too deeply or takes too much memory", "Grammar preprocessing timed out"];
    assert!(refusals.iter().any(|text| message.contains(&format!("ebnf grammar: {text}"))), "{message}");
    let answer =
        server.post_json("/generate", &json!({"text": "x", "sampling_params": {"regex": "ok"}})).unwrap();
    assert_eq!(answer["text"], "ok");
}
