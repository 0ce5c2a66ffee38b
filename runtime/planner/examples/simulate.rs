//! Compares scheduling policies on synthetic traffic, without a model.
//!
//! `cargo run --release -p sglang-planner --example simulate -- [REQUESTS] [RATE]`

use std::time::Instant;

use sglang_planner::PlannerConfig;
use sglang_planner::policy::PolicyKind;
use sglang_planner::simulator::{CostModel, Traffic, simulate};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let requests = args.next().map_or(Ok(100_000), |n| n.parse())?;
    let rate = args.next().map_or(Ok(50.0), |n| n.parse())?;
    let traffic = Traffic { requests, rate, ..Traffic::default() };
    let arrivals = traffic.arrivals();
    println!(
        "{requests} requests, {rate}/s, {} shared prefixes; times are virtual seconds",
        traffic.prefix_groups
    );
    println!(
        "{:<22} {:>9} {:>7} {:>9} {:>9} {:>9} {:>9} {:>7}",
        "policy", "tokens/s", "hits", "retracted", "wait p50", "wait p99", "steps", "real s"
    );
    let mut cases: Vec<(String, PlannerConfig)> = PolicyKind::ALL
        .into_iter()
        .map(|(name, schedule_policy)| (name.to_owned(), PlannerConfig { schedule_policy, ..base() }))
        .collect();
    cases.push(("fcfs, mixed chunk".into(), PlannerConfig { enable_mixed_chunk: true, ..base() }));
    cases.push(("fcfs, turns".into(), PlannerConfig { contended_prefill_size: Some(256), ..base() }));
    cases.push(("fcfs, no cache".into(), PlannerConfig { disable_radix_cache: true, ..base() }));
    cases.push(("fcfs, conservative 0.3".into(), PlannerConfig { schedule_conservativeness: 0.3, ..base() }));
    for (name, config) in cases {
        let start = Instant::now();
        let report = simulate(config, &arrivals, CostModel::default())?;
        println!(
            "{name:<22} {:>9.0} {:>6.1}% {:>9} {:>9.3} {:>9.3} {:>9} {:>7.2}",
            report.throughput(),
            100.0 * report.hit_rate,
            report.retractions,
            report.wait_quantile(0.5),
            report.wait_quantile(0.99),
            report.steps,
            start.elapsed().as_secs_f64()
        );
        if report.completed != requests {
            println!("  {} of {requests} did not complete", requests - report.completed);
        }
    }
    Ok(())
}

fn base() -> PlannerConfig {
    PlannerConfig { max_total_num_tokens: 60_000, max_running_requests: 256, ..PlannerConfig::default() }
}
