//! `/v1/score` on a model that generates.

use serde_json::{Value, json};
use sglang_e2e::Server;

use super::harness::{call, error, floats};

#[test]
fn labels_get_the_probabilities_that_the_reference_has_recorded() {
    let server = Server::start(&[]).unwrap();
    let query = "The capital of France is";
    let plain = json!({"model": "my-model", "query": query, "items": [" Paris"], "label_token_ids": [9806, 787],
        "return_token_logprobs": true});
    let answer = server.post_json("/v1/score", &plain).unwrap();
    assert!(error(&floats(&answer["token_logprobs"][0]), &[-18.9764461517334, -12.455835342407227]) < 1e-3);
    for (found, recorded) in
        floats(&answer["scores"][0]).iter().zip([5.736330299377962e-9, 3.894928084296658e-6])
    {
        assert!((found / recorded - 1.0).abs() < 2e-2, "{found} instead of {recorded}");
    }
    assert_eq!((&answer["model"], &answer["object"]), (&json!("my-model"), &json!("scoring")));
    assert_eq!(answer["usage"]["prompt_tokens"], 6);
    let shared = json!({"query": query, "items": [" Paris", " London"], "label_token_ids": [9806, 787],
        "apply_softmax": true});
    let answer = server.post_json("/v1/score", &shared).unwrap();
    let recorded = [[0.001470603386928899, 0.9985293966130712], [0.0015983917660116044, 0.9984016082339884]];
    for (row, recorded) in recorded.iter().enumerate() {
        assert!(error(&floats(&answer["scores"][row]), recorded) < 1e-4);
    }
    assert_eq!(answer["token_logprobs"], Value::Null);
    orders_ids_and_label_sets(&server, query);
    mistakes(&server);
}

fn scores(server: &Server, body: &Value) -> Vec<Vec<f64>> {
    let answer = server.post_json("/v1/score", body).unwrap();
    answer["scores"].as_array().unwrap().iter().map(floats).collect()
}

fn orders_ids_and_label_sets(server: &Server, query: &str) {
    let ids = |text: &str| {
        let body = json!({"prompt": text, "add_special_tokens": true});
        server.post_json("/tokenize", &body).unwrap()["tokens"].clone()
    };
    let labels = [9806, 787, 5];
    let by_text = scores(server, &json!({"query": query, "items": " Paris", "label_token_ids": labels}));
    let body = json!({"query": ids(query), "items": [ids(" Paris")], "label_token_ids": labels});
    let by_ids = scores(server, &body);
    assert!(by_text.len() == 1 && error(&by_ids[0], &by_text[0]) < 1e-4);
    // With `item_first`, the score is that of the joined text.
    let body = json!({"query": " Paris", "items": [query], "label_token_ids": labels, "item_first": true});
    let turned = scores(server, &body);
    assert!(error(&turned[0], &by_text[0]) < 1e-4);
    // A list of labels per item, in its own order.
    let body = json!({"query": query, "items": [" Paris", " Paris"], "label_token_ids": [[787], [5, 9806]]});
    let own = scores(server, &body);
    assert!(error(&own[0], &[by_text[0][1]]) < 1e-4);
    assert!(error(&own[1], &[by_text[0][2], by_text[0][0]]) < 1e-4);
    // A high temperature evens out the probabilities.
    let body = json!({"query": query, "items": [" Paris"], "label_token_ids": [9806, 787], "apply_softmax": true,
        "temperature": 1e6});
    assert!(error(&scores(server, &body)[0], &[0.5, 0.5]) < 1e-4);
    assert!(scores(server, &json!({"query": query, "items": [], "label_token_ids": [1]})).is_empty());
}

fn mistakes(server: &Server) {
    for (body, text) in [
        (
            json!({"query": "q", "items": ["a"]}),
            "label_token_ids is required for generation (CausalLM) models.",
        ),
        (json!({"query": "q", "label_token_ids": [1]}), "items must be provided"),
        (json!({"query": "q", "items": ["a"], "label_token_ids": []}), "must be a nonempty list"),
        (json!({"query": "q", "items": ["a"], "label_token_ids": [[1], [2]]}), "must have one list per item"),
        (
            json!({"query": "q", "items": ["a"], "label_token_ids": [[]]}),
            "must have a nonempty candidate list",
        ),
        (json!({"query": "q", "items": ["a"], "label_token_ids": [-1]}), "must contain nonnegative integers"),
        (
            json!({"query": "q", "items": ["a"], "label_token_ids": [1, 1]}),
            "must not contain duplicate tokens",
        ),
        (
            json!({"query": "q", "items": ["a"], "label_token_ids": [99_999_999]}),
            "Token ID 99999999 is out of vocabulary (vocab size: 49152)",
        ),
        (
            json!({"query": [1], "items": ["a"], "label_token_ids": [1]}),
            "Invalid combination of query/items types for score_request.",
        ),
        (
            json!({"query": "q", "items": ["a"], "label_token_ids": [1], "temperature": 2}),
            "temperature requires apply_softmax=True",
        ),
        (
            json!({"query": "q", "items": ["a"], "label_token_ids": [1], "return_pooled_hidden_states": true}),
            "return_pooled_hidden_states is not supported for CausalLM models.",
        ),
        (
            json!({"query": "q", "items": ["a"], "score_extraction_token": "x"}),
            "score_extraction_token is not",
        ),
    ] {
        let (status, answer) = call(server, "/v1/score", &body);
        assert_eq!((status, answer["type"].as_str()), (400, Some("BadRequestError")), "{body}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains(text), "{body}: {answer}");
    }
}
