//! Prompts that continue earlier requests.

use serde_json::{Value, json};
use sglang_e2e::Server;

fn greedy(tokens: usize) -> Value {
    json!({"temperature": 0, "max_new_tokens": tokens, "ignore_eos": true})
}

fn ids(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect()
}

fn tokens(server: &Server, text: &str) -> Vec<u64> {
    ids(&server.post_json("/tokenize", &json!({"prompt": text})).unwrap()["tokens"])
}

/// A turn of the session `s`.
fn turn(server: &Server, text: &str, params: Value) -> Value {
    let mut session = json!({"id": "s"});
    session.as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
    let body = json!({"text": text, "sampling_params": greedy(6), "session_params": session});
    server.post_json("/generate", &body).unwrap()
}

/// The answer to a request with exactly these ids.
fn whole(server: &Server, ids: &[u64]) -> Value {
    server.post_json("/generate", &json!({"input_ids": ids, "sampling_params": greedy(6)})).unwrap()
}

fn rid(answer: &Value) -> &Value {
    &answer["meta_info"]["id"]
}

fn check(server: &Server, turn: &Value, prompt: &[u64]) {
    assert_eq!(turn["meta_info"]["prompt_tokens"], prompt.len());
    assert_eq!(turn["output_ids"], whole(server, prompt)["output_ids"], "prompt {prompt:?}");
}

#[test]
fn three_turns_equal_one_request_with_the_same_text() {
    let server = Server::start(&[]).unwrap();
    assert_eq!(
        server.post_json("/open_session", &json!({"capacity_of_str_len": 1000, "session_id": "s"})).unwrap(),
        "s"
    );
    let mut prompt = tokens(&server, "The capital of France is");
    let mut before = turn(&server, "The capital of France is", json!({"rid": null}));
    check(&server, &before, &prompt);
    for text in [" And of Italy it is", " The largest city of both is"] {
        prompt.extend(ids(&before["output_ids"]));
        prompt.extend(tokens(&server, text));
        let next = turn(&server, text, json!({"rid": rid(&before)}));
        check(&server, &next, &prompt);
        assert!(next["meta_info"]["cached_tokens"].as_u64().unwrap() > 0, "earlier turns are in the cache");
        before = next;
    }
}

#[test]
fn branches_offsets_and_replacements_see_the_history_they_name() {
    let server = Server::start(&[]).unwrap();
    server.post_json("/open_session", &json!({"capacity_of_str_len": 1000, "session_id": "s"})).unwrap();
    let root = tokens(&server, "Once upon a time there was");
    let first = turn(&server, "Once upon a time there was", json!({}));
    let output = ids(&first["output_ids"]);
    let said = [root.clone(), output.clone()].concat();
    let cat = tokens(&server, " a cat");
    let second = turn(&server, " a cat", json!({"rid": rid(&first)}));
    check(&server, &second, &[said.clone(), cat.clone()].concat());
    let dog = tokens(&server, " a dog");
    let branch = turn(&server, " a dog", json!({"rid": rid(&first)}));
    check(&server, &branch, &[said.clone(), dog.clone()].concat());
    let cut = turn(&server, " a dog", json!({"rid": rid(&first), "offset": 4}));
    check(&server, &cut, &[&root[..4], &dog[..]].concat());
    let dropped = turn(&server, " a dog", json!({"rid": rid(&first), "drop_previous_output": true}));
    check(&server, &dropped, &[root, dog.clone()].concat());
    let replaced = turn(&server, " a dog", json!({"rid": rid(&first), "replace": true}));
    check(&server, &replaced, &[said, dog].concat());
    let gone = json!({"text": "x", "session_params": {"id": "s", "rid": rid(&second)}});
    let response = server.post("/generate", &gone).unwrap();
    assert_eq!(response.status(), 400, "what came after a replaced request is forgotten");
    assert_eq!(response.text().unwrap(), r#"{"error":{"message":"Invalid request session id"}}"#);
}

#[test]
fn a_session_that_is_not_open_is_refused_and_ids_can_be_used_again() {
    let server = Server::start(&[]).unwrap();
    let refused = |session: Value| {
        let response = server.post("/generate", &json!({"text": "x", "session_params": session})).unwrap();
        (response.status().as_u16(), response.text().unwrap())
    };
    let unknown = r#"{"error":{"message":"Invalid request: session id s does not exist"}}"#.to_owned();
    assert_eq!(refused(json!({"id": "s", "rid": null})), (400, unknown.clone()));
    let open = json!({"capacity_of_str_len": 1000, "session_id": "s"});
    server.post_json("/open_session", &open).unwrap();
    assert_eq!(server.post("/open_session", &open).unwrap().status(), 400);
    turn(&server, "Hello", json!({}));
    let close = server.post("/close_session", &json!({"session_id": "s"})).unwrap();
    assert_eq!((close.status().as_u16(), close.text().unwrap().as_str()), (200, ""));
    assert_eq!(refused(json!({"id": "s", "rid": null})), (400, unknown));
    server.post_json("/open_session", &open).unwrap();
    turn(&server, "Hello", json!({}));
}
