use sglang_planner::PlannerConfig;
use sglang_planner::policy::PolicyKind;
use sglang_planner::simulator::NoText;

use crate::common::{Driver, prompt, request, small};

/// Runs one request at a time, so that the order of starting shows.
fn single(schedule_policy: PolicyKind) -> PlannerConfig {
    PlannerConfig { schedule_policy, max_running_requests: 1, ..small(4096) }
}

/// Order in which all requests have ended.
fn order_of_ends(driver: &mut Driver) -> Vec<String> {
    driver.run();
    driver.ends.clone()
}

#[test]
fn fcfs_starts_requests_as_they_came() {
    let mut driver = Driver::new(single(PolicyKind::Fcfs));
    for rid in ["c", "a", "b"] {
        driver.add(request(rid, prompt(1, 10), 3));
    }
    assert_eq!(order_of_ends(&mut driver), ["c", "a", "b"]);
}

#[test]
fn lpm_starts_the_longest_cached_prefix_first() {
    let mut driver = Driver::new(single(PolicyKind::Lpm));
    driver.add(request("seed", prompt(1, 100), 2));
    driver.run();
    driver.add(request("none", prompt(2, 100), 2));
    driver.add(request("half", [prompt(1, 50), prompt(3, 50)].concat(), 2));
    driver.add(request("all", prompt(1, 100), 2));
    assert_eq!(order_of_ends(&mut driver), ["seed", "all", "half", "none"]);
    assert_eq!(driver.answer("half").cached_tokens, 50);
}

#[test]
fn lpm_takes_a_queue_of_more_than_128_as_it_came() {
    let mut driver = Driver::new(single(PolicyKind::Lpm));
    driver.add(request("seed", prompt(1, 100), 1));
    driver.run();
    for i in 0..129 {
        driver.add(request(&format!("r{i:03}"), prompt(100 + i, 10), 1));
    }
    driver.add(request("cached", prompt(1, 100), 1));
    let order = order_of_ends(&mut driver);
    let at = |rid: &str| order.iter().position(|r| r == rid).unwrap();
    assert_eq!(at("r000"), 1);
    assert_eq!(at("cached"), 3, "as soon as the queue is short enough, prefixes count");
}

#[test]
fn dfs_weight_runs_requests_that_share_much_together() {
    let mut driver = Driver::new(PlannerConfig { max_running_requests: 16, ..single(PolicyKind::DfsWeight) });
    driver.add(request("x", prompt(1, 50), 1));
    driver.add(request("y", prompt(2, 50), 1));
    driver.run();
    for (rid, family) in [("y1", 2), ("x1", 1), ("new", 3), ("x2", 1), ("x3", 1)] {
        driver.add(request(rid, prompt(family, 60), 1));
    }
    assert_eq!(order_of_ends(&mut driver)[2..], ["x1", "x2", "x3", "y1", "new"]);
}

#[test]
fn lof_starts_the_longest_output_first() {
    let mut driver = Driver::new(single(PolicyKind::Lof));
    for (rid, max_new) in [("short", 2), ("long", 9), ("middle", 5)] {
        driver.add(request(rid, prompt(1, 10), max_new));
    }
    assert_eq!(order_of_ends(&mut driver), ["long", "middle", "short"]);
}

#[test]
fn the_random_order_depends_on_the_seed_alone() {
    let order = |random_seed: u64| {
        let mut driver = Driver::new(PlannerConfig { random_seed, ..single(PolicyKind::Random) });
        for i in 0..8 {
            driver.add(request(&format!("r{i}"), prompt(i, 10), 1));
        }
        order_of_ends(&mut driver)
    };
    assert_eq!(order(1), order(1));
    assert!((2..10).any(|seed| order(seed) != order(1)));
}

#[test]
fn without_a_cache_lpm_is_fcfs() {
    let mut driver = Driver::new(PlannerConfig { disable_radix_cache: true, ..single(PolicyKind::Lpm) });
    driver.add(request("seed", prompt(1, 100), 1));
    driver.run();
    driver.add(request("b", prompt(2, 100), 1));
    driver.add(request("a", prompt(1, 100), 1));
    assert_eq!(order_of_ends(&mut driver), ["seed", "b", "a"]);
    assert_eq!(driver.answer("a").cached_tokens, 0);
}

#[test]
fn requests_that_share_an_uncached_prefix_wait_for_the_first_of_them() {
    for enable_overlap in [false, true] {
        let config = PlannerConfig { schedule_policy: PolicyKind::Lpm, enable_overlap, ..small(4096) };
        let mut driver = Driver::new(config);
        for (i, rid) in ["a", "b", "c"].into_iter().enumerate() {
            driver.add(request(rid, [prompt(1, 100), prompt(5 + i as u32, 10)].concat(), 4));
        }
        driver.add(request("other", prompt(9, 40), 4));
        driver.step(&mut NoText);
        assert_eq!(driver.plans[0].batch.as_ref().unwrap().num_reqs(), 2, "a and other");
        driver.run();
        assert_eq!(driver.answer("a").cached_tokens, 0);
        assert_eq!(driver.answer("b").cached_tokens, 100);
        assert_eq!(driver.answer("c").cached_tokens, 100);
        driver.assert_clean();
    }
}

#[test]
fn nobody_is_passed_over_more_often_than_the_bound() {
    let config = PlannerConfig { starvation_bound: 5, ..single(PolicyKind::Lof) };
    let mut driver = Driver::new(config);
    driver.add(request("first", prompt(1, 10), 3));
    driver.step(&mut NoText);
    driver.add(request("short", prompt(2, 10), 1));
    let mut passed = 0;
    while driver.answer("short").finish.is_none() {
        let rid = format!("long{passed}");
        if driver.planner.stats().num_waiting_reqs < 2 {
            driver.add(request(&rid, prompt(3, 10), 4));
            passed += 1;
        }
        driver.step(&mut NoText);
    }
    let started =
        driver.answers.iter().filter(|(rid, answer)| rid.starts_with("long") && answer.finish.is_some());
    assert!((3..=6).contains(&started.count()));
}

fn with_priority(rid: &str, family: u32, max_new: i64, priority: i64) -> sglang_planner::NewRequest {
    let mut r = request(rid, prompt(family, 10), max_new);
    r.priority = Some(priority);
    r
}

#[test]
fn larger_priorities_go_first_unless_smaller_ones_should() {
    for (low_first, expected) in [(false, ["b", "a", "none"]), (true, ["a", "b", "none"])] {
        let config = PlannerConfig {
            enable_priority_scheduling: true,
            schedule_low_priority_values_first: low_first,
            ..single(PolicyKind::Fcfs)
        };
        let mut driver = Driver::new(config);
        driver.add(request("none", prompt(1, 10), 2));
        driver.add(with_priority("a", 2, 2, 3));
        driver.add(with_priority("b", 3, 2, 8));
        assert_eq!(order_of_ends(&mut driver), expected);
    }
}

#[test]
fn a_request_more_important_by_more_than_the_threshold_stops_a_running_one() {
    for enable_overlap in [false, true] {
        let run = |priority: i64| {
            let config = PlannerConfig {
                enable_priority_scheduling: true,
                enable_overlap,
                ..single(PolicyKind::Fcfs)
            };
            let mut driver = Driver::new(config);
            driver.add(with_priority("low", 1, 30, 0));
            for _ in 0..5 {
                driver.step(&mut NoText);
            }
            driver.add(with_priority("high", 2, 3, priority));
            let order = order_of_ends(&mut driver);
            assert_eq!(
                driver.answer("low").output,
                sglang_planner::simulator::alone(&prompt(1, 10), 7, 30, &[], 1000)
            );
            driver.assert_clean();
            (order, driver.answer("low").retractions)
        };
        assert_eq!(run(11), (vec!["high".to_owned(), "low".to_owned()], 1));
        assert_eq!(run(10), (vec!["low".to_owned(), "high".to_owned()], 0));
    }
}

#[test]
fn a_preempted_request_may_be_preempted_for_memory_too() {
    let config = PlannerConfig { enable_priority_scheduling: true, ..small(100) };
    let mut driver = Driver::new(config);
    driver.add(with_priority("low", 1, 80, 0));
    for _ in 0..5 {
        driver.step(&mut NoText);
    }
    driver.add(with_priority("high", 2, 80, 100));
    assert_eq!(order_of_ends(&mut driver), ["high", "low"]);
    assert_eq!(driver.answer("low").retractions, 1);
}
