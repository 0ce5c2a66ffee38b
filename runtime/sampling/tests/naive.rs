//! Compares the sampler with a plain f64 model of the pipeline on random rows and parameters.

mod common;

use common::{edited, filtered, log_softmax, req, state};
use proptest::prelude::*;
use sglang_proto::SamplingParams;
use sglang_proto::forward::ReqSampling;
use sglang_sampling::Sampler;
use sglang_sampling::{gumbel, murmur_hash32};

fn params() -> impl Strategy<Value = SamplingParams> {
    let filter = (
        prop_oneof![Just(1i64 << 30), 2..60i64],
        prop_oneof![Just(1.0f64), 0.001..0.999f64],
        prop_oneof![Just(0.0f64), 0.001..0.9f64],
    );
    let penalties = (
        prop_oneof![Just(0.0f64), -2.0..2.0f64],
        prop_oneof![Just(0.0f64), -2.0..2.0f64],
        prop_oneof![Just(1.0f64), 0.1..2.0f64],
        0..6i64,
        proptest::option::of((0..40u32, -5.0..5.0f64)),
    );
    (0.2..2.0f64, filter, penalties).prop_map(
        |(temperature, (top_k, top_p, min_p), (frequency, presence, repetition, min_new, bias))| {
            SamplingParams {
                temperature,
                top_k,
                top_p,
                min_p,
                frequency_penalty: frequency,
                presence_penalty: presence,
                repetition_penalty: repetition,
                min_new_tokens: min_new,
                logit_bias: bias.map(|(id, value)| [(id.to_string(), value)].into()),
                ..Default::default()
            }
        },
    )
}

fn request() -> impl Strategy<Value = (Vec<f32>, ReqSampling, u32)> {
    let outputs = proptest::collection::vec(0..40u32, 0..8);
    (proptest::collection::vec(-12.0..12.0f32, 40..400), params(), outputs, any::<u64>(), 0..100_000u32)
        .prop_map(|(logits, params, output_ids, seed, position)| {
            let params = SamplingParams { sampling_seed: Some(seed as i64), ..params };
            let request = ReqSampling {
                output_ids,
                stop_token_ids: vec![1, 5],
                return_logprob: true,
                top_logprobs_num: 4,
                token_ids_logprob: vec![5, 0, 39],
                ..req(params)
            };
            (logits, request, position)
        })
}

/// The draw of the reference on f64 probabilities, and the margin of the winner.
fn draw(probabilities: &[f64], p: &SamplingParams, seed: u64, position: u32) -> (u32, f64) {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    if p.top_k < probabilities.len() as i64 || p.top_p < 1.0 || p.min_p > 0.0 {
        order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]).then(a.cmp(&b)));
    }
    let mut values: Vec<(f64, usize)> = order
        .iter()
        .enumerate()
        .map(|(column, &id)| {
            (probabilities[id].ln() + gumbel(murmur_hash32(seed, position, column as u32)), id)
        })
        .collect();
    values.sort_by(|a, b| b.0.total_cmp(&a.0));
    (values[0].1 as u32, values[0].0 - values[1].0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn tokens_and_logprobs_follow_the_f64_model((mut logits, request, position) in request()) {
        let p = &request.params;
        let edited: Vec<f64> = edited(&logits, &request).iter().map(|x| x / p.temperature).collect();
        let expected = log_softmax(&edited);
        let (probabilities, margin) = filtered(&expected, p);
        let (token, lead) = draw(&probabilities, p, p.seed(), position);
        let state = state(request.clone(), logits.len());
        let sampled = Sampler::new().sample_row(&mut logits, &state, position, None);
        prop_assert!(!sampled.nan);
        // Do not compare the token where f32 and f64 may legitimately differ.
        let ties = {
            let mut sorted = edited.clone();
            sorted.sort_by(f64::total_cmp);
            sorted.windows(2).any(|w| w[1] - w[0] < 1e-4)
        };
        if margin > 1e-5 && lead > 1e-4 && !ties {
            prop_assert_eq!(sampled.token, token);
        }
        if margin > 1e-5 && !ties {
            prop_assert!(probabilities[sampled.token as usize] > 0.0, "a filtered token was drawn");
        }
        let logprobs = sampled.logprobs.unwrap();
        let close = |got: f32, id: u32| {
            let want = expected[id as usize].max(f64::from(f32::MIN));
            (f64::from(got) - want).abs() <= 2e-4 || got == f32::MIN && want == f64::from(f32::MIN)
        };
        prop_assert!(close(logprobs.logprob, sampled.token));
        prop_assert_eq!(logprobs.top.len(), 4);
        for entry in logprobs.top.iter().chain(&logprobs.token_ids) {
            prop_assert!(close(entry.logprob, entry.id), "{:?} {}", entry, expected[entry.id as usize]);
        }
        let asked: Vec<u32> = logprobs.token_ids.iter().map(|t| t.id).collect();
        prop_assert_eq!(asked, vec![5, 0, 39]);
    }

    #[test]
    fn greedy_is_the_edited_argmax_with_unscaled_logprobs((mut logits, mut request, position) in request()) {
        request.params.top_k = 1;
        let edited = edited(&logits, &request);
        let expected = log_softmax(&edited);
        let best = edited.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let state = state(request, logits.len());
        let sampled = Sampler::new().sample_row(&mut logits, &state, position, None);
        prop_assert!(best - edited[sampled.token as usize] < 1e-4);
        let got = f64::from(sampled.logprobs.unwrap().logprob);
        prop_assert!((got - expected[sampled.token as usize]).abs() < 2e-4);
    }
}
