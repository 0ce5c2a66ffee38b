//! Log-probabilities over HTTP, compared with those of transformers.

use serde_json::{Value, json};
use sglang_e2e::Server;

/// Largest difference in nats.
const TOLERANCE: f64 = 1e-3;

fn fixture() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/logprobs.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn close(ours: &Value, theirs: &Value, what: &str) {
    let (ours, theirs) = (ours.as_f64().unwrap(), theirs.as_f64().unwrap());
    assert!((ours - theirs).abs() <= TOLERANCE, "{what}: {ours}, transformers says {theirs}");
}

/// Compares a position's best ids; two that differ by less than the tolerance may be swapped.
fn same_top(ours: &Value, theirs: &Value, what: &str) {
    let (ours, theirs) = (ours.as_array().unwrap(), theirs.as_array().unwrap());
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (rank, (one, other)) in ours.iter().zip(theirs).enumerate() {
        close(&one[0], &other[0], &format!("{what}, rank {rank}"));
        let elsewhere = theirs.iter().any(|t| t[1] == one[1]);
        assert!(elsewhere || rank + 1 == ours.len(), "{what}, rank {rank}: {one}, {other}");
    }
}

fn same_position(expected: &Value, token: &Value, top: &Value, asked: &Value, what: &str) {
    close(&token[0], &expected["token"], what);
    same_top(top, &expected["top"], what);
    let theirs = expected["asked"].as_array().unwrap();
    for (one, other) in asked.as_array().unwrap().iter().zip(theirs) {
        close(&one[0], other, &format!("{what}, id {}", one[1]));
    }
    assert_eq!(asked.as_array().unwrap().len(), theirs.len());
}

/// The request of a case. A tiny `top_p` leaves only the best token even with a temperature.
fn request(fixture: &Value, case: &Value) -> Value {
    let mut params = json!({
        "temperature": 0, "max_new_tokens": case["output_ids"].as_array().unwrap().len(), "ignore_eos": true,
    });
    for (key, value) in case["parameters"].as_object().unwrap() {
        params[key] = value.clone();
        if key == "temperature" {
            params["top_p"] = json!(1e-6);
        }
    }
    json!({
        "input_ids": case["input_ids"], "sampling_params": params, "return_logprob": true, "logprob_start_len": 0,
        "top_logprobs_num": fixture["top"], "token_ids_logprob": fixture["asked"],
    })
}

fn check(server: &Server, fixture: &Value) {
    for (number, case) in fixture["cases"].as_array().unwrap().iter().enumerate() {
        let answer = server.post_json("/generate", &request(fixture, case)).unwrap();
        let meta = &answer["meta_info"];
        assert_eq!(answer["output_ids"], case["output_ids"], "case {number} {}", case["parameters"]);
        let ids = case["input_ids"].as_array().unwrap();
        let entries = meta["input_token_logprobs"].as_array().unwrap();
        assert_eq!(entries.len(), ids.len());
        assert_eq!(entries[0], json!([null, ids[0], null]));
        assert_eq!(
            (&meta["input_top_logprobs"][0], &meta["input_token_ids_logprobs"][0]),
            (&json!(null), &json!(null))
        );
        for (i, expected) in case["input"].as_array().unwrap().iter().enumerate() {
            assert_eq!(entries[i + 1][1], ids[i + 1]);
            same_position(
                expected,
                &entries[i + 1],
                &meta["input_top_logprobs"][i + 1],
                &meta["input_token_ids_logprobs"][i + 1],
                &format!("case {number}, input {}", i + 1),
            );
        }
        assert_eq!(meta["output_token_logprobs_length"], case["output"].as_array().unwrap().len());
        for (i, expected) in case["output"].as_array().unwrap().iter().enumerate() {
            assert_eq!(meta["output_token_logprobs"][i][1], case["output_ids"][i]);
            same_position(
                expected,
                &meta["output_token_logprobs"][i],
                &meta["output_top_logprobs"][i],
                &meta["output_token_ids_logprobs"][i],
                &format!("case {number} {}, output {i}", case["parameters"]),
            );
        }
    }
}

#[test]
fn input_and_output_logprobs_equal_those_of_transformers() {
    let fixture = fixture();
    assert_eq!(fixture["cases"].as_array().unwrap().len(), 12);
    check(&Server::start(&[]).unwrap(), &fixture);
    // In chunks that end inside prompts.
    check(&Server::start(&["--chunked-prefill-size", "7"]).unwrap(), &fixture);
}

#[test]
fn a_start_position_gives_the_tail_of_the_prompt() {
    let fixture = fixture();
    let case = fixture["cases"].as_array().unwrap().last().unwrap();
    let prompt = case["input_ids"].as_array().unwrap().len();
    let server = Server::start(&[]).unwrap();
    let mut body = request(&fixture, case);
    for start in [1, prompt / 2, prompt - 1, prompt] {
        body["logprob_start_len"] = json!(start);
        let meta = server.post_json("/generate", &body).unwrap()["meta_info"].clone();
        let entries = meta["input_token_logprobs"].as_array().unwrap();
        assert_eq!(entries.len(), prompt - start, "from {start}");
        if let Some(first) = entries.first() {
            assert!(first[0].is_null());
        }
        for (i, entry) in entries.iter().enumerate().skip(1) {
            close(
                &entry[0],
                &case["input"][start + i - 1]["token"],
                &format!("from {start}, position {}", start + i),
            );
        }
    }
    body["logprob_start_len"] = json!(-1);
    let meta = server.post_json("/generate", &body).unwrap()["meta_info"].clone();
    assert_eq!(meta["input_token_logprobs"], json!([]));
    body["return_text_in_logprobs"] = json!(true);
    body["logprob_start_len"] = json!(0);
    let meta = server.post_json("/generate", &body).unwrap()["meta_info"].clone();
    let text: String = meta["input_token_logprobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry[2].as_str().unwrap())
        .collect();
    assert!(text.starts_with("Rivers begin as thin threads"), "{text}");
}

#[test]
fn the_openai_forms_hold_the_same_numbers() {
    let fixture = fixture();
    let case = &fixture["cases"][0];
    let server = Server::start(&[]).unwrap();
    let body = json!({
        "model": "m", "prompt": "The capital of France is", "max_tokens": 12, "temperature": 0, "logprobs": 5,
        "echo": true, "ignore_eos": true,
    });
    let choice = server.post_json("/v1/completions", &body).unwrap()["choices"][0].clone();
    let lists = &choice["logprobs"];
    let numbers = lists["token_logprobs"].as_array().unwrap();
    assert!(numbers[0].is_null());
    let expected: Vec<&Value> = ["input", "output"]
        .iter()
        .flat_map(|part| case[part].as_array().unwrap())
        .map(|position| &position["token"])
        .collect();
    assert_eq!(numbers.len(), expected.len() + 1);
    for (i, (ours, theirs)) in numbers[1..].iter().zip(expected).enumerate() {
        close(ours, theirs, &format!("completion, position {}", i + 1));
    }
    let tokens: String = lists["tokens"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    assert_eq!(choice["text"], tokens);

    let body = json!({
        "model": "m", "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "max_tokens": 6, "temperature": 0, "logprobs": true, "top_logprobs": 3,
    });
    let choice = server.post_json("/v1/chat/completions", &body).unwrap()["choices"][0].clone();
    let content = choice["logprobs"]["content"].as_array().unwrap();
    assert_eq!(content.len(), 6);
    for entry in content {
        let top = entry["top_logprobs"].as_array().unwrap();
        assert_eq!(top.len(), 3);
        // Greedy: the token is the first of the list, with its log-probability and bytes.
        assert_eq!((&top[0]["token"], &top[0]["logprob"]), (&entry["token"], &entry["logprob"]));
        let bytes: Vec<u8> =
            entry["bytes"].as_array().unwrap().iter().map(|b| b.as_u64().unwrap() as u8).collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), entry["token"].as_str().unwrap());
        assert!(top.windows(2).all(|w| w[0]["logprob"].as_f64() >= w[1]["logprob"].as_f64()));
    }
}
