use sglang_planner::simulator::{NoText, alone};
use sglang_planner::{PauseMode, PlannerConfig};

use crate::common::{Driver, prompt, request, small};

fn busy(enable_overlap: bool) -> Driver {
    let config = PlannerConfig { enable_overlap, chunked_prefill_size: Some(32), ..small(1024) };
    let mut driver = Driver::new(config);
    driver.add(request("a", prompt(1, 20), 40));
    driver.add(request("b", prompt(2, 100), 40));
    for _ in 0..3 {
        driver.step(&mut NoText);
    }
    driver
}

fn assert_both_right(driver: &mut Driver) {
    driver.run();
    assert_eq!(driver.answer("a").output, alone(&prompt(1, 20), 7, 40, &[], 1000));
    assert_eq!(driver.answer("b").output, alone(&prompt(2, 100), 7, 40, &[], 1000));
    driver.assert_clean();
}

#[test]
fn a_pause_in_place_holds_everything_where_it_is() {
    for overlap in [false, true] {
        let mut driver = busy(overlap);
        let before = driver.planner.stats();
        driver.planner.pause(PauseMode::InPlace);
        while driver.step(&mut NoText) {}
        let steps = driver.steps;
        assert!(!driver.step(&mut NoText));
        assert_eq!(driver.steps, steps);
        assert_eq!(driver.planner.stats().num_running_reqs, before.num_running_reqs);
        assert!(!driver.planner.flush_cache(), "running requests use the cache");
        driver.planner.resume();
        assert_both_right(&mut driver);
        assert_eq!(driver.answer("a").retractions, 0);
    }
}

#[test]
fn a_retracting_pause_empties_the_pool_and_loses_no_output() {
    for overlap in [false, true] {
        let mut driver = busy(overlap);
        driver.planner.pause(PauseMode::Retract);
        while driver.step(&mut NoText) {}
        let stats = driver.planner.stats();
        assert_eq!((stats.num_running_reqs, stats.num_waiting_reqs, stats.num_used_tokens), (0, 2, 0));
        assert!(driver.planner.flush_cache(), "requests may wait while paused");
        driver.add(request("new", prompt(3, 10), 2));
        assert!(!driver.step(&mut NoText), "nothing starts during a pause");
        driver.planner.resume();
        assert_both_right(&mut driver);
        assert_eq!(driver.answer("a").retractions, 1);
    }
}

#[test]
fn an_aborting_pause_ends_everything() {
    for overlap in [false, true] {
        let mut driver = busy(overlap);
        driver.planner.pause(PauseMode::Abort);
        driver.run();
        assert!(driver.answers.values().all(|answer| answer.aborted()));
        driver.planner.resume();
        driver.assert_clean();
    }
}

#[test]
fn pause_modes_have_the_references_names() {
    assert_eq!("abort".parse(), Ok(PauseMode::Abort));
    assert_eq!("retract".parse(), Ok(PauseMode::Retract));
    assert_eq!("in_place".parse(), Ok(PauseMode::InPlace));
    assert_eq!(
        "softly".parse::<PauseMode>().unwrap_err().to_string(),
        "mode is softly: expected abort, retract or in_place"
    );
}

#[test]
fn the_cache_is_flushed_only_when_nothing_runs_or_waits() {
    let mut driver = Driver::new(small(1024));
    driver.add(request("a", prompt(1, 20), 5));
    assert!(!driver.planner.flush_cache(), "a request waits");
    driver.step(&mut NoText);
    assert!(!driver.planner.flush_cache(), "a request runs");
    driver.run();
    assert_eq!(driver.planner.stats().num_evictable_tokens, 24);
    assert!(driver.planner.flush_cache());
    assert_eq!(driver.planner.stats().num_evictable_tokens, 0);
    driver.add(request("b", prompt(1, 20), 5));
    driver.run();
    assert_eq!(driver.answer("b").cached_tokens, 0);
}

#[test]
fn stats_say_what_runs_and_waits() {
    let mut driver = Driver::new(PlannerConfig { max_running_requests: 1, ..small(1000) });
    driver.add(request("a", prompt(1, 99), 50));
    driver.add(request("b", prompt(2, 60), 50));
    driver.now = 10.0;
    driver.step(&mut NoText);
    let stats = driver.planner.stats();
    assert_eq!((stats.num_running_reqs, stats.num_waiting_reqs), (1, 1));
    assert_eq!((stats.num_used_tokens, stats.num_pending_tokens, stats.num_total_tokens), (99, 60, 159));
    assert!((stats.token_usage - 0.099).abs() < 1e-9);
    assert_eq!((stats.total_steps, stats.total_prefill_tokens, stats.total_output_tokens), (1, 99, 1));
    assert!((driver.planner.longest_wait(12.0) - 12.0).abs() < 1e-9);
    driver.run();
    let stats = driver.planner.stats();
    assert_eq!((stats.total_requests, stats.total_finished, stats.num_used_tokens), (2, 2, 0));
    assert!((stats.new_token_ratio - 0.7).abs() < 1e-9, "an idle planner forgets what it estimated");
}
