//! The same answers to the last bit, whatever the schedule.

use serde_json::{Value, json};
use sglang_e2e::Server;

use super::harness::{cached, generate, greedy};

/// Prompts of 3 to about 250 tokens, two of them with a common beginning.
fn prompts() -> Vec<String> {
    let rivers = "Rivers begin as thin threads of water high in the hills, and rain gathers in the hollows. ";
    vec![
        "Once upon".into(),
        "The largest planet of the solar system is".into(),
        rivers.repeat(4) + "Then",
        rivers.repeat(11) + "At last",
        "é 😀 naïve 热水: ".repeat(6),
    ]
}

/// Ids and log-probabilities, without what depends on time and cache.
fn essence(answer: &Value) -> Value {
    let meta = &answer["meta_info"];
    json!([
        answer["output_ids"],
        meta["finish_reason"],
        meta["input_token_logprobs"],
        meta["input_top_logprobs"],
        meta["output_token_logprobs"],
        meta["output_top_logprobs"],
    ])
}

fn body(text: &Value, params: &Value) -> Value {
    json!({
        "text": text, "sampling_params": params,
        "return_logprob": true, "logprob_start_len": 0, "top_logprobs_num": 2,
    })
}

fn batch(server: &Server, params: &Value) -> Vec<Value> {
    let answers = server.post_json("/generate", &body(&json!(prompts()), params)).unwrap();
    answers.as_array().unwrap().iter().map(essence).collect()
}

fn sampled() -> Value {
    json!({"temperature": 0.9, "top_p": 0.9, "max_new_tokens": 12, "sampling_seed": 7, "ignore_eos": true})
}

#[test]
fn no_schedule_changes_a_bit_of_ids_and_logprobs() {
    let plain = Server::start(&[]).unwrap();
    let expected_greedy: Vec<Value> = prompts()
        .iter()
        .map(|text| essence(&plain.post_json("/generate", &body(&json!(text), &greedy(12))).unwrap()))
        .collect();
    assert_eq!(batch(&plain, &greedy(12)), expected_greedy, "a batch differs from its members");
    let expected_sampled = batch(&plain, &sampled());
    assert_ne!(expected_sampled, expected_greedy);
    drop(plain);
    let schedules: [&[&str]; 6] = [
        &["--chunked-prefill-size", "32"],
        &["--page-size", "16", "--chunked-prefill-size", "48"],
        &["--chunked-prefill-size", "32", "--enable-mixed-chunk"],
        &["--disable-overlap-schedule"],
        &["--disable-radix-cache"],
        &["--enable-deterministic-inference", "--max-running-requests", "2"],
    ];
    for flags in schedules {
        let server = Server::start(flags).unwrap();
        assert_eq!(batch(&server, &greedy(12)), expected_greedy, "{flags:?}, greedy");
        assert_eq!(batch(&server, &sampled()), expected_sampled, "{flags:?}, sampled");
    }
}

#[test]
fn a_cached_prefix_changes_the_count_of_cached_tokens_and_nothing_else() {
    for (flags, page) in [(&["--enable-cache-report"][..], 1), (&["--page-size", "16"][..], 16)] {
        let server = Server::start(flags).unwrap();
        let text = prompts().remove(2);
        let ask = |extra: Value| {
            let mut body = json!({"text": text, "sampling_params": greedy(10), "return_logprob": true});
            body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            server.post_json("/generate", &body).unwrap()
        };
        let first = ask(json!({}));
        assert_eq!(cached(&first), 0);
        let again = ask(json!({}));
        let prompt = again["meta_info"]["prompt_tokens"].as_u64().unwrap();
        assert_eq!(cached(&again), (prompt - 1) / page * page, "all but the last token, in whole pages");
        assert_eq!(essence(&again), essence(&first));
        assert_eq!(again["text"], first["text"]);

        // Input log-probabilities require that the prompt is computed again.
        let scored = ask(json!({"logprob_start_len": 0}));
        assert_eq!(cached(&scored), 0);
        assert_eq!(scored["output_ids"], first["output_ids"]);

        // A separate namespace does not see the others' prefixes.
        for (field, value) in [("extra_key", "tenant"), ("cache_salt", "salt")] {
            assert_eq!(cached(&ask(json!({field: value}))), 0, "{field}");
            assert!(cached(&ask(json!({field: value}))) > 0, "{field} a second time");
        }

        let flushed = server.post("/flush_cache", &json!({})).unwrap();
        assert_eq!(flushed.status(), 200);
        let after = ask(json!({}));
        assert_eq!(cached(&after), 0, "the cache was flushed");
        assert_eq!(essence(&after), essence(&first));
    }
}

#[test]
fn the_openai_routes_report_cached_tokens_when_asked_to() {
    let server = Server::start(&["--enable-cache-report"]).unwrap();
    let body = json!({
        "model": "default", "temperature": 0, "max_tokens": 4,
        "messages": [{"role": "user", "content": "Name one river of Europe, please."}],
    });
    let ask = |path: &str, body: &Value| {
        let usage = server.post_json(path, body).unwrap()["usage"].clone();
        (usage["prompt_tokens_details"]["cached_tokens"].as_u64(), usage["prompt_tokens"].as_u64().unwrap())
    };
    ask("/v1/chat/completions", &body);
    let (hits, prompt) = ask("/v1/chat/completions", &body);
    assert_eq!(hits, Some(prompt - 1));
    let completion = json!({"model": "default", "prompt": "Rivers begin as thin", "max_tokens": 4});
    ask("/v1/completions", &completion);
    let (hits, prompt) = ask("/v1/completions", &completion);
    assert_eq!(hits, Some(prompt - 1));
}

#[test]
fn a_following_turn_reuses_prompt_and_answer_of_the_last() {
    let server = Server::start(&[]).unwrap();
    let first = generate(&server, &prompts()[2], greedy(16));
    let mut ids: Vec<Value> =
        server.post_json("/tokenize", &json!({"prompt": prompts()[2]})).unwrap()["tokens"]
            .as_array()
            .unwrap()
            .clone();
    let prompt = ids.len() as u64;
    ids.extend(first["output_ids"].as_array().unwrap().iter().cloned());
    ids.extend([json!(198), json!(504)]);
    let second =
        server.post_json("/generate", &json!({"input_ids": ids, "sampling_params": greedy(2)})).unwrap();
    // The last sampled token was never computed, so it is not in the KV cache.
    assert_eq!(cached(&second), prompt + 15);
}
