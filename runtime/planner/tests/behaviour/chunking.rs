use sglang_planner::PlannerConfig;
use sglang_planner::simulator::{NoText, alone};
use sglang_proto::forward::ForwardMode;

use crate::common::{Driver, prompt, request, small};

fn chunked(config: PlannerConfig) -> PlannerConfig {
    PlannerConfig { chunked_prefill_size: Some(64), ..config }
}

#[test]
fn a_long_prompt_stops_other_streams_for_no_longer_than_one_chunk() {
    for enable_overlap in [false, true] {
        let mut driver = Driver::new(PlannerConfig { enable_overlap, ..chunked(small(4096)) });
        driver.add(request("short", prompt(1, 8), 200));
        for _ in 0..3 {
            driver.step(&mut NoText);
        }
        driver.add(request("long", prompt(2, 1200), 4));
        driver.plans.clear();
        while driver.answer("long").finish.is_none() {
            driver.step(&mut NoText);
        }
        let modes: Vec<ForwardMode> =
            driver.plans.iter().filter_map(|p| p.batch.as_ref()).map(|b| b.mode).collect();
        let chunks = modes.iter().filter(|mode| **mode == ForwardMode::Extend).count();
        assert_eq!(chunks, 1200usize.div_ceil(64));
        assert!(
            modes.windows(2).all(|w| w != [ForwardMode::Extend; 2]),
            "two chunks in a row while another request decodes"
        );
    }
}

#[test]
fn a_queue_of_prompts_stops_other_streams_for_no_longer_than_one_step_where_they_take_turns() {
    for (enable_overlap, contended_prefill_size) in [(false, Some(64)), (true, Some(64)), (false, None)] {
        let config = PlannerConfig { enable_overlap, contended_prefill_size, ..chunked(small(4096)) };
        let mut driver = Driver::new(config);
        driver.add(request("short", prompt(1, 8), 200));
        for _ in 0..3 {
            driver.step(&mut NoText);
        }
        for i in 0..6 {
            driver.add(request(&format!("prompt {i}"), prompt(10 + i, 64), 40));
        }
        driver.plans.clear();
        for _ in 0..14 {
            driver.step(&mut NoText);
        }
        let modes: Vec<ForwardMode> =
            driver.plans.iter().filter_map(|p| p.batch.as_ref()).map(|b| b.mode).collect();
        assert_eq!(modes.iter().filter(|mode| **mode == ForwardMode::Extend).count(), 6);
        let in_a_row = modes.windows(2).any(|w| w == [ForwardMode::Extend; 2]);
        assert_eq!(in_a_row, contended_prefill_size.is_none(), "{modes:?}");
        driver.run();
        driver.assert_clean();
    }
}

#[test]
fn prompts_that_come_together_go_first_where_nobody_decodes_yet() {
    let mut driver = Driver::new(PlannerConfig {
        contended_prefill_size: Some(32),
        enable_overlap: false,
        ..chunked(small(4096))
    });
    (0..2).for_each(|i| driver.add(request(&format!("prompt {i}"), prompt(10 + i, 64), 40)));
    for _ in 0..4 {
        driver.step(&mut NoText);
    }
    let batches = driver.plans.iter().filter_map(|p| p.batch.as_ref());
    let steps: Vec<(ForwardMode, usize)> = batches.map(|b| (b.mode, b.num_tokens())).collect();
    let (extend, decode) = (ForwardMode::Extend, ForwardMode::Decode);
    assert_eq!(
        steps,
        [(extend, 64), (extend, 32), (decode, 1), (extend, 32)],
        "the second in halves: the first one decodes by then"
    );
}

#[test]
fn with_mixed_chunk_other_streams_get_a_token_with_every_chunk() {
    let mut driver = Driver::new(PlannerConfig { enable_mixed_chunk: true, ..chunked(small(4096)) });
    driver.add(request("short", prompt(1, 8), 200));
    driver.step(&mut NoText);
    driver.step(&mut NoText);
    driver.add(request("long", prompt(2, 600), 4));
    driver.plans.clear();
    driver.step(&mut NoText);
    let batch = driver.plans[0].batch.as_ref().unwrap();
    assert_eq!(batch.mode, ForwardMode::Mixed);
    assert_eq!(batch.extend_lens, [63, 1], "the decode row counts towards the chunk");
    assert_eq!(batch.sample, [false, true]);
    driver.run();
    assert_eq!(driver.answer("short").output, alone(&prompt(1, 8), 7, 200, &[], 1000));
    assert_eq!(driver.answer("long").output, alone(&prompt(2, 600), 7, 4, &[], 1000));
    driver.assert_clean();
}

#[test]
fn finished_chunks_are_in_the_cache_while_the_rest_is_prefilled() {
    let mut driver = Driver::new(chunked(small(4096)));
    driver.add(request("a", prompt(1, 300), 4));
    driver.step(&mut NoText);
    driver.step(&mut NoText);
    let stats = driver.planner.stats();
    assert_eq!(stats.num_protected_tokens, 128);
    assert_eq!(stats.num_running_reqs, 1);
    driver.run();
    driver.add(request("b", prompt(1, 300), 4));
    driver.run();
    assert_eq!(
        driver.answer("b").cached_tokens,
        299,
        "all but one, so that there is something to sample from"
    );
    assert_eq!(driver.answer("a").output, driver.answer("b").output);
}

#[test]
fn chunks_end_at_page_boundaries() {
    let config = PlannerConfig { page_size: 16, ..chunked(small(4096)) };
    let mut driver = Driver::new(config);
    driver.add(request("a", prompt(1, 200), 4));
    driver.add(request("b", prompt(2, 90), 4));
    driver.run();
    for batch in driver.plans.iter().filter_map(|plan| plan.batch.as_ref()) {
        for (i, sample) in batch.sample.iter().enumerate() {
            assert!(*sample || (batch.prefix_lens[i] + batch.extend_lens[i]).is_multiple_of(16));
        }
        assert!(batch.mode != ForwardMode::Extend || batch.num_tokens() <= 64);
    }
    driver.assert_clean();
}

#[test]
fn without_chunking_a_prompt_is_prefilled_in_one_step_even_above_the_budget() {
    let config = PlannerConfig { chunked_prefill_size: None, max_prefill_tokens: 100, ..small(4096) };
    let mut driver = Driver::new(config);
    driver.add(request("a", prompt(1, 500), 2));
    driver.add(request("b", prompt(2, 50), 2));
    driver.step(&mut NoText);
    assert_eq!(driver.plans[0].batch.as_ref().unwrap().extend_lens, [500]);
    driver.run();
    driver.assert_clean();
}
