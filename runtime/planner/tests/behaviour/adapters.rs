use std::collections::{BTreeMap, BTreeSet};

use sglang_planner::simulator::{NoText, alone};
use sglang_planner::{NewRequest, PlannerConfig};

use crate::common::{Driver, prompt, request, small};

fn with(adapter: Option<&str>, request: NewRequest) -> NewRequest {
    NewRequest { lora_id: adapter.map(str::to_owned), ..request }
}

/// The largest number of adapters in one batch; requests without adapter count as one adapter.
fn most_together(driver: &Driver) -> usize {
    let mut rows = BTreeMap::new();
    let mut most = 0;
    for batch in driver.plans.iter().filter_map(|plan| plan.batch.as_ref()) {
        for new in &batch.new_rows {
            rows.insert(new.req_pool_idx, new.lora_id.clone());
        }
        let adapters: BTreeSet<_> = batch.req_pool_indices.iter().map(|row| rows[row].clone()).collect();
        most = most.max(adapters.len());
    }
    most
}

#[test]
fn a_batch_has_no_more_adapters_than_allowed_and_everyone_gets_their_turn() {
    for (limit, enable_overlap, enable_mixed_chunk) in
        [(Some(1), false, false), (Some(2), true, false), (Some(2), true, true), (Some(3), false, true)]
    {
        let config = PlannerConfig {
            max_loras_per_batch: limit,
            enable_overlap,
            enable_mixed_chunk,
            chunked_prefill_size: Some(32),
            ..small(4096)
        };
        let mut driver = Driver::new(config);
        let adapters = [None, Some("a"), Some("b"), Some("c"), Some("a"), None, Some("b")];
        for (i, adapter) in adapters.into_iter().enumerate() {
            driver.add(with(adapter, request(&format!("r{i}"), prompt(i as u32, 20 + 10 * i as u32), 9)));
            driver.step(&mut NoText);
        }
        driver.run();
        assert!(most_together(&driver) <= limit.unwrap(), "{limit:?}");
        for i in 0..adapters.len() as u32 {
            let expected = alone(&prompt(i, 20 + 10 * i), 7, 9, &[], 1000);
            assert_eq!(driver.answer(&format!("r{i}")).output, expected);
        }
        driver.assert_clean();
    }
    let mut free = Driver::new(small(4096));
    for adapter in ["a", "b", "c"] {
        free.add(with(Some(adapter), request(adapter, prompt(1, 8), 4)));
    }
    free.run();
    assert_eq!(most_together(&free), 3, "without a limit there is none");
}

#[test]
fn a_request_whose_adapter_does_not_fit_lets_those_behind_it_pass() {
    let mut driver = Driver::new(PlannerConfig { max_loras_per_batch: Some(1), ..small(1024) });
    driver.add(with(Some("a"), request("first", prompt(1, 8), 20)));
    driver.step(&mut NoText);
    driver.add(with(Some("b"), request("other", prompt(2, 8), 2)));
    driver.add(with(Some("a"), request("same", prompt(3, 8), 2)));
    driver.run();
    assert_eq!(driver.ends, ["same", "first", "other"]);
    driver.assert_clean();
}

#[test]
fn a_place_is_kept_for_a_pinned_adapter() {
    let mut driver = Driver::new(PlannerConfig { max_loras_per_batch: Some(2), ..small(1024) });
    driver.planner.pin_adapter("p", true);
    for adapter in ["a", "b"] {
        driver.add(with(Some(adapter), request(adapter, prompt(1, 8), 6)));
    }
    driver.step(&mut NoText);
    assert_eq!(driver.planner.stats().num_running_adapters, 1);
    driver.add(with(Some("p"), request("p", prompt(1, 8), 6)));
    driver.step(&mut NoText);
    assert_eq!(driver.planner.stats().num_running_adapters, 2, "the place was free");
    driver.run();
    driver.planner.pin_adapter("p", false);
    for adapter in ["a", "b"] {
        driver.add(with(Some(adapter), request(&format!("{adapter}2"), prompt(1, 8), 6)));
    }
    driver.step(&mut NoText);
    assert_eq!(driver.planner.stats().num_running_adapters, 2);
    driver.run();
    driver.assert_clean();
}

#[test]
fn equal_prompts_share_a_prefix_only_with_the_same_adapter() {
    let mut driver = Driver::new(PlannerConfig { max_loras_per_batch: Some(4), ..small(1024) });
    for (rid, adapter, cached) in [
        ("base", None, 0),
        ("a", Some("a"), 0),
        ("b", Some("b"), 0),
        ("base again", None, 39),
        ("a again", Some("a"), 39),
        ("b again", Some("b"), 39),
    ] {
        driver.add(with(adapter, request(rid, prompt(1, 40), 4)));
        driver.run();
        assert_eq!(driver.answer(rid).cached_tokens, cached, "{rid}");
    }
    driver.assert_clean();
}
