//! Other model families than Llama on a whole server: the same continuations as transformers, alone, in a batch and
//! after a cached prefix.

use serde_json::{Value, json};
use sglang_e2e::{Server, ServerOptions};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime/model/tests/fixtures");

fn start(model: &str) -> Server {
    let args = ["--skip-tokenizer-init", "--dtype", "float32"];
    let options = ServerOptions { model: Some(model.into()), ..ServerOptions::with_args(&args) };
    Server::start_with(&options).unwrap()
}

/// Prompts and their greedy continuations by transformers.
fn cases(name: &str) -> Vec<(Value, Value)> {
    let text = std::fs::read(format!("{FIXTURES}/{name}.json")).unwrap();
    let fixture: Value = serde_json::from_slice(&text).unwrap();
    let cases = fixture["cases"].as_array().unwrap();
    assert!(cases.len() > 3);
    cases.iter().map(|case| (case["input_ids"].clone(), case["greedy"].clone())).collect()
}

/// The answer to one or several prompts.
fn generate(server: &Server, input_ids: &Value, tokens: usize) -> Value {
    let params = json!({"temperature": 0, "max_new_tokens": tokens, "ignore_eos": true});
    server.post_json("/generate", &json!({"input_ids": input_ids, "sampling_params": params})).unwrap()
}

fn check(name: &str, model: &str) {
    let server = start(model);
    let cases = cases(name);
    let tokens = cases[0].1.as_array().unwrap().len();
    for (input_ids, greedy) in &cases {
        assert_eq!(generate(&server, input_ids, tokens)["output_ids"], *greedy, "{name}, {input_ids}");
    }
    server.post("/flush_cache", &json!({})).unwrap();
    let prompts: Value = cases.iter().map(|(input_ids, _)| input_ids.clone()).collect();
    let together = generate(&server, &prompts, tokens);
    for (answer, (input_ids, greedy)) in together.as_array().unwrap().iter().zip(&cases) {
        assert_eq!(answer["output_ids"], *greedy, "{name} in a batch, {input_ids}");
    }
    // The prompt and half of its answer are cached, from a prefill and from decode steps.
    let (input_ids, greedy) = cases.last().unwrap();
    let half = tokens / 2;
    let (begin, rest) = greedy.as_array().unwrap().split_at(half);
    let longer: Value = input_ids.as_array().unwrap().iter().chain(begin).cloned().collect();
    let answer = generate(&server, &longer, tokens - half);
    assert_eq!(answer["output_ids"], json!(rest), "{name} after a cached prefix");
    let cached = answer["meta_info"]["cached_tokens"].as_u64().unwrap() as usize;
    assert!(cached > input_ids.as_array().unwrap().len(), "{cached} tokens were cached");
}

#[test]
fn gemma_3_with_windows_answers_as_transformers_does() {
    check("decoders/gemma3", &format!("{FIXTURES}/decoders/gemma3"));
}

#[test]
fn deepseek_v3_with_a_compressed_cache_answers_as_transformers_does() {
    check("moe/tiny-deepseek-v3", &format!("{FIXTURES}/moe/tiny-deepseek-v3"));
}

#[test]
fn gpt_oss_from_a_gguf_file_answers_as_transformers_does() {
    check("moe/tiny-gpt-oss-mxfp4", &format!("{FIXTURES}/moe/tiny-gpt-oss-mxfp4.gguf"));
}
