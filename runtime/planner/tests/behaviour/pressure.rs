use sglang_planner::simulator::{NoText, alone};
use sglang_planner::{PlannerConfig, RetractionPolicy};

use crate::common::{Driver, prompt, request, small};

/// A configuration that admits eagerly, so that memory runs out while decoding.
fn eager(pool: usize) -> PlannerConfig {
    PlannerConfig { schedule_conservativeness: 0.0, disable_radix_cache: true, ..small(pool) }
}

#[test]
fn a_retracted_request_goes_on_as_if_nothing_had_happened() {
    for enable_overlap in [false, true] {
        for page_size in [1, 4] {
            let mut driver = Driver::new(PlannerConfig { enable_overlap, page_size, ..eager(160) });
            for i in 0..4 {
                driver.add(request(&format!("r{i}"), prompt(i, 10 + i), 80));
                driver.step(&mut NoText);
            }
            driver.run();
            assert!(driver.planner.stats().total_retractions > 0);
            for i in 0..4 {
                let answer = driver.answer(&format!("r{i}"));
                assert_eq!(answer.output, alone(&prompt(i, 10 + i), 7, 80, &[], 1000));
            }
            driver.assert_clean();
        }
    }
}

#[test]
fn a_retracted_request_brings_its_output_to_the_sampler() {
    let mut driver = Driver::new(eager(100));
    driver.add(request("a", prompt(1, 10), 70));
    driver.step(&mut NoText);
    driver.add(request("b", prompt(2, 10), 70));
    driver.run();
    let resumed: Vec<usize> = driver
        .plans
        .iter()
        .filter_map(|plan| plan.batch.as_ref())
        .flat_map(|batch| &batch.new_rows)
        .map(|row| row.sampling.output_ids.len())
        .filter(|len| *len > 0)
        .collect();
    assert!(!resumed.is_empty());
    assert_eq!(driver.answer("a").retractions + driver.answer("b").retractions, resumed.len() as u64);
}

/// Which request is retracted first: a has the most output, b the longest prompt of the others.
fn first_victim(config: PlannerConfig, priorities: [i64; 3]) -> String {
    let mut driver = Driver::new(config);
    let spec = [("a", 10, priorities[0]), ("b", 20, priorities[1]), ("c", 12, priorities[2])];
    for (family, (rid, len, priority)) in spec.into_iter().enumerate() {
        let mut r = request(rid, prompt(family as u32, len), 60);
        r.priority = Some(priority);
        driver.add(r);
        if rid == "a" {
            for _ in 0..5 {
                driver.step(&mut NoText);
            }
        }
    }
    while driver.planner.stats().total_retractions == 0 {
        assert!(driver.step(&mut NoText));
    }
    let plan = driver.plans.iter().find_map(|plan| plan.retraction.clone()).unwrap();
    assert_eq!(plan.num_retracted_reqs, 1);
    assert!(plan.num_tokens_gained > 0 && plan.new_ratio > plan.old_ratio);
    driver.run();
    let mut victims: Vec<_> = driver.answers.iter().filter(|(_, answer)| answer.retractions > 0).collect();
    victims.sort_by_key(|(_, answer)| std::cmp::Reverse(answer.retractions));
    victims[0].0.clone()
}

#[test]
fn the_victim_has_fewest_output_tokens_then_the_longest_prompt() {
    assert_eq!(first_victim(eager(110), [0, 0, 0]), "b");
}

#[test]
fn under_the_priority_policy_the_victim_has_the_lowest_priority() {
    let config = PlannerConfig {
        retraction_policy: RetractionPolicy::Priority,
        enable_priority_scheduling: true,
        enable_priority_preemption: false,
        ..eager(110)
    };
    assert_eq!(first_victim(config, [1, 5, 5]), "a");
}

#[test]
fn two_hundred_mixed_requests_all_finish_rightly_in_a_tiny_pool() {
    for (enable_overlap, disable_radix_cache) in [(false, false), (true, false), (true, true)] {
        let config = PlannerConfig {
            enable_overlap,
            disable_radix_cache,
            schedule_conservativeness: 0.05,
            chunked_prefill_size: Some(32),
            ..small(256)
        };
        let mut driver = Driver::new(config);
        let spec = |i: u32| (prompt(i % 7, 5 + i * 13 % 90), i64::from(1 + i * 7 % 60));
        for i in 0..200 {
            let (ids, max_new) = spec(i);
            driver.add(request(&format!("r{i}"), ids, max_new));
            driver.step(&mut NoText);
        }
        driver.run();
        for i in 0..200 {
            let (ids, max_new) = spec(i);
            assert_eq!(driver.answer(&format!("r{i}")).output, alone(&ids, 7, max_new as usize, &[], 1000));
        }
        driver.assert_clean();
    }
}

#[test]
fn eviction_makes_room_before_anybody_is_retracted() {
    let mut driver = Driver::new(small(200));
    for i in 0..20 {
        driver.add(request(&format!("r{i}"), prompt(i, 50), 20));
        driver.run();
    }
    assert_eq!(driver.planner.stats().total_retractions, 0);
    assert!(driver.planner.stats().num_evictable_tokens > 100);
    driver.assert_clean();
}

#[test]
fn rows_limit_how_many_run_at_once() {
    let mut driver = Driver::new(PlannerConfig { max_running_requests: 3, ..small(4096) });
    for i in 0..10 {
        driver.add(request(&format!("r{i}"), prompt(i, 5), 10));
    }
    while driver.step(&mut NoText) {
        assert!(driver.planner.stats().num_running_reqs <= 3);
    }
    driver.assert_clean();
}

#[test]
fn requests_that_ignore_the_end_are_admitted_only_if_they_fit_to_the_end() {
    let config = PlannerConfig { disable_radix_cache: true, schedule_conservativeness: 0.0, ..small(100) };
    let mut driver = Driver::new(config);
    for rid in ["a", "b", "c"] {
        let mut r = request(rid, prompt(1, 10), 50);
        r.sampling_params.ignore_eos = true;
        driver.add(r);
    }
    driver.run();
    assert_eq!(driver.planner.stats().total_retractions, 0);
    driver.assert_clean();
}
