use sglang_planner::PlannerConfig;
use sglang_planner::simulator::{NoText, alone};

use crate::common::{Driver, prompt, request, small};

#[test]
fn while_admission_is_held_what_runs_ends_and_what_waits_waits() {
    for enable_overlap in [false, true] {
        let config = PlannerConfig { enable_overlap, chunked_prefill_size: Some(32), ..small(1024) };
        let mut driver = Driver::new(config);
        driver.add(request("running", prompt(1, 20), 40));
        driver.step(&mut NoText);
        driver.add(request("chunked", prompt(2, 100), 5));
        driver.step(&mut NoText);
        driver.planner.hold_admission(true);
        driver.add(request("late", prompt(1, 20), 8));
        assert!(!driver.planner.is_drained());
        assert_eq!(driver.planner.num_live(), 3);
        while driver.step(&mut NoText) {}
        assert!(driver.planner.is_drained());
        assert_eq!(driver.ends, ["chunked", "running"]);
        assert_eq!(driver.answer("running").output, alone(&prompt(1, 20), 7, 40, &[], 1000));
        assert_eq!(driver.planner.live_outputs().len(), 1);
        assert!(driver.planner.flush_cache(), "requests may wait while admission is held");
        driver.planner.hold_admission(false);
        driver.run();
        assert_eq!(driver.answer("late").output, alone(&prompt(1, 20), 7, 8, &[], 1000));
        assert_eq!(driver.answer("late").cached_tokens, 0, "the cache was emptied");
        driver.assert_clean();
    }
}

#[test]
fn a_request_retracted_while_admission_is_held_goes_on_afterwards() {
    // Two requests that together outgrow the pool.
    let mut driver = Driver::new(PlannerConfig { enable_overlap: false, ..small(128) });
    driver.add(request("a", prompt(1, 30), 60));
    driver.add(request("b", prompt(2, 30), 60));
    driver.step(&mut NoText);
    driver.planner.hold_admission(true);
    while driver.step(&mut NoText) {}
    assert!(driver.planner.is_drained());
    driver.planner.hold_admission(false);
    driver.run();
    for (rid, seed) in [("a", 1), ("b", 2)] {
        assert_eq!(driver.answer(rid).output, alone(&prompt(seed, 30), 7, 60, &[], 1000), "{rid}");
    }
    driver.assert_clean();
}

#[test]
fn a_smaller_micro_batch_holds_for_whoever_comes_next_and_a_larger_one_lets_them_in() {
    for enable_overlap in [false, true] {
        let mut driver = Driver::new(PlannerConfig { enable_overlap, ..small(1024) });
        let rids = [("a", 1), ("b", 2), ("c", 3), ("d", 4)];
        for (rid, seed) in rids {
            driver.add(request(rid, prompt(seed, 10), 30));
        }
        driver.planner.set_max_micro_batch_size(2);
        for _ in 0..4 {
            driver.step(&mut NoText);
        }
        let stats = driver.planner.stats();
        assert_eq!((stats.num_running_reqs, stats.num_waiting_reqs, stats.max_micro_batch_size), (2, 2, 2));
        driver.planner.set_max_micro_batch_size(3);
        for _ in 0..3 {
            driver.step(&mut NoText);
        }
        let stats = driver.planner.stats();
        assert_eq!((stats.num_running_reqs, stats.num_waiting_reqs), (3, 1));
        driver.planner.set_max_micro_batch_size(1);
        driver.run();
        for (rid, seed) in rids {
            assert_eq!(driver.answer(rid).output, alone(&prompt(seed, 10), 7, 30, &[], 1000), "{rid}");
        }
        driver.assert_clean();
    }
}
