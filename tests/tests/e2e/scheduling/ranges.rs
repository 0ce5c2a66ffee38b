//! Sampling parameters outside their ranges are refused in the reference's words.

use serde_json::{Value, json};
use sglang_e2e::Server;

#[test]
fn values_out_of_range_are_refused_with_the_references_words() {
    let server = Server::start(&[]).unwrap();
    let many: Vec<String> = (0..33).map(|i| format!("stop{i}")).collect();
    let cases = [
        (json!({"max_new_tokens": -1}), "max_new_tokens must be at least 0, got -1."),
        (json!({"temperature": -0.5}), "temperature must be a non-negative finite number, got -0.5."),
        (json!({"top_p": 0.0}), "top_p must be in (0, 1], got 0.0."),
        (json!({"top_p": 1.5}), "top_p must be in (0, 1], got 1.5."),
        (json!({"top_k": 0}), "top_k must be -1 (disable) or at least 1, got 0."),
        (json!({"top_k": -2}), "top_k must be -1 (disable) or at least 1, got -2."),
        (json!({"min_p": -0.1}), "min_p must be in [0, 1], got -0.1."),
        (json!({"min_p": 1.1}), "min_p must be in [0, 1], got 1.1."),
        (json!({"frequency_penalty": 2.5}), "frequency_penalty must be in [-2, 2], got 2.5."),
        (json!({"frequency_penalty": -2.5}), "frequency_penalty must be in [-2, 2], got -2.5."),
        (json!({"presence_penalty": 2.1}), "presence_penalty must be in [-2, 2], got 2.1."),
        (
            json!({"repetition_penalty": 0.0}),
            "repetition_penalty must be in (0, 2] (1.0 = no penalty), got 0.0.",
        ),
        (
            json!({"repetition_penalty": 2.5}),
            "repetition_penalty must be in (0, 2] (1.0 = no penalty), got 2.5.",
        ),
        (json!({"min_new_tokens": -1}), "min_new_tokens must be in [0, max_new_tokens], got -1."),
        (
            json!({"min_new_tokens": 9, "max_new_tokens": 8}),
            "min_new_tokens must be in [0, max_new_tokens(8)], got 9.",
        ),
        (json!({"logit_bias": {"49152": 1.0}}), "logit_bias must has keys in [0, 49151], got 49152."),
        (json!({"logit_bias": {"-1": 1.0}}), "logit_bias must has keys in [0, 49151], got -1."),
        (json!({"stop": many}), "at most 32 stop strings are allowed, got 33"),
        (json!({"stop_regex": many}), "at most 32 stop_regex patterns are allowed, got 33"),
        (json!({"stop_regex": ["x".repeat(257)]}), "stop_regex is 257 bytes, over the 256-byte limit"),
        (
            json!({"json_schema": "{}", "regex": "a"}),
            "Only one of json_schema, regex, ebnf, or structural_tag can be set.",
        ),
    ];
    for (params, message) in cases {
        let response = server.post("/generate", &json!({"text": "x", "sampling_params": params})).unwrap();
        assert_eq!(response.status(), 400, "{params}");
        let answer: Value = response.json().unwrap();
        assert_eq!(answer, json!({"error": {"message": message}}), "{params}");
    }
}

#[test]
fn values_of_a_wrong_type_are_refused_by_name_of_the_type() {
    let server = Server::start(&[]).unwrap();
    let cases = [
        (json!({"temperature": "hot"}), "invalid type: string \"hot\", expected f64"),
        (json!({"max_new_tokens": "8"}), "invalid type: string \"8\", expected i64"),
        (json!({"ignore_eos": 1}), "invalid type: integer `1`, expected a boolean"),
        (json!({"stop_token_ids": 5}), "invalid type: integer `5`, expected a sequence"),
        (json!({"logit_bias": [1]}), "invalid type: sequence, expected a map"),
        (json!({"seed": 1}), "unknown field `seed`, expected one of `max_new_tokens`, `stop`"),
    ];
    for (params, message) in cases {
        let response = server.post("/generate", &json!({"text": "x", "sampling_params": params})).unwrap();
        assert_eq!(response.status(), 400, "{params}");
        let answer: Value = response.json().unwrap();
        let text = answer["error"].as_str().unwrap_or_else(|| panic!("{params}: {answer}"));
        assert!(text.contains(message), "{params}: {text}");
    }
    for name in
        ["temperature", "top_k", "stop", "stop_token_ids", "logit_bias", "ignore_eos", "sampling_seed"]
    {
        let body = json!({"text": "x", "sampling_params": {name: null, "max_new_tokens": 1}});
        assert_eq!(server.post("/generate", &body).unwrap().status(), 200, "{name}: null is the default");
    }
}

#[test]
fn prompts_and_outputs_beyond_the_context_are_refused() {
    let server = Server::start(&["--context-length", "64"]).unwrap();
    let ids = |n: usize| vec![504; n];
    let ask = |n: usize, max_new: usize| {
        let body = json!({"input_ids": ids(n), "sampling_params": {"max_new_tokens": max_new}});
        let response = server.post("/generate", &body).unwrap();
        (response.status().as_u16(), response.text().unwrap())
    };
    let (status, text) = ask(64, 1);
    assert_eq!(status, 400, "{text}");
    assert!(
        text.contains("The input (64 tokens) is longer than the model's context length (64 tokens)."),
        "{text}"
    );
    let (status, text) = ask(20, 100);
    assert_eq!(status, 400, "{text}");
    assert!(
        text.contains("Requested token count exceeds the model's maximum context length of 64 tokens. You requested a \
                       total of 120 tokens: 20 tokens from the input messages and 100 tokens for the completion."),
        "{text}"
    );
    assert_eq!(ask(20, 8).0, 200);
    let logprobs = json!({"input_ids": ids(5), "return_logprob": true, "logprob_start_len": 6});
    let response = server.post("/generate", &logprobs).unwrap();
    assert_eq!(response.status(), 400);
    assert!(response.text().unwrap().contains("is higher than the number of input tokens"));
    let asked = json!({"input_ids": ids(5), "return_logprob": true, "token_ids_logprob": [49152]});
    let response = server.post("/generate", &asked).unwrap();
    assert_eq!(response.status(), 400);
    assert!(
        response.text().unwrap().contains(
            "token_ids_logprob contains out-of-vocabulary token id 49152; valid range is [0, 49152)."
        )
    );
}
