//! The results of a run. Definitions are those of the reference's `benchmark/serving.py`, except that the peak of
//! concurrent requests is exact instead of counted per second.

use std::collections::BTreeMap;

use crate::client::Outcome;
use crate::load::Run;
use crate::stats::{Summary, peak_overlap, peak_per_second};

/// Figures of a run. Latencies are in milliseconds, throughputs per second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    pub completed: usize,
    pub failed: usize,
    /// Requests that were cut off because the user stopped the run.
    pub unfinished: usize,
    pub interrupted: bool,
    pub duration: f64,
    pub total_input_tokens: u64,
    pub total_cached_tokens: u64,
    pub total_output_tokens: u64,
    pub request_throughput: f64,
    pub input_throughput: f64,
    pub output_throughput: f64,
    pub total_throughput: f64,
    /// Most output tokens in one second.
    pub max_output_tokens_per_s: f64,
    /// Mean number of requests in flight.
    pub concurrency: f64,
    pub max_concurrent_requests: usize,
    pub e2e_latency: Summary,
    pub ttft: Summary,
    /// Time per output token after the first, per request.
    pub tpot: Summary,
    pub itl: Summary,
    /// Requests that got fewer tokens than requested.
    pub short_outputs: usize,
    /// Requests for which the server did not count tokens; streamed pieces were counted instead.
    pub uncounted: usize,
    /// Distinct error texts and how often each occurred.
    pub errors: BTreeMap<String, usize>,
}

impl Metrics {
    /// Evaluates a run; only successful requests are included.
    pub fn of(run: &Run) -> Self {
        let good: Vec<&Outcome> = run.outcomes.iter().filter(|o| o.error.is_none()).collect();
        let mut errors = BTreeMap::new();
        for error in run.outcomes.iter().filter_map(|o| o.error.as_ref()) {
            *errors.entry(error.clone()).or_insert(0) += 1;
        }
        let duration = run.duration.max(1e-9);
        let sum = |f: fn(&Outcome) -> u64| good.iter().map(|o| f(o)).sum::<u64>();
        let total_input_tokens = sum(|o| o.prompt_tokens);
        let total_output_tokens = sum(|o| o.output_tokens);
        let tpot = |o: &&Outcome| {
            let ttft = o.ttft.filter(|_| o.output_tokens > 1)?;
            Some((o.latency - ttft) / (o.output_tokens - 1) as f64)
        };
        let spans: Vec<(f64, f64)> = good.iter().map(|o| (o.start, o.start + o.latency)).collect();
        Self {
            completed: good.len(),
            failed: run.outcomes.len() - good.len(),
            unfinished: run.unfinished,
            interrupted: run.interrupted,
            duration: run.duration,
            total_input_tokens,
            total_cached_tokens: sum(|o| o.cached_tokens),
            total_output_tokens,
            request_throughput: good.len() as f64 / duration,
            input_throughput: total_input_tokens as f64 / duration,
            output_throughput: total_output_tokens as f64 / duration,
            total_throughput: (total_input_tokens + total_output_tokens) as f64 / duration,
            max_output_tokens_per_s: peak_per_second(good.iter().flat_map(|o| o.arrivals.iter().copied())),
            concurrency: good.iter().map(|o| o.latency).sum::<f64>() / duration,
            max_concurrent_requests: peak_overlap(&spans),
            e2e_latency: milliseconds(good.iter().map(|o| o.latency)),
            ttft: milliseconds(good.iter().filter_map(|o| o.ttft)),
            tpot: milliseconds(good.iter().filter_map(tpot)),
            itl: milliseconds(good.iter().flat_map(|o| o.itl.iter().copied())),
            short_outputs: good.iter().filter(|o| o.output_tokens < o.asked_tokens).count(),
            uncounted: good.iter().filter(|o| !o.counted_by_server).count(),
            errors,
        }
    }
}

fn milliseconds(seconds: impl Iterator<Item = f64>) -> Summary {
    Summary::of(seconds.map(|s| s * 1000.0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_successful_requests_enter_the_figures() {
        let good = |start: f64| Outcome {
            start,
            latency: 2.0,
            ttft: Some(1.0),
            itl: vec![0.25; 4],
            arrivals: vec![(start + 1.0, 1), (start + 2.0, 4)],
            prompt_tokens: 10,
            cached_tokens: 3,
            output_tokens: 5,
            asked_tokens: 5,
            counted_by_server: true,
            last_event: Vec::new(),
            error: None,
        };
        let bad = Outcome { error: Some("HTTP 500".into()), output_tokens: 99, ..good(0.0) };
        let run =
            Run { outcomes: vec![good(0.0), good(1.0), bad.clone(), bad], duration: 4.0, ..Run::default() };
        let m = Metrics::of(&run);
        assert_eq!((m.completed, m.failed, m.errors["HTTP 500"]), (2, 2, 2));
        assert_eq!((m.total_input_tokens, m.total_cached_tokens, m.total_output_tokens), (20, 6, 10));
        assert_eq!((m.output_throughput, m.total_throughput, m.request_throughput), (2.5, 7.5, 0.5));
        assert_eq!((m.concurrency, m.max_concurrent_requests), (1.0, 2));
        assert_eq!(
            (m.ttft.mean, m.tpot.mean, m.itl.median, m.e2e_latency.p99),
            (1000.0, 250.0, 250.0, 2000.0)
        );
        assert_eq!(m.max_output_tokens_per_s, 5.0);
        assert_eq!((m.short_outputs, m.uncounted), (0, 0));
    }

    #[test]
    fn a_run_without_success_is_all_zero() {
        let failed = Outcome { error: Some("x".into()), ..Outcome::default() };
        let m = Metrics::of(&Run { outcomes: vec![failed], ..Run::default() });
        assert_eq!((m.completed, m.failed, m.output_throughput, m.ttft.count), (0, 1, 0.0, 0));
    }
}
