use serde_json::json;
use sglang_planner::simulator::{NoText, alone};
use sglang_planner::{AbortCause, NAN_MATCHED, PlannerConfig, TailDecoder, Tuning};
use sglang_proto::forward::ForwardResult;
use sglang_proto::grammar::GrammarEnd;
use sglang_proto::messages::FinishReason;
use sglang_proto::wire::StringList;

use crate::common::{Driver, prompt, request, small};

/// Decodes each id as `<id>`. A pattern matches if the text contains it; `(` is an invalid pattern.
struct Spelling;

impl TailDecoder for Spelling {
    fn decode_tail(&mut self, ids: &[u32]) -> String {
        ids.iter().map(|id| format!("<{id}>")).collect()
    }

    fn regex_matches(&mut self, pattern: &str, text: &str) -> Result<bool, String> {
        if pattern == "(" { Err("unclosed group".into()) } else { Ok(text.contains(pattern)) }
    }
}

fn run(driver: &mut Driver) {
    while driver.step(&mut Spelling) {}
}

fn made(n: usize) -> Vec<u32> {
    alone(&prompt(1, 5), 7, n, &[], 1000)
}

#[test]
fn an_abort_does_not_touch_ids_that_start_alike() {
    let mut driver = Driver::new(small(512));
    driver.add(request("a_1", prompt(1, 5), 10));
    driver.add(request("a_10", prompt(2, 5), 10));
    driver.step(&mut NoText);
    assert!(driver.planner.abort("a_1", &AbortCause::Client));
    assert!(!driver.planner.abort("a_", &AbortCause::Client));
    driver.run();
    assert!(driver.answer("a_1").aborted());
    assert_eq!(driver.answer("a_10").output.len(), 10);
}

#[test]
fn an_aborted_request_frees_its_slots_within_one_step_in_every_state() {
    let config = PlannerConfig { chunked_prefill_size: Some(64), enable_overlap: true, ..small(2048) };
    let case = |steps: usize, message: &str| {
        let mut driver = Driver::new(config.clone());
        driver.add(request("a", prompt(1, 300), 50));
        for _ in 0..steps {
            driver.step(&mut NoText);
        }
        assert!(driver.planner.abort("a", &AbortCause::Client));
        driver.collect();
        assert_eq!(driver.answer("a").abort_message(), message);
        assert_eq!(driver.answer("a").status(), None);
        while driver.land(&mut NoText) {}
        assert_eq!(driver.planner.stats().num_used_tokens, 0, "after {steps} steps");
        assert!(!driver.planner.abort("a", &AbortCause::Client), "an abort is idempotent");
        driver.assert_clean();
    };
    case(0, "Abort in waiting queue");
    case(1, "Aborted");
    case(3, "Aborted");
    case(12, "Aborted");
}

#[test]
fn a_retracted_request_in_the_queue_can_be_aborted() {
    let config = PlannerConfig { schedule_conservativeness: 0.0, disable_radix_cache: true, ..small(100) };
    let mut driver = Driver::new(config);
    driver.add(request("a", prompt(1, 10), 70));
    driver.step(&mut NoText);
    driver.add(request("b", prompt(2, 10), 70));
    while driver.planner.stats().total_retractions == 0 {
        driver.step(&mut NoText);
    }
    assert!(driver.planner.abort("b", &AbortCause::Client));
    driver.run();
    assert_eq!(driver.answer("b").abort_message(), "Abort in waiting queue");
    assert!(!driver.answer("b").output.is_empty(), "output made so far goes out with the end");
    assert_eq!(driver.answer("a").output.len(), 70);
    driver.assert_clean();
}

#[test]
fn an_abort_by_the_server_carries_503_and_its_text() {
    let mut driver = Driver::new(small(512));
    driver.add(request("a", prompt(1, 5), 10));
    driver.planner.abort("a", &AbortCause::Server("Request running timeout.".into()));
    driver.collect();
    assert_eq!(driver.answer("a").status(), Some(503));
    assert_eq!(driver.answer("a").abort_message(), "Request running timeout.");
}

#[test]
fn a_stop_string_ends_the_output_with_the_token_that_completes_it() {
    let ids = made(6);
    let mut driver = Driver::new(small(512));
    let mut r = request("a", prompt(1, 5), 20);
    let stop = format!("{}><{}", ids[3], ids[4]);
    r.sampling_params.stop_strs = StringList(vec!["never".into(), stop.clone()]);
    r.sampling_params.stop_str_max_len = 2;
    driver.add(r);
    run(&mut driver);
    assert_eq!(driver.answer("a").output, ids[..5]);
    assert_eq!(driver.answer("a").finish, Some(FinishReason::Stop { matched: json!(stop) }));
}

#[test]
fn a_stop_string_comes_before_a_stop_pattern_before_a_stop_token_before_the_length() {
    let ids = made(6);
    let last = ids[4];
    let finish = |strings: bool, patterns: bool, tokens: bool| {
        let mut driver = Driver::new(small(512));
        let mut r = request("a", prompt(1, 5), 5);
        if strings {
            r.sampling_params.stop_strs = StringList(vec![format!("<{last}>")]);
        }
        if patterns {
            r.sampling_params.stop_regex_strs = StringList(vec![format!("{last}>")]);
        }
        r.sampling_params.stop_token_ids = tokens.then(|| vec![i64::from(last)]);
        driver.add(r);
        run(&mut driver);
        assert_eq!(driver.answer("a").output, ids[..5]);
        driver.answer("a").finish.clone().unwrap()
    };
    assert_eq!(finish(true, true, true), FinishReason::matched_str(format!("<{last}>")));
    assert_eq!(finish(false, true, true), FinishReason::matched_str(format!("{last}>")));
    assert_eq!(finish(false, false, true), FinishReason::matched_token(last));
    assert_eq!(finish(false, false, false), FinishReason::Length { length: 5 });
}

#[test]
fn ignore_eos_switches_stop_tokens_off_but_not_stop_strings() {
    let ids = made(6);
    let mut driver = Driver::new(PlannerConfig { eos_token_ids: vec![ids[1]], ..small(512) });
    let mut r = request("a", prompt(1, 5), 6);
    r.sampling_params.ignore_eos = true;
    r.sampling_params.stop_token_ids = Some(vec![i64::from(ids[2])]);
    r.sampling_params.stop_strs = StringList(vec![format!("<{}>", ids[4])]);
    driver.add(r);
    driver.add(request("b", prompt(1, 5), 6));
    run(&mut driver);
    assert_eq!(driver.answer("a").output, ids[..5]);
    assert_eq!(
        driver.answer("b").output,
        ids[..2],
        "an end-of-sequence id ends a plain request and is included"
    );
}

#[test]
fn a_stop_pattern_that_does_not_compile_ends_the_request_with_400() {
    let mut driver = Driver::new(small(512));
    let mut r = request("a", prompt(1, 5), 6);
    r.sampling_params.stop_regex_strs = StringList(vec!["(".into()]);
    driver.add(r);
    run(&mut driver);
    assert_eq!(driver.answer("a").status(), Some(400));
    assert_eq!(driver.answer("a").abort_message(), "invalid stop_regex '(': unclosed group");
    driver.assert_clean();
}

#[test]
fn no_new_tokens_means_an_empty_output_and_the_distribution_after_the_prompt() {
    for enable_overlap in [false, true] {
        let mut driver = Driver::new(PlannerConfig { enable_overlap, ..small(512) });
        let mut r = request("a", prompt(1, 5), 0);
        r.return_logprob = true;
        r.top_logprobs_num = 3;
        driver.add(r);
        driver.run();
        let answer = driver.answer("a");
        assert_eq!(answer.output, [0u32; 0]);
        assert_eq!(answer.finish, Some(FinishReason::Length { length: 0 }));
        assert_eq!(answer.last.as_ref().unwrap().output_logprobs[0].top.len(), 3);
        assert_eq!(driver.steps, 1);
        driver.assert_clean();
    }
}

#[test]
fn nan_ends_only_the_request_that_has_it_and_is_not_cached() {
    let mut driver = Driver::new(PlannerConfig { eos_token_ids: vec![42], ..small(512) });
    driver.add(request("bad", prompt(1, 8), 10));
    driver.add(request("good", prompt(2, 8), 3));
    let batch = driver.planner.plan(0.0).batch.unwrap();
    let mut result = driver.worker.run(&batch).unwrap();
    result.nan[0] = true;
    driver.planner.on_result(result, &mut NoText).unwrap();
    driver.run();
    assert_eq!(driver.answer("bad").finish, Some(FinishReason::matched_str(NAN_MATCHED)));
    assert_eq!(driver.answer("bad").output, [42], "an id that is certainly valid stands in");
    assert_eq!(driver.answer("good").output.len(), 3);
    driver.add(request("again", prompt(1, 8), 1));
    driver.run();
    assert_eq!(driver.answer("again").cached_tokens, 0);
    driver.assert_clean();
}

#[test]
fn an_id_outside_the_vocabulary_counts_as_nan() {
    let mut driver = Driver::new(small(512));
    driver.add(request("a", prompt(1, 8), 10));
    let batch = driver.planner.plan(0.0).batch.unwrap();
    let mut result = driver.worker.run(&batch).unwrap();
    result.next_token_ids[0] = Some(1000);
    driver.planner.on_result(result, &mut NoText).unwrap();
    driver.collect();
    assert_eq!(driver.answer("a").finish, Some(FinishReason::matched_str(NAN_MATCHED)));
}

#[test]
fn a_failed_step_ends_its_requests_with_500_and_nobody_else() {
    for enable_overlap in [false, true] {
        let mut driver = Driver::new(PlannerConfig { enable_overlap, ..small(512) });
        driver.add(request("a", prompt(1, 8), 10));
        let batch = driver.planner.plan(0.0).batch.unwrap();
        let dependent = driver.planner.plan(0.0).batch;
        driver.planner.on_failure(batch.forward_id, "The model failed.").unwrap();
        driver.collect();
        assert_eq!(
            (driver.answer("a").status(), driver.answer("a").abort_message()),
            (Some(500), "The model failed.")
        );
        if let Some(batch) = dependent {
            driver.planner.on_failure(batch.forward_id, "The model failed.").unwrap();
        }
        driver.add(request("b", prompt(1, 8), 3));
        driver.run();
        assert_eq!(driver.answer("b").cached_tokens, 0, "what a failed step wrote is not used");
        assert_eq!(driver.answer("b").output, alone(&prompt(1, 8), 7, 3, &[], 1000));
        driver.assert_clean();
    }
}

#[test]
fn a_malformed_result_is_a_failed_step() {
    let mut driver = Driver::new(small(512));
    driver.add(request("a", prompt(1, 8), 10));
    let batch = driver.planner.plan(0.0).batch.unwrap();
    let empty = ForwardResult { forward_id: batch.forward_id, ..ForwardResult::default() };
    driver.planner.on_result(empty, &mut NoText).unwrap();
    driver.collect();
    assert_eq!(driver.answer("a").status(), Some(500));
    assert!(driver.answer("a").abort_message().contains("next_token_ids has 0 entries for 1 requests"));
    driver.assert_clean();
}

#[test]
fn a_grammar_ends_its_request_and_no_other() {
    let mut driver = Driver::new(small(512));
    for (rid, family) in [("done", 1), ("torn", 2), ("free", 3)] {
        let mut new = request(rid, prompt(family, 8), 6);
        new.sampling_params.ignore_eos = true;
        driver.add(new);
    }
    let batch = driver.planner.plan(0.0).batch.unwrap();
    let mut result = driver.worker.run(&batch).unwrap();
    let token = result.next_token_ids[0].unwrap();
    let failed = GrammarEnd::Failed("why".into());
    result.grammar_ends = vec![Some(GrammarEnd::Terminated), Some(failed), None];
    driver.planner.on_result(result, &mut NoText).unwrap();
    driver.run();
    assert_eq!(driver.answer("done").finish, Some(FinishReason::matched_token(token)));
    assert_eq!(driver.answer("done").output, [token]);
    assert_eq!(driver.answer("torn").status(), Some(500));
    assert_eq!(driver.answer("torn").abort_message(), "The grammar cannot go on: why");
    assert_eq!(driver.answer("free").output.len(), 6);
    driver.assert_clean();
}

#[test]
fn a_result_of_another_step_is_refused_and_changes_nothing() {
    let mut driver = Driver::new(small(512));
    driver.add(request("a", prompt(1, 8), 10));
    let batch = driver.planner.plan(0.0).batch.unwrap();
    let result = driver.worker.run(&batch).unwrap();
    let stray = ForwardResult { forward_id: 77, ..result.clone() };
    let error = driver.planner.on_result(stray, &mut NoText).unwrap_err();
    assert_eq!(error.to_string(), "result of step 77 does not belong to the oldest batch in flight (step 0)");
    driver.planner.on_result(result, &mut NoText).unwrap();
    driver.run();
    assert_eq!(driver.answer("a").output.len(), 10);
}

#[test]
fn what_waits_or_runs_for_too_long_ends_with_503() {
    let tuning = Tuning { waiting_timeout: Some(5.0), running_timeout: Some(20.0), ..Default::default() };
    let mut driver = Driver::new(PlannerConfig { tuning, max_running_requests: 1, ..small(4096) });
    assert_eq!(driver.planner.next_timeout(), None);
    driver.add(request("runs", prompt(1, 5), 3000));
    driver.step(&mut NoText);
    let start = driver.now;
    driver.add(request("waits", prompt(2, 5), 3));
    assert!(driver.planner.next_timeout().is_some_and(|at| (at - driver.now - 5.0).abs() < 1.0));
    driver.now = start + 4.0;
    driver.step(&mut NoText);
    assert!(driver.answer("waits").finish.is_none());
    driver.now = start + 6.0;
    driver.step(&mut NoText);
    assert_eq!(driver.answer("waits").status(), Some(503));
    assert_eq!(driver.answer("waits").abort_message(), "Request waiting timeout reached.");
    assert!(driver.answer("runs").finish.is_none());
    driver.now = start + 21.0;
    driver.step(&mut NoText);
    assert_eq!(driver.answer("runs").abort_message(), "Request running timeout reached.");
    assert_eq!(driver.answer("runs").status(), Some(503));
    driver.add(request("next", prompt(3, 5), 3));
    driver.run();
    assert_eq!(driver.answer("next").output.len(), 3);
    driver.assert_clean();
}
