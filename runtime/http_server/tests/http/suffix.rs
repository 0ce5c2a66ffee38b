//! `suffix` of `/v1/completions`, with and without a completion template. The engine echoes its prompt.

use serde_json::{Value, json};

use crate::common;

const FILLED: &str = "<fim_prefix>def a(<fim_suffix>return a<fim_middle>";

fn texts(answer: &Value) -> Vec<&str> {
    answer["choices"].as_array().unwrap().iter().map(|c| c["text"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn with_a_template_prompt_and_suffix_become_one_prompt() {
    let server = common::start(&["--completion-template", "star_coder"]).await;
    let body = json!({"prompt": "def a(", "suffix": "return a", "max_tokens": FILLED.len()});
    assert_eq!(texts(&server.ok("/v1/completions", body.clone()).await), [FILLED]);
    let mut several = body.clone();
    several["prompt"] = json!(["def a(", "def b("]);
    several["n"] = json!(2);
    let answer = server.ok("/v1/completions", several).await;
    let other = FILLED.replace("def a", "def b");
    assert_eq!(texts(&answer), [FILLED, FILLED, &other, &other]);
    // The prompt is echoed as sent, not as filled into the template.
    let mut echo = body.clone();
    echo["echo"] = json!(true);
    echo["logprobs"] = json!(1);
    let answer = server.ok("/v1/completions", echo.clone()).await;
    assert_eq!(texts(&answer), [format!("def a({FILLED}")]);
    let logprobs = answer["choices"][0]["logprobs"]["token_logprobs"].as_array().unwrap();
    assert_eq!(logprobs.len(), 2 * FILLED.len(), "of the whole prompt and the output");
    assert!(logprobs[0].is_null());
    echo["stream"] = json!(true);
    let chunks = server.chunks("/v1/completions", echo).await;
    let streamed: String = chunks.iter().flat_map(texts).collect();
    assert_eq!(streamed, format!("def a({FILLED}"));
}

#[actix_web::test]
async fn without_a_suffix_the_prompt_stays_as_it_is() {
    let server = common::start(&["--completion-template", "qwen_coder"]).await;
    for suffix in [json!(null), json!("")] {
        let body = json!({"prompt": "def a(", "suffix": suffix, "max_tokens": 6});
        assert_eq!(texts(&server.ok("/v1/completions", body).await), ["def a("]);
    }
    let ids = json!({"prompt": [1, 2], "max_tokens": 2});
    server.ok("/v1/completions", ids.clone()).await;
    let mut with_suffix = ids;
    with_suffix["suffix"] = json!("x");
    let (code, body) = server.call("/v1/completions", with_suffix).await;
    assert!(
        code == 400 && body["message"].as_str().unwrap().starts_with("suffix needs a prompt of text"),
        "{body}"
    );
    let (code, body) = server.call("/v1/completions", json!({"prompt": "x", "suffix": 3})).await;
    assert!(code == 400 && body["message"].as_str().unwrap().contains("'suffix'"), "{body}");
}

#[actix_web::test]
async fn without_a_template_the_suffix_changes_nothing() {
    let server = common::start(&[]).await;
    let body = json!({"prompt": "def a(", "suffix": "return a", "max_tokens": 6});
    assert_eq!(texts(&server.ok("/v1/completions", body).await), ["def a("]);
}
