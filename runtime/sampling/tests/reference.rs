//! Compares this crate with the reference's functions (`fixtures/generate.py`) on the same rows.

#![allow(clippy::unwrap_used)]

mod common;

use common::{req, state};
use serde_json::Value;
use sglang_proto::SamplingParams;
use sglang_sampling::{Sampler, murmur_hash32};

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/reference.json")).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as u32).collect()
}

#[test]
fn hashes_equal_the_references() {
    for case in fixture()["hashes"].as_array().unwrap() {
        let n = |i: usize| case[i].as_u64().unwrap();
        assert_eq!(murmur_hash32(n(0), n(1) as u32, n(2) as u32), n(3) as u32, "{case}");
    }
}

#[test]
fn seeded_tokens_and_logprobs_equal_the_references() {
    let fixture = fixture();
    let mut sampler = Sampler::new();
    let cases = fixture["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 60);
    for (index, case) in cases.iter().enumerate() {
        let p = &case["params"];
        let float = |name: &str| p[name].as_f64().unwrap();
        let params = SamplingParams {
            temperature: float("temperature"),
            top_k: p["top_k"].as_i64().unwrap(),
            top_p: float("top_p"),
            frequency_penalty: float("frequency_penalty"),
            presence_penalty: float("presence_penalty"),
            repetition_penalty: float("repetition_penalty"),
            min_new_tokens: p["min_new_tokens"].as_i64().unwrap(),
            logit_bias: p["logit_bias"]
                .as_object()
                .map(|m| m.iter().map(|(k, v)| (k.clone(), v.as_f64().unwrap())).collect()),
            ..Default::default()
        };
        let mut request = req(params);
        request.params.sampling_seed = Some(case["seed"].as_u64().unwrap() as i64);
        request.output_ids = ids(&case["output_ids"]);
        request.stop_token_ids = ids(&case["stop_token_ids"]);
        request.return_logprob = true;
        request.top_logprobs_num = 3;
        let mut row: Vec<f32> =
            case["logits"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        let state = state(request, row.len());
        let sampled = sampler.sample_row(&mut row, &state, case["position"].as_u64().unwrap() as u32, None);
        assert_eq!(u64::from(sampled.token), case["token"].as_u64().unwrap(), "case {index}");
        assert!(!sampled.nan);
        let logprobs = sampled.logprobs.unwrap();
        let close = |a: f32, b: f64| (f64::from(a) - b).abs() < 1e-5;
        assert!(close(logprobs.logprob, case["logprob"].as_f64().unwrap()), "case {index}");
        for (i, top) in logprobs.top.iter().enumerate() {
            assert!(close(top.logprob, case["top"][i][1].as_f64().unwrap()), "case {index} top {i}");
        }
    }
}
