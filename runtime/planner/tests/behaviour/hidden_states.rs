use sglang_planner::simulator::{NoText, hidden_states};
use sglang_planner::{NewRequest, PlannerConfig};
use sglang_proto::forward::HiddenStateRows;
use sglang_proto::{CaptureHiddenMode, HiddenStateChunk};

use crate::common::{Answer, Driver, prompt, request, small};

fn wanting(mode: CaptureHiddenMode, request: NewRequest) -> NewRequest {
    NewRequest { return_hidden_states: mode, ..request }
}

fn full(rid: &str, ids: Vec<u32>, max_new_tokens: i64) -> NewRequest {
    wanting(CaptureHiddenMode::Full, request(rid, ids, max_new_tokens))
}

/// A list with the prompt's states from the first computed one on, then one state per step.
fn expected(input_ids: &[u32], answer: &Answer) -> Vec<HiddenStateChunk> {
    let mut rows = hidden_states(&[input_ids, &answer.output].concat());
    // The newest token is not computed.
    rows.pop();
    let steps = rows.split_off(input_ids.len());
    let of_prompt = HiddenStateChunk::List(rows.split_off(answer.cached_tokens));
    std::iter::once(of_prompt).chain(steps.into_iter().map(HiddenStateChunk::Vector)).collect()
}

#[test]
fn the_prompts_states_come_first_and_then_one_for_each_step() {
    for enable_overlap in [false, true] {
        let mut driver = Driver::new(PlannerConfig { enable_overlap, ..small(1024) });
        driver.add(full("a", prompt(1, 9), 5));
        driver.add(request("neighbour", prompt(2, 7), 5));
        driver.run();
        let answer = driver.answer("a");
        assert_eq!(answer.hidden_states.len(), 5);
        assert_eq!(answer.hidden_states, expected(&prompt(1, 9), answer));
        assert!(driver.answer("neighbour").hidden_states.is_empty());
        driver.assert_clean();
    }
}

#[test]
fn a_request_without_a_wish_adds_nothing_to_batches() {
    let mut driver = Driver::new(small(1024));
    driver.add(request("a", prompt(1, 9), 5));
    driver.run();
    assert!(driver.plans.iter().filter_map(|p| p.batch.as_ref()).all(|b| b.hidden_states.is_empty()));
}

#[test]
fn cached_positions_have_none_and_the_cache_stays_on() {
    let mut driver = Driver::new(small(1024));
    driver.add(request("warm", prompt(1, 30), 1));
    driver.run();
    driver.add(full("a", [prompt(1, 30), prompt(2, 6)].concat(), 3));
    driver.run();
    let answer = driver.answer("a");
    assert_eq!(answer.cached_tokens, 30);
    assert_eq!(answer.hidden_states, expected(&[prompt(1, 30), prompt(2, 6)].concat(), answer));
    let HiddenStateChunk::List(rows) = &answer.hidden_states[0] else { panic!("a list") };
    assert_eq!(rows.len(), 6);
}

#[test]
fn chunks_of_a_prompt_are_joined() {
    for (enable_overlap, enable_mixed_chunk) in [(false, false), (true, false), (true, true)] {
        let config = PlannerConfig {
            enable_overlap,
            enable_mixed_chunk,
            chunked_prefill_size: Some(8),
            ..small(1024)
        };
        let mut driver = Driver::new(config);
        driver.add(full("decoding", prompt(3, 5), 30));
        driver.step(&mut NoText);
        driver.add(full("a", prompt(1, 50), 4));
        driver.run();
        for (rid, ids) in [("a", prompt(1, 50)), ("decoding", prompt(3, 5))] {
            let answer = driver.answer(rid);
            assert_eq!(answer.hidden_states, expected(&ids, answer), "{rid}");
        }
        driver.assert_clean();
    }
}

#[test]
fn a_retracted_request_goes_on_with_one_state_per_token() {
    for enable_overlap in [false, true] {
        let config = PlannerConfig {
            enable_overlap,
            schedule_conservativeness: 0.0,
            disable_radix_cache: true,
            ..small(160)
        };
        let mut driver = Driver::new(config);
        for i in 0..4 {
            driver.add(full(&format!("r{i}"), prompt(i, 10 + i), 80));
            driver.step(&mut NoText);
        }
        driver.run();
        assert!(driver.planner.stats().total_retractions > 0);
        for i in 0..4 {
            let answer = driver.answer(&format!("r{i}"));
            assert_eq!(answer.hidden_states, expected(&prompt(i, 10 + i), answer));
        }
    }
}

#[test]
fn a_prompt_that_is_stopped_between_chunks_is_whole_in_the_end() {
    use sglang_planner::PauseMode;
    for flush in [false, true] {
        let mut driver = Driver::new(PlannerConfig { chunked_prefill_size: Some(8), ..small(1024) });
        driver.add(request("warm", prompt(1, 12), 1));
        driver.run();
        driver.add(full("a", [prompt(1, 12), prompt(2, 40)].concat(), 3));
        driver.step(&mut NoText);
        driver.step(&mut NoText);
        driver.planner.pause(PauseMode::Retract);
        while driver.step(&mut NoText) {}
        if flush {
            assert!(driver.planner.flush_cache());
        }
        driver.planner.resume();
        driver.run();
        let answer = driver.answer("a");
        assert_eq!((answer.retractions, answer.cached_tokens), (1, 12));
        assert_eq!(answer.hidden_states, expected(&[prompt(1, 12), prompt(2, 40)].concat(), answer));
    }
}

#[test]
fn last_keeps_the_newest_state_alone() {
    let mut driver = Driver::new(PlannerConfig { chunked_prefill_size: Some(8), ..small(1024) });
    driver.add(wanting(CaptureHiddenMode::Last, request("a", prompt(1, 20), 6)));
    driver.run();
    let answer = driver.answer("a");
    assert_eq!(answer.hidden_states, [expected(&prompt(1, 20), answer).pop().unwrap()]);
    let rows = |p: &sglang_planner::Plan| p.batch.as_ref().map_or(0, |b| b.hidden_states.len());
    assert_eq!(driver.plans.iter().map(rows).sum::<usize>(), 6, "none of the prompt but the last");
}

#[test]
fn without_output_there_are_none_but_the_last() {
    let mut driver = Driver::new(small(1024));
    driver.add(full("a", prompt(1, 9), 0));
    driver.add(wanting(CaptureHiddenMode::Last, request("b", prompt(2, 9), 0)));
    driver.run();
    assert!(driver.answer("a").hidden_states.is_empty());
    let last = hidden_states(&prompt(2, 9)).pop().unwrap();
    assert_eq!(driver.answer("b").hidden_states, [HiddenStateChunk::Vector(last)]);
}

#[test]
fn streams_carry_what_is_new() {
    let mut driver = Driver::new(small(1024));
    let mut r = full("a", prompt(1, 9), 4);
    r.stream = true;
    driver.add(r);
    driver.run();
    let answer = driver.answer("a");
    assert_eq!(answer.event_sizes, [1, 1, 1, 1]);
    assert_eq!(answer.last.as_ref().unwrap().hidden_states.len(), 1);
    assert_eq!(answer.hidden_states, expected(&prompt(1, 9), answer));
}

#[test]
fn a_request_that_resumes_after_its_output_has_one_per_new_token() {
    let mut driver = Driver::new(small(1024));
    let mut r = full("a", prompt(1, 9), 6);
    r.resumed_output_ids = vec![5, 6];
    driver.add(r);
    driver.run();
    let rows = hidden_states(&[prompt(1, 9), driver.answer("a").output.clone()].concat());
    let expected: Vec<_> = rows[10..14].iter().cloned().map(HiddenStateChunk::Vector).collect();
    assert_eq!(driver.answer("a").hidden_states, expected);
}

#[test]
fn a_result_that_lacks_some_ends_its_requests_with_an_error() {
    for wrong in [Vec::new(), vec![HiddenStateRows { req_index: 0, rows: vec![vec![1.0]] }]] {
        let mut driver = Driver::new(small(1024));
        driver.add(full("a", prompt(1, 9), 2));
        let batch = driver.planner.plan(0.0).batch.unwrap();
        let mut result = driver.worker.run(&batch).unwrap();
        result.hidden_states = wrong;
        driver.planner.on_result(result, &mut NoText).unwrap();
        driver.collect();
        assert_eq!(driver.answer("a").status(), Some(500));
        assert!(driver.answer("a").abort_message().contains("hidden_states"));
    }
}
