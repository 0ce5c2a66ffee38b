//! Benchmarks of scheduling: a decode step with many running requests, a step that admits requests, and a prefix
//! lookup.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sglang_planner::memory::TokenToKvPoolAllocator;
use sglang_planner::radix_cache::{EvictionPolicy, Namespace, RadixCache};
use sglang_planner::simulator::{NoText, SimWorker};
use sglang_planner::{NewRequest, Planner, PlannerConfig};
use sglang_proto::SamplingParams;

fn config() -> PlannerConfig {
    PlannerConfig {
        max_total_num_tokens: 1 << 20,
        max_running_requests: 256,
        context_length: 1 << 17,
        max_prefill_tokens: 1 << 20,
        chunked_prefill_size: None,
        ..PlannerConfig::default()
    }
}

fn request(i: u32, len: u32) -> NewRequest {
    let mut request =
        NewRequest::new(format!("r{i}"), (0..len).map(|t| (t * 7 + i * 131) % 30_000).collect());
    request.stream = true;
    request.sampling_params = SamplingParams { max_new_tokens: Some(100_000), ..SamplingParams::default() };
    request
}

/// A planner with `n` requests that are decoding, and its worker.
fn decoding(n: u32, waiting: u32) -> (Planner, SimWorker) {
    let config = PlannerConfig { max_running_requests: n as usize, ..config() };
    let mut worker = SimWorker::new(&config);
    let mut planner = Planner::new(config).unwrap();
    for i in 0..n + waiting {
        planner.add_request(request(i, 500), 0.0).unwrap();
    }
    for _ in 0..4 {
        step(&mut planner, &mut worker);
    }
    (planner, worker)
}

fn step(planner: &mut Planner, worker: &mut SimWorker) {
    let batch = planner.plan(0.0).batch.unwrap();
    let result = worker.run(&batch).unwrap();
    planner.on_result(result, &mut NoText).unwrap();
    black_box(planner.take_events());
}

/// One step of the planner: plan, process the result, return the events. The worker's time is not measured.
fn decode_step(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode_step");
    for (running, waiting) in [(1, 0), (64, 0), (64, 64), (256, 0)] {
        let (mut planner, mut worker) = decoding(running, waiting);
        group.bench_function(BenchmarkId::new("running_waiting", format!("{running}_{waiting}")), |b| {
            b.iter_custom(|steps| {
                let mut spent = std::time::Duration::ZERO;
                for _ in 0..steps {
                    let start = std::time::Instant::now();
                    let Some(batch) = planner.plan(0.0).batch else {
                        (planner, worker) = decoding(running, waiting);
                        continue;
                    };
                    spent += start.elapsed();
                    let result = worker.run(&batch).unwrap();
                    let start = std::time::Instant::now();
                    planner.on_result(result, &mut NoText).unwrap();
                    black_box(planner.take_events());
                    spent += start.elapsed();
                }
                spent
            });
        });
    }
    group.finish();
}

/// Admission of 16 requests with 1,500 tokens each in one step.
fn admit(c: &mut Criterion) {
    c.bench_function("admit_16_requests_of_1500_tokens", |b| {
        b.iter_batched(
            || {
                let mut planner = Planner::new(config()).unwrap();
                for i in 0..16 {
                    planner.add_request(request(i, 1500), 0.0).unwrap();
                }
                planner
            },
            |mut planner| {
                black_box(planner.plan(0.0));
                planner
            },
            BatchSize::SmallInput,
        );
    });
}

/// Lookup of a cached prefix of 1,500 and 30,000 tokens among 1,000 branches; the time per element is per token.
fn match_prefix(c: &mut Criterion) {
    let mut group = c.benchmark_group("match_prefix");
    for page_size in [1, 16] {
        for len in [1_500u32, 30_000] {
            let mut kv = TokenToKvPoolAllocator::new(1 << 21, page_size);
            let mut tree = RadixCache::new(page_size, EvictionPolicy::Lru, false);
            let namespace = Arc::new(Namespace::default());
            let shared: Vec<u32> = (0..len).collect();
            let root = tree.match_prefix(&namespace, &[]).node;
            tree.lock(root);
            for branch in 0..1_000 {
                let mut tokens = shared[..(len as usize / 1_000 * (branch as usize + 1))].to_vec();
                tokens.extend((0..64).map(|t| 100_000 + branch * 64 + t));
                let mut slots = Vec::new();
                assert!(kv.extend(&mut slots, tokens.len()));
                let inserted = tree.insert(root, &tokens, &slots, 0);
                kv.free(&slots[..inserted.duplicates]).unwrap();
            }
            group.throughput(Throughput::Elements(u64::from(len)));
            group.bench_function(BenchmarkId::new(format!("page_{page_size}"), len), |b| {
                b.iter(|| black_box(tree.match_prefix(&namespace, &shared)));
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(2));
    targets = decode_step, admit, match_prefix
}
criterion_main!(benches);
