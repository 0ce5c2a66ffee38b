use sglang_planner::simulator::{NoText, alone};
use sglang_planner::{NewRequest, PlannerConfig, PlannerError};

use crate::common::{Driver, prompt, request, small};

#[test]
fn a_full_queue_refuses_with_503() {
    let mut driver =
        Driver::new(PlannerConfig { max_queued_requests: Some(2), max_running_requests: 1, ..small(512) });
    driver.add(request("runs", prompt(1, 5), 10));
    driver.step(&mut NoText);
    for rid in ["q1", "q2", "q3"] {
        driver.add(request(rid, prompt(1, 5), 10));
    }
    assert_eq!(driver.answer("q3").status(), Some(503));
    assert_eq!(driver.answer("q3").abort_message(), "The request queue is full.");
    assert!(driver.answer("q3").last.as_ref().unwrap().via_abort_req);
    driver.run();
    assert_eq!(driver.answer("q2").output.len(), 10);
    driver.assert_clean();
}

#[test]
fn with_priorities_a_full_queue_gives_up_its_least() {
    let config = PlannerConfig {
        max_queued_requests: Some(1),
        max_running_requests: 1,
        enable_priority_scheduling: true,
        enable_priority_preemption: false,
        ..small(512)
    };
    let mut driver = Driver::new(config);
    let with = |rid: &str, priority| {
        let mut r = request(rid, prompt(1, 5), 5);
        r.priority = Some(priority);
        r
    };
    driver.add(with("runs", 0));
    driver.step(&mut NoText);
    driver.add(with("low", 1));
    driver.add(with("high", 9));
    driver.add(with("lower", 0));
    driver.run();
    assert_eq!(driver.answer("low").abort_message(), "The request is aborted by a higher priority request.");
    assert_eq!(driver.answer("lower").abort_message(), "The request queue is full.");
    assert!(!driver.answer("high").aborted());
}

#[test]
fn a_priority_is_refused_if_the_server_says_so() {
    let mut driver = Driver::new(PlannerConfig { abort_on_priority_when_disabled: true, ..small(512) });
    let mut r = request("a", prompt(1, 5), 5);
    r.priority = Some(1);
    driver.add(r);
    assert_eq!(driver.answer("a").status(), Some(503));
    assert!(driver.answer("a").abort_message().starts_with("Using priority is disabled for this server."));
}

#[test]
fn a_live_id_cannot_be_used_again_until_it_ended() {
    let mut driver = Driver::new(small(512));
    driver.add(request("a", prompt(1, 5), 3));
    let again = driver.planner.add_request(request("a", prompt(2, 5), 3), 0.0);
    assert_eq!(again, Err(PlannerError::DuplicateRid("a".into())));
    driver.run();
    assert_eq!(driver.answer("a").output, alone(&prompt(1, 5), 7, 3, &[], 1000));
    driver.add(request("a", prompt(2, 5), 3));
    driver.run();
    assert_eq!(driver.answer("a").output, alone(&prompt(2, 5), 7, 3, &[], 1000));
}

#[test]
fn prompts_that_cannot_be_served_are_refused_with_400_and_the_reason() {
    let refuse = |config: PlannerConfig, r: NewRequest| {
        let mut driver = Driver::new(config);
        driver.add(r);
        driver.assert_clean();
        assert_eq!(driver.answer("a").status(), Some(400));
        driver.answer("a").abort_message().to_owned()
    };
    let context = PlannerConfig { context_length: 100, ..small(512) };
    assert_eq!(
        refuse(context, request("a", prompt(1, 94), 5)),
        "Input length (94 tokens) exceeds the maximum allowed length (94 tokens). Use a shorter input or enable \
         --allow-auto-truncate."
    );
    let pages = PlannerConfig { page_size: 16, chunked_prefill_size: None, ..small(256) };
    assert_eq!(
        refuse(pages, request("a", prompt(1, 245), 5)),
        "Request prompt exceeds the KV memory budget: input_len=245. The KV cache holds 256 tokens; --max-total-tokens or a \
         larger --mem-fraction-static makes it larger."
    );
    let pool = PlannerConfig { context_length: 1000, ..small(64) };
    let refusal = refuse(pool, request("a", prompt(1, 80), 5));
    assert!(
        refusal.contains("(58 tokens)")
            && refusal.contains("The KV cache holds 64 tokens; --max-total-tokens"),
        "{refusal}"
    );
    assert_eq!(refuse(small(512), request("a", vec![], 5)), "input_ids cannot be empty.");
    assert_eq!(
        refuse(small(512), request("a", vec![1, 1000], 5)),
        "input_ids contains out-of-vocabulary token id 1000; valid range is [0, 1000)."
    );
    let mut r = request("a", prompt(1, 3), 5);
    r.return_logprob = true;
    r.logprob_start_len = 4;
    assert_eq!(
        refuse(small(512), r),
        "req.logprob_start_len=4 is higher than the number of input tokens len(req.origin_input_ids)=3. Please use a \
         smaller logprob_start_len."
    );
}

#[test]
fn a_long_prompt_is_cut_if_allowed_and_then_generates_nothing() {
    let mut driver =
        Driver::new(PlannerConfig { context_length: 100, allow_auto_truncate: true, ..small(512) });
    driver.add(request("a", prompt(1, 150), 5));
    driver.run();
    let answer = driver.answer("a");
    assert_eq!(answer.last.as_ref().unwrap().request.prompt_tokens, 94);
    assert_eq!(answer.finish, Some(sglang_proto::messages::FinishReason::Length { length: 0 }));
}

#[test]
fn max_new_tokens_is_cut_to_the_context() {
    let mut driver = Driver::new(PlannerConfig { context_length: 100, ..small(512) });
    let mut r = request("a", prompt(1, 50), 1000);
    r.sampling_params.min_new_tokens = 1000;
    driver.add(r);
    driver.add({
        let mut r = request("b", prompt(2, 50), 0);
        r.sampling_params.max_new_tokens = None;
        r
    });
    driver.step(&mut NoText);
    let sampling = &driver.plans[0].batch.as_ref().unwrap().new_rows[0].sampling;
    assert_eq!((sampling.params.max_new_tokens, sampling.params.min_new_tokens), (Some(48), 48));
    driver.run();
    assert_eq!(driver.answer("a").output.len(), 48);
    assert_eq!(driver.answer("b").output.len(), 48);
}

#[test]
fn a_resumed_request_continues_after_its_output() {
    let all = alone(&prompt(1, 20), 7, 12, &[], 1000);
    let mut driver = Driver::new(small(512));
    let mut r = request("a", prompt(1, 20), 12);
    r.resumed_output_ids = all[..7].to_vec();
    driver.add(r);
    driver.run();
    assert_eq!(driver.answer("a").output, all);
    let mut done = request("b", prompt(1, 20), 7);
    done.resumed_output_ids = all[..7].to_vec();
    driver.add(done);
    assert_eq!(driver.answer("b").finish, Some(sglang_proto::messages::FinishReason::Length { length: 7 }));
}

#[test]
fn settings_that_cannot_work_are_named() {
    let error = |config: PlannerConfig| sglang_planner::Planner::new(config).unwrap_err().to_string();
    assert_eq!(
        error(PlannerConfig { page_size: 0, ..small(512) }),
        "--page-size is 0: expected a whole number, 1 or more"
    );
    assert_eq!(
        error(PlannerConfig { page_size: 16, chunked_prefill_size: Some(40), ..small(512) }),
        "--chunked-prefill-size is 40: expected a multiple of --page-size 16, or -1"
    );
    assert_eq!(error(small(4)), "--max-total-tokens is 4: the KV pool needs at least 8 pages (8 tokens)");
}
