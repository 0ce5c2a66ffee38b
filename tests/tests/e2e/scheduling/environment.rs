//! Environment variables that change answers.

use serde_json::json;
use sglang_e2e::{Server, ServerOptions};

use super::harness::{command, generate, greedy};

fn start(env: &[(&str, &str)]) -> Server {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Server::start_with(&ServerOptions { env, ..Default::default() }).unwrap()
}

#[test]
fn answers_have_a_longest_length_and_log_probabilities_before_the_temperature() {
    let server = start(&[("SGLANG_MAX_NEW_TOKENS_LIMIT", "5"), ("SGLANG_RETURN_ORIGINAL_LOGPROB", "true")]);
    let answer = generate(&server, "The capital of France is", greedy(9));
    assert_eq!(answer["meta_info"]["completion_tokens"], 5);
    assert_eq!(answer["meta_info"]["finish_reason"], json!({"type": "length", "length": 5}));
    let logprobs = |server: &Server, temperature: f64| {
        // A tiny `top_p` leaves only the best token even with a temperature.
        let params =
            json!({"temperature": temperature, "top_p": 1e-6, "max_new_tokens": 5, "ignore_eos": true});
        let body =
            json!({"text": "The capital of France is", "sampling_params": params, "return_logprob": true});
        let answer = server.post_json("/generate", &body).unwrap();
        let all = answer["meta_info"]["output_token_logprobs"].as_array().unwrap().clone();
        all.iter().map(|entry| entry[0].as_f64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(logprobs(&server, 0.0), logprobs(&server, 2.0));
    // Without the variable, the temperature has an effect.
    let server = start(&[]);
    assert_ne!(logprobs(&server, 0.0), logprobs(&server, 2.0));
}

#[test]
fn requests_that_wait_or_run_for_too_long_are_told_so() {
    let env = [("SGLANG_REQ_WAITING_TIMEOUT", "1"), ("SGLANG_REQ_RUNNING_TIMEOUT", "4")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let options = ServerOptions { env, ..ServerOptions::with_args(&["--max-running-requests", "1"]) };
    let server = Server::start_with(&options).unwrap();
    let long = json!({"text": "x", "sampling_params": greedy(7000)});
    let refused = |name: &str| {
        let response = server.post("/generate", &long).unwrap();
        let (status, body) = (response.status(), response.text().unwrap());
        assert!(status == 503 && body.contains(name), "{status}: {body}");
    };
    std::thread::scope(|scope| {
        let runs = scope.spawn(|| refused("Request running timeout reached."));
        server.until_loads(1, 0).unwrap();
        refused("Request waiting timeout reached.");
        runs.join().unwrap();
    });
    // Also if nothing else happens: the server is paused, and the requests that were running are back in the queue. A
    // pause before the request arrived would hold it back in the tokenizer manager, where no limit applies.
    server.until_loads(0, 0).unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| refused("Request waiting timeout reached."));
        server.until_loads(1, 0).unwrap();
        command(&server, "/pause_generation", json!({"mode": "retract"}));
        waits.join().unwrap();
    });
    command(&server, "/continue_generation", json!({}));
    assert_eq!(generate(&server, "x", greedy(2))["meta_info"]["completion_tokens"], 2);
}
