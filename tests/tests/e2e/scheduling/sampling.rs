//! Sampling parameters that change what is generated and where it ends.

use serde_json::{Value, json};
use sglang_e2e::Server;

use super::harness::{generate, greedy};

fn ids(answer: &Value) -> Vec<u64> {
    answer["output_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect()
}

#[test]
fn every_parameter_has_its_effect() {
    let server = Server::start(&[]).unwrap();
    let ask = |text: &str, params: Value| generate(&server, text, params);

    // n: this many samples per prompt, grouped by prompt; with a seed, each sample is the same as in the other run.
    let several = |seed: u64| {
        let body = json!({
            "text": ["Tell me a story:", "The sea is"],
            "sampling_params": {"n": 3, "temperature": 1.0, "max_new_tokens": 8, "sampling_seed": seed},
        });
        server.post_json("/generate", &body).unwrap()
    };
    let samples = several(5);
    assert_eq!(samples.as_array().unwrap().len(), 6);
    let prompt_tokens: Vec<&Value> =
        samples.as_array().unwrap().iter().map(|s| &s["meta_info"]["prompt_tokens"]).collect();
    assert_eq!(prompt_tokens[..3], [prompt_tokens[0]; 3]);
    assert_eq!(prompt_tokens[3..], [prompt_tokens[3]; 3]);
    let texts = |v: &Value| v.as_array().unwrap().iter().map(|s| s["text"].clone()).collect::<Vec<_>>();
    assert_eq!(texts(&samples), texts(&several(5)));
    assert_ne!(texts(&samples), texts(&several(6)));

    // Without a seed samples differ from each other.
    let body = json!({"text": "Tell me a story:", "sampling_params": {"n": 4, "temperature": 1.5, "max_new_tokens": 12}});
    let free = texts(&server.post_json("/generate", &body).unwrap());
    assert!(free.iter().any(|t| t != &free[0]), "{free:?}");

    // stop_regex ends the output and is not cut from the text.
    let counted = ask(
        "Count: 1, 2, 3, 4,",
        json!({"temperature": 0, "max_new_tokens": 40, "stop_regex": ["1[0-9],"], "ignore_eos": true}),
    );
    assert_eq!(counted["meta_info"]["finish_reason"], json!({"type": "stop", "matched": "1[0-9],"}));
    assert!(counted["text"].as_str().unwrap().ends_with("10,"), "{counted}");

    // no_stop_trim keeps the stop string.
    let kept = ask(
        "Count: 1, 2, 3, 4,",
        json!({"temperature": 0, "max_new_tokens": 40, "stop": [" 7,"], "no_stop_trim": true}),
    );
    assert!(kept["text"].as_str().unwrap().ends_with(" 7,"), "{kept}");

    // A stop id ends the output at once; min_new_tokens prevents it; ignore_eos ignores it.
    let free = ids(&ask("The sky is", greedy(12)));
    let stop = free[3];
    let early = free.iter().position(|&id| id == stop).unwrap();
    let stopped =
        ask("The sky is", json!({"temperature": 0, "max_new_tokens": 12, "stop_token_ids": [stop]}));
    assert_eq!(ids(&stopped), free[..=early]);
    assert_eq!(stopped["meta_info"]["finish_reason"], json!({"type": "stop", "matched": stop}));
    let later = ids(&ask(
        "The sky is",
        json!({"temperature": 0, "max_new_tokens": 12, "stop_token_ids": [stop], "min_new_tokens": 8}),
    ));
    assert!(later.len() >= 8 && !later[..8].contains(&stop), "{later:?}");
    let ignored = ask(
        "The sky is",
        json!({"temperature": 0, "max_new_tokens": 12, "stop_token_ids": [stop], "ignore_eos": true}),
    );
    assert_eq!(ids(&ignored), free);

    // logit_bias forces and forbids.
    let forced = ask(
        "The sky is",
        json!({"temperature": 0, "max_new_tokens": 3, "ignore_eos": true, "logit_bias": {"504": 200.0}}),
    );
    assert_eq!(ids(&forced), [504, 504, 504]);
    let forbidden = ask(
        "The sky is",
        json!({"temperature": 0, "max_new_tokens": 12, "ignore_eos": true, "logit_bias": {free[0].to_string(): -200.0}}),
    );
    assert!(!ids(&forbidden).contains(&free[0]));

    // Each penalty breaks the repetition of a forced loop.
    let distinct = |params: Value| {
        let mut params = params;
        params.as_object_mut().unwrap().extend(greedy(40).as_object().unwrap().clone());
        let mut ids = ids(&ask("a a a a a a a a a a a a", params));
        ids.sort_unstable();
        ids.dedup();
        ids.len()
    };
    let plain = distinct(json!({}));
    for penalty in [
        json!({"frequency_penalty": 2.0}),
        json!({"presence_penalty": 2.0}),
        json!({"repetition_penalty": 2.0}),
    ] {
        let varied = distinct(penalty.clone());
        assert!(varied > plain, "{penalty}: {varied} distinct ids, {plain} without");
    }

    // top_k 1, a tiny top_p and min_p 1 all leave only the best token.
    for only_best in [json!({"top_k": 1}), json!({"top_p": 1e-6}), json!({"min_p": 1.0})] {
        let mut params = json!({"temperature": 1.3, "max_new_tokens": 12, "ignore_eos": true});
        params.as_object_mut().unwrap().extend(only_best.as_object().unwrap().clone());
        assert_eq!(ids(&ask("The sky is", params)), free, "{only_best}");
    }

    // `max_new_tokens` 0 gives an empty answer.
    let none = ask("The sky is", json!({"max_new_tokens": 0}));
    assert_eq!((&none["text"], &none["output_ids"]), (&json!(""), &json!([])));
    assert_eq!(none["meta_info"]["finish_reason"], json!({"type": "length", "length": 0}));
}

#[test]
fn a_seeded_sample_is_the_same_in_any_company() {
    let server =
        Server::start(&["--enable-deterministic-inference", "--chunked-prefill-size", "64"]).unwrap();
    let body = json!({
        "text": "Tell me about the winter of 1709:",
        "return_logprob": true,
        "sampling_params": {"temperature": 1.1, "top_p": 0.95, "max_new_tokens": 16, "sampling_seed": 11},
    });
    let ask = || {
        let answer = server.post_json("/generate", &body).unwrap();
        json!([answer["output_ids"], answer["meta_info"]["output_token_logprobs"]])
    };
    let alone = ask();
    std::thread::scope(|scope| {
        for company in 0..7 {
            let server = &server;
            let text = format!("{company} words ") + &"and more words ".repeat(company * 9);
            scope.spawn(move || generate(server, &text, greedy(24)));
        }
        for _ in 0..3 {
            assert_eq!(ask(), alone);
        }
    });
}
