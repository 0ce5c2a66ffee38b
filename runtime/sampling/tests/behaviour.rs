//! Specific behaviours of the sampler that random comparisons would miss.

mod common;

use std::sync::Arc;

use common::{filtered, log_softmax, req, state};
use sglang_proto::SamplingParams;
use sglang_sampling::{IMPOSSIBLE_LOGPROB, RowState, Sampler, SamplingError};

fn greedy() -> SamplingParams {
    SamplingParams { top_k: 1, ..Default::default() }
}

#[test]
fn greedy_ties_go_to_the_lowest_id_and_leave_the_row_alone() {
    let mut row = vec![0.0f32; 1000];
    row[400] = 3.0;
    row[900] = 3.0;
    let before = row.clone();
    let sampled = Sampler::new().sample_row(&mut row, &state(req(greedy()), 1000), 3, None);
    assert_eq!((sampled.token, sampled.nan, sampled.logprobs), (400, false, None));
    assert_eq!(row, before);
}

#[test]
fn a_row_with_nan_is_flagged_and_still_gives_a_token() {
    for params in [greedy(), SamplingParams::default(), SamplingParams { top_p: 0.5, ..Default::default() }] {
        let state = state(req(params), 50);
        let mut row = vec![0.0f32; 50];
        row[7] = f32::NAN;
        row[9] = 40.0;
        let sampled = Sampler::new().sample_row(&mut row, &state, 3, None);
        assert!(sampled.nan);
        assert_eq!(sampled.token, 9);
        let sampled = Sampler::new().sample_row(&mut [f32::NAN; 50], &state, 3, None);
        assert!(sampled.nan && sampled.token < 50);
    }
    assert!(Sampler::new().sample_row(&mut [], &state(req(greedy()), 50), 0, None).nan);
}

#[test]
fn an_infinite_logit_wins_without_being_nan() {
    let mut row = vec![1.0f32, f32::INFINITY, 2.0];
    let mut request = req(SamplingParams::default());
    request.return_logprob = true;
    let sampled = Sampler::new().sample_row(&mut row, &state(request, 3), 0, None);
    assert_eq!((sampled.token, sampled.nan), (1, false));
    assert_eq!(sampled.logprobs.unwrap().logprob, 0.0);
}

#[test]
fn min_new_tokens_suppresses_stop_ids_until_enough_are_observed() {
    let mut request = req(SamplingParams { min_new_tokens: 2, ..greedy() });
    request.stop_token_ids = vec![1, 70_000];
    let mut state = state(request, 3);
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let token = Sampler::new().sample_row(&mut [0.0, 9.0, 1.0], &state, state.position(), None).token;
        state.observe(token);
        tokens.push(token);
    }
    assert_eq!(tokens, [2, 2, 1]);
}

#[test]
fn a_resumed_request_keeps_its_counts_and_position() {
    let mut request = req(SamplingParams { frequency_penalty: 1.0, ..greedy() });
    request.output_ids = vec![1, 1, 1];
    let resumed = state(request.clone(), 3);
    request.output_ids.clear();
    let mut live = state(request, 3);
    for _ in 0..3 {
        live.observe(1);
    }
    assert_eq!((resumed.position(), live.position()), (6, 6));
    for state in [resumed, live] {
        // 3 - 3 * 1.0 < 1.
        assert_eq!(Sampler::new().sample_row(&mut [0.0, 3.0, 1.0], &state, 6, None).token, 2);
    }
}

#[test]
fn the_grammar_mask_comes_before_the_bias() {
    let params = SamplingParams { logit_bias: Some([("0".into(), 100.0)].into()), ..greedy() };
    let state = state(req(params), 40);
    let mut row: Vec<f32> = (0..40).map(|i| i as f32).collect();
    let sampled = Sampler::new().sample_row(&mut row.clone(), &state, 0, Some(&[0b1000, 0]));
    assert_eq!(sampled.token, 3, "a bias cannot bring back what the grammar forbids");
    assert_eq!(Sampler::new().sample_row(&mut row, &state, 0, None).token, 0);
}

#[test]
fn padding_past_the_vocabulary_is_never_chosen() {
    let mut row = vec![0.0f32; 64];
    row[60] = 50.0;
    for params in [greedy(), SamplingParams::default()] {
        assert!(Sampler::new().sample_row(&mut row.clone(), &state(req(params), 48), 0, None).token < 48);
    }
}

#[test]
fn the_draw_depends_on_seed_and_position_but_not_on_other_rows() {
    let row: Vec<f32> = (0..500).map(|i| ((i * 37) % 101) as f32 / 40.0).collect();
    let other: Vec<f32> = (0..9000).map(|i| ((i * 91) % 77) as f32 / 10.0).collect();
    for params in [
        SamplingParams { temperature: 0.9, ..Default::default() },
        SamplingParams { top_k: 30, top_p: 0.8, ..Default::default() },
    ] {
        let row_state = state(req(params.clone()), 500);
        let other_state = state(req(SamplingParams { top_p: 0.3, ..Default::default() }), 9000);
        let alone: Vec<u32> =
            (0..50).map(|p| Sampler::new().sample_row(&mut row.clone(), &row_state, p, None).token).collect();
        let mut shared = Sampler::new();
        for (p, &token) in alone.iter().enumerate() {
            shared.sample_row(&mut other.clone(), &other_state, p as u32, None);
            assert_eq!(shared.sample_row(&mut row.clone(), &row_state, p as u32, None).token, token);
        }
        assert!(alone.windows(2).any(|w| w[0] != w[1]), "positions draw differently");
        let reseeded = state(req(SamplingParams { sampling_seed: Some(43), ..params }), 500);
        let with_other_seed: Vec<u32> =
            (0..50).map(|p| Sampler::new().sample_row(&mut row.clone(), &reseeded, p, None).token).collect();
        assert_ne!(alone, with_other_seed);
    }
}

/// Pearson's chi-squared statistic stays below the 99.9 % quantile (normal approximation of Wilson and Hilferty).
#[test]
fn frequencies_follow_the_distribution() {
    const DRAWS: u32 = 20_000;
    let row: Vec<f32> = (0..40).map(|i| ((i * 13) % 17) as f32 / 6.0).collect();
    for params in [
        SamplingParams { temperature: 1.3, ..Default::default() },
        SamplingParams { top_k: 12, ..Default::default() },
        SamplingParams { top_p: 0.7, temperature: 0.8, ..Default::default() },
        SamplingParams { min_p: 0.3, ..Default::default() },
    ] {
        let scaled: Vec<f64> = row.iter().map(|&x| f64::from(x) / params.temperature).collect();
        let (expected, _) = filtered(&log_softmax(&scaled), &params);
        let state = state(req(params.clone()), row.len());
        let mut sampler = Sampler::new();
        let mut counts = vec![0u32; row.len()];
        for position in 0..DRAWS {
            counts[sampler.sample_row(&mut row.clone(), &state, position, None).token as usize] += 1;
        }
        let (mut statistic, mut degrees) = (0.0, -1.0);
        for (&count, &probability) in counts.iter().zip(&expected) {
            let mean = probability * f64::from(DRAWS);
            if mean == 0.0 {
                assert_eq!(count, 0, "{params:?}");
                continue;
            }
            statistic += (f64::from(count) - mean).powi(2) / mean;
            degrees += 1.0;
        }
        let spread = 2.0 / (9.0 * degrees);
        let quantile = degrees * (1.0 - spread + 3.09 * f64::sqrt(spread)).powi(3);
        assert!(statistic < quantile, "{statistic} >= {quantile} for {params:?}");
    }
}

#[test]
fn input_logprobs_ignore_the_request_and_order_ties_by_id() {
    let row = [1.0f32, 3.0, 3.0, f32::NEG_INFINITY];
    let got = Sampler::new().input_logprobs(&row, 0, 2, &[3, 9, 1]);
    let expected = log_softmax(&[1.0, 3.0, 3.0, f64::NEG_INFINITY]);
    assert!((f64::from(got.logprob) - expected[0]).abs() < 1e-6);
    assert_eq!(got.top.iter().map(|t| t.id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(got.token_ids.iter().map(|t| t.id).collect::<Vec<_>>(), [3, 9, 1]);
    assert_eq!(got.token_ids[0].logprob, IMPOSSIBLE_LOGPROB);
    assert_eq!(got.token_ids[1].logprob, IMPOSSIBLE_LOGPROB);
    assert!((f64::from(got.token_ids[2].logprob) - expected[1]).abs() < 1e-6);
    assert!(Sampler::new().input_logprobs(&[0.0, f32::NAN], 0, 0, &[]).logprob.is_finite());
}

#[test]
fn a_bad_logit_bias_key_is_named() {
    let params = SamplingParams { logit_bias: Some([("12".into(), 1.0)].into()), ..greedy() };
    let error = RowState::new(Arc::new(req(params)), 12).unwrap_err();
    assert_eq!(error.to_string(), "logit_bias key \"12\" is not a token id in [0, 11]");
    assert_eq!(RowState::new(Arc::new(req(greedy())), 0).unwrap_err(), SamplingError::EmptyVocabulary);
}

#[test]
fn log_probabilities_can_be_those_before_the_temperature() {
    let row: Vec<f32> = (0..200).map(|i| ((i * 37) % 101) as f32 / 20.0).collect();
    let mut wanted = req(SamplingParams { temperature: 3.0, ..Default::default() });
    wanted.return_logprob = true;
    let state = state(wanted, row.len());
    let sample = |sampler: Sampler, position| {
        let mut sampler = sampler;
        let sampled = sampler.sample_row(&mut row.clone(), &state, position, None);
        (sampled.token as usize, f64::from(sampled.logprobs.expect("asked for").logprob))
    };
    let plain: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
    let scaled: Vec<f64> = plain.iter().map(|x| x / 3.0).collect();
    for position in 0..20 {
        let (token, logprob) = sample(Sampler::new(), position);
        assert!((logprob - log_softmax(&scaled)[token]).abs() < 1e-4);
        let (same, original) = sample(Sampler::new().with_original_logprobs(true), position);
        assert_eq!(same, token);
        assert!((original - log_softmax(&plain)[token]).abs() < 1e-4, "{original}");
    }
}
