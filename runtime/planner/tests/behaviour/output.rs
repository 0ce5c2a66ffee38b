use sglang_planner::simulator::NoText;
use sglang_planner::{PlannerConfig, Tuning};
use sglang_proto::messages::FinishReason;

use crate::common::{Driver, prompt, request, small};

fn sizes(stream: bool, own: Option<i64>, server: usize, tokens: i64) -> Vec<usize> {
    let mut driver = Driver::new(PlannerConfig { stream_interval: server, ..small(1024) });
    let mut r = request("a", prompt(1, 5), tokens);
    r.stream = stream;
    r.sampling_params.stream_interval = own;
    driver.add(r);
    driver.run();
    driver.answer("a").event_sizes.clone()
}

#[test]
fn a_stream_sends_the_first_token_at_once_and_then_by_its_interval() {
    assert_eq!(sizes(true, None, 1, 4), [1, 1, 1, 1]);
    assert_eq!(sizes(true, None, 4, 11), [1, 4, 4, 2]);
    assert_eq!(sizes(true, Some(3), 4, 8), [1, 3, 3, 1]);
}

#[test]
fn a_request_that_does_not_stream_sends_every_fifty_tokens() {
    assert_eq!(sizes(false, None, 1, 120), [50, 50, 20]);
    assert_eq!(sizes(false, None, 1, 50), [50]);
}

#[test]
fn tuning_bounds_the_answer_and_bundles_its_tokens() {
    let tuning = Tuning { max_new_tokens_limit: Some(40), force_stream_interval: 15, ..Default::default() };
    let mut driver = Driver::new(PlannerConfig { tuning, ..small(1024) });
    for (rid, tokens) in [("a", 120), ("b", 20)] {
        driver.add(request(rid, prompt(1, 5), tokens));
    }
    driver.run();
    assert_eq!(driver.answer("a").event_sizes, [15, 15, 10]);
    let finish = driver.answer("a").last.as_ref().unwrap().finish_reason.clone();
    assert_eq!(finish, Some(FinishReason::Length { length: 40 }));
    assert_eq!(driver.answer("b").event_sizes, [15, 5]);
}

#[test]
fn events_carry_what_the_detokenizer_needs() {
    let mut driver = Driver::new(small(1024));
    let mut r = request("a", prompt(1, 20), 2);
    r.sampling_params.no_stop_trim = true;
    r.sampling_params.skip_special_tokens = false;
    driver.add(r);
    driver.run();
    let info = driver.answer("a").last.as_ref().unwrap().request.clone();
    assert_eq!(info.prompt_tail, prompt(1, 20)[15..]);
    assert!(info.no_stop_trim && !info.skip_special_tokens);
}

#[test]
fn cached_tokens_are_those_of_the_first_prefill() {
    let mut driver = Driver::new(PlannerConfig { page_size: 4, ..small(1024) });
    driver.add(request("a", prompt(1, 30), 2));
    driver.run();
    driver.add(request("b", prompt(1, 30), 2));
    driver.run();
    assert_eq!(driver.answer("b").cached_tokens, 28, "whole pages");
    let mut salted = request("c", prompt(1, 30), 2);
    salted.cache_salt = Some("tenant".into());
    driver.add(salted);
    driver.run();
    assert_eq!(driver.answer("c").cached_tokens, 0);
    let stats = driver.planner.stats();
    assert_eq!((stats.cache_hit_tokens, stats.cache_query_tokens), (28, 90));
}

#[test]
fn prompt_and_output_of_an_ended_request_are_cached_but_its_last_token() {
    for enable_overlap in [false, true] {
        let mut driver = Driver::new(PlannerConfig { enable_overlap, eos_token_ids: vec![1], ..small(1024) });
        driver.add(request("a", prompt(1, 10), 6));
        driver.run();
        let turn = [prompt(1, 10), driver.answer("a").output.clone(), prompt(2, 3)].concat();
        driver.add(request("b", turn, 1));
        driver.run();
        assert_eq!(driver.answer("b").cached_tokens, 15);
    }
}

/// Requests input log-probabilities from `start` on, with chunks of 8.
fn input_logprobs(start: i64, token_ids: bool) -> (Vec<usize>, usize, usize) {
    let mut driver = Driver::new(PlannerConfig { chunked_prefill_size: Some(8), ..small(1024) });
    driver.add(request("warm", prompt(1, 30), 1));
    driver.run();
    let mut r = request("a", prompt(1, 30), 3);
    r.return_logprob = true;
    r.logprob_start_len = start;
    r.top_logprobs_num = 2;
    r.token_ids_logprob = token_ids.then(|| vec![5, 6]);
    driver.add(r);
    driver.run();
    let answer = driver.answer("a");
    let [input] = answer.input_logprobs.as_slice() else {
        panic!("sent {} times", answer.input_logprobs.len())
    };
    assert_eq!(input.token_ids, prompt(1, 30)[input.start..]);
    assert_eq!(answer.output_logprobs, 3);
    for row in input.rows.iter().flatten() {
        assert_eq!((row.top.len(), row.token_ids.len()), (2, if token_ids { 2 } else { 0 }));
    }
    let nulls = input.rows.iter().enumerate().filter(|(_, row)| row.is_none()).map(|(i, _)| i).collect();
    (nulls, input.rows.len(), answer.cached_tokens)
}

#[test]
fn input_logprobs_start_where_asked_with_a_null_and_limit_the_cached_prefix() {
    assert_eq!(input_logprobs(0, false), (vec![0], 30, 0));
    assert_eq!(input_logprobs(12, false), (vec![0], 18, 12));
    assert_eq!(input_logprobs(29, false), (vec![0], 1, 29));
    assert_eq!(input_logprobs(30, false), (vec![], 0, 29));
}

#[test]
fn without_a_start_there_are_no_input_logprobs_unless_ids_were_asked_for() {
    assert_eq!(input_logprobs(-1, false), (vec![], 0, 29));
    assert_eq!(input_logprobs(-1, true), (vec![0], 1, 29));
}

#[test]
fn input_logprobs_judge_the_same_positions_however_the_prompt_is_chunked() {
    let rows = |chunk: Option<usize>| {
        let mut driver = Driver::new(PlannerConfig { chunked_prefill_size: chunk, ..small(1024) });
        let mut r = request("a", prompt(1, 50), 3);
        r.return_logprob = true;
        r.logprob_start_len = 3;
        driver.add(r);
        driver.run();
        driver.answer("a").input_logprobs.clone()
    };
    assert_eq!(rows(None), rows(Some(7)));
    assert_eq!(rows(None), rows(Some(1)));
}

#[test]
fn overlap_plans_the_next_step_with_tokens_that_are_not_known_yet() {
    let mut driver = Driver::new(PlannerConfig { enable_overlap: true, ..small(1024) });
    driver.add(request("a", prompt(1, 10), 3));
    driver.step(&mut NoText);
    driver.step(&mut NoText);
    let second = driver.plans[1].batch.as_ref().unwrap();
    assert_eq!(second.input_ids, [-(i64::from(second.req_pool_indices[0]) + 1)]);
    driver.run();
    assert_eq!(driver.steps, 3, "a request known to end with the step in flight is not run again");
    driver.assert_clean();
}

#[test]
fn a_third_batch_is_not_planned_while_two_could_be_in_flight() {
    let mut driver = Driver::new(PlannerConfig { enable_overlap: true, ..small(1024) });
    driver.add(request("a", prompt(1, 10), 30));
    assert!(driver.planner.plan(0.0).batch.is_some());
    assert!(driver.planner.plan(0.0).batch.is_some());
    assert_eq!(driver.planner.plan(0.0), sglang_planner::Plan::default());
}
