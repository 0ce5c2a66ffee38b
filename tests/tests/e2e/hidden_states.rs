//! Hidden states over HTTP on the real model: they give the server's log-probabilities, and those of a decode step
//! equal those of the same position in a prompt.

use serde_json::{Value, json};
use sglang_e2e::{Server, sse_events};

const FLAG: &str = "--enable-return-hidden-states";
const PROMPT: &str = "The capital of France is";
/// Number of rows of the output matrix that are compared.
const ROWS: usize = 24;

fn vector(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn vectors(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(vector).collect()
}

/// All states of an answer, one per computed position.
fn positions(answer: &Value) -> Vec<Vec<f64>> {
    let chunks = answer["meta_info"]["hidden_states"].as_array().unwrap();
    assert_eq!(chunks.len() as u64, answer["meta_info"]["completion_tokens"].as_u64().unwrap());
    let mut all = vectors(&chunks[0]);
    all.extend(chunks[1..].iter().map(vector));
    all
}

fn generate(server: &Server, more: &Value) -> Value {
    let mut body = json!({
        "return_hidden_states": true, "sampling_params": {"temperature": 0, "max_new_tokens": 6, "ignore_eos": true},
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.post_json("/generate", &body).unwrap()
}

fn near(ours: &[Vec<f64>], others: &[Vec<f64>], what: &str) {
    assert_eq!(ours.len(), others.len(), "{what}");
    for (at, (a, b)) in ours.iter().zip(others).enumerate() {
        let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
        let error = norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied());
        assert!(error < 1e-4, "{what}, position {at}: {error:.2e}");
    }
}

#[test]
fn with_the_output_matrix_they_make_the_log_probabilities() {
    let server = Server::start(&[FLAG]).unwrap();
    let weights = json!({"name": "model.embed_tokens.weight", "truncate_size": ROWS});
    let matrix = server.post_json("/get_weights_by_name", &weights).unwrap();
    let matrix = vectors(matrix.get(0).filter(|first| first[0].is_array()).unwrap_or(&matrix));
    assert_eq!(matrix.len(), ROWS);
    let asked: Vec<usize> = (0..ROWS).collect();
    let more =
        json!({"text": PROMPT, "return_logprob": true, "logprob_start_len": 0, "token_ids_logprob": asked});
    let answer = generate(&server, &more);
    let meta = &answer["meta_info"];
    let states = positions(&answer);
    assert_eq!(states.len() as u64, meta["prompt_tokens"].as_u64().unwrap() + 5);
    let input = meta["input_token_ids_logprobs"].as_array().unwrap();
    let output = meta["output_token_ids_logprobs"].as_array().unwrap();
    // A position's state gives the next position's log-probabilities; the first position has none.
    let lists: Vec<&Value> = input.iter().skip(1).chain(output).collect();
    assert_eq!(lists.len(), states.len());
    for (at, (state, list)) in states.iter().zip(lists).enumerate() {
        let logit = |id: usize| -> f64 { matrix[id].iter().zip(state).map(|(w, h)| w * h).sum() };
        let first = list[0][0].as_f64().unwrap() - logit(0);
        for id in 1..ROWS {
            let rest = list[id][0].as_f64().unwrap() - logit(id);
            assert!((rest - first).abs() < 2e-2, "position {at}, id {id}: {rest} and {first}");
        }
    }
}

#[test]
fn steps_chunks_and_batches_have_those_of_the_same_positions_in_a_prompt() {
    for flags in [
        &[FLAG][..],
        &[FLAG, "--disable-overlap-schedule"],
        &[FLAG, "--chunked-prefill-size", "4"],
        &[FLAG, "--chunked-prefill-size", "4", "--enable-mixed-chunk"],
    ] {
        let server = Server::start(flags).unwrap();
        // A separate namespace for each, so that nothing comes from the cache.
        let answer = generate(&server, &json!({"text": PROMPT, "cache_salt": "first"}));
        let made = answer["output_ids"].as_array().unwrap();
        let ids = server.post_json("/tokenize", &json!({"prompt": PROMPT})).unwrap()["tokens"].clone();
        let mut whole = ids.as_array().unwrap().clone();
        whole.extend(made[..5].iter().cloned());
        let again = generate(&server, &json!({"input_ids": whole, "cache_salt": "again"}));
        let expected = positions(&again)[..whole.len()].to_vec();
        near(&positions(&answer), &expected, &format!("{flags:?}"));

        let cached = generate(&server, &json!({"input_ids": whole, "cache_salt": "again"}));
        let from = cached["meta_info"]["cached_tokens"].as_u64().unwrap() as usize;
        assert_eq!(from, whole.len() - 1);
        near(&positions(&cached), &positions(&again)[from..], "behind a cached prefix");

        let batch = json!({
            "input_ids": [whole, ids], "cache_salt": "batch", "return_hidden_states": [true, false],
            "sampling_params": {"temperature": 0, "max_new_tokens": 6, "ignore_eos": true},
        });
        let answers = server.post_json("/generate", &batch).unwrap();
        assert!(answers[1]["meta_info"].get("hidden_states").is_none());
        let from = answers[0]["meta_info"]["cached_tokens"].as_u64().unwrap() as usize;
        near(&positions(&answers[0]), &positions(&again)[from..], "in a batch");
    }
}

#[test]
fn streams_and_openais_routes_give_the_same_ones() {
    let server = Server::start(&[FLAG]).unwrap();
    let sampling = json!({"temperature": 0, "max_new_tokens": 6, "ignore_eos": true});
    let whole = generate(&server, &json!({"text": PROMPT, "cache_salt": "a"}));
    let body = json!({
        "text": PROMPT, "cache_salt": "b", "stream": true, "return_hidden_states": true, "sampling_params": sampling,
    });
    let text = server.post_text("/generate", &body).unwrap();
    let events = sse_events(&text);
    let last: Value = serde_json::from_str(events[events.len() - 2]).unwrap();
    near(&positions(&last), &positions(&whole), "a stream");

    let expected = positions(&whole).pop().unwrap();
    let body = json!({
        "model": "m", "prompt": PROMPT, "max_tokens": 6, "temperature": 0, "ignore_eos": true, "n": 2,
        "return_hidden_states": true,
    });
    let answer = server.post_json("/v1/completions", &body).unwrap();
    for choice in answer["choices"].as_array().unwrap() {
        near(&[vector(&choice["hidden_states"])], std::slice::from_ref(&expected), "a completion");
    }

    let mut body = json!({
        "model": "m", "messages": [{"role": "user", "content": "What is the capital of France?"}], "max_tokens": 5,
        "temperature": 0, "return_hidden_states": true,
    });
    let answer = server.post_json("/v1/chat/completions", &body).unwrap();
    let expected = vector(&answer["choices"][0]["hidden_states"]);
    assert_eq!(expected.len(), 576);
    body["stream"] = json!(true);
    body["return_hidden_states"] = json!("last");
    let text = server.post_text("/v1/chat/completions", &body).unwrap();
    let events = sse_events(&text);
    let last: Value = serde_json::from_str(events[events.len() - 2]).unwrap();
    let streamed = vector(&last["choices"][0]["delta"]["hidden_states"]);
    near(&[streamed], &[expected], "a chat stream");
}

#[test]
fn a_retracted_request_still_has_one_per_token() {
    let server = Server::start(&[FLAG]).unwrap();
    let body = json!({"text": PROMPT, "cache_salt": "a", "sampling_params": {
        "temperature": 0, "max_new_tokens": 150, "ignore_eos": true,
    }});
    let answer = std::thread::scope(|scope| {
        let running = scope.spawn(|| generate(&server, &body));
        server.until_loads(1, 0).unwrap();
        server.post("/pause_generation", &json!({"mode": "retract"})).unwrap();
        server.until_loads(0, 1).unwrap();
        server.post("/continue_generation", &json!({})).unwrap();
        running.join().unwrap()
    });
    assert_eq!(answer["meta_info"]["num_retractions"], 1);
    let ids = server.post_json("/tokenize", &json!({"prompt": PROMPT})).unwrap()["tokens"].clone();
    let mut whole = ids.as_array().unwrap().clone();
    whole.extend(answer["output_ids"].as_array().unwrap()[..149].iter().cloned());
    let sampling = json!({"temperature": 0, "max_new_tokens": 1});
    let again = json!({"input_ids": whole, "cache_salt": "b", "sampling_params": sampling});
    near(&positions(&answer), &positions(&generate(&server, &again)), "after a retraction");
}

#[test]
fn without_the_flag_they_are_refused() {
    let server = Server::start(&[]).unwrap();
    let body = json!({"text": PROMPT, "return_hidden_states": true});
    let response = server.post("/generate", &body).unwrap();
    assert_eq!(response.status(), 400);
    assert!(response.text().unwrap().contains("--enable-return-hidden-states"));
    let info: Value = server.get("/get_server_info").unwrap().json().unwrap();
    assert_eq!(
        (&info["enable_return_hidden_states"], &info["return_hidden_states_mode"]),
        (&json!(false), &json!(null))
    );
}
