//! `/metrics`: metrics of requests and of the scheduler in Prometheus' text format, under the reference's names
//! (reference: `observability/metrics_collector.py`). Request metrics are updated here as events happen; the
//! scheduler's are fetched for each read.

mod buckets;
mod scheduler;
mod times;

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};
use sglang_proto::messages::{FinishReason, ReqTimeStats};

use crate::state::{ReqState, TokenTiming};
use buckets::{INTER_TOKEN, LATENCY, TIME_TO_FIRST_TOKEN, TOKENS};
use times::SchedulerTimes;

/// The labels of every request metric.
const LABELS: [&str; 2] = ["engine_type", "model_name"];
/// The value of `engine_type` for a server that both prefills and decodes.
const ENGINE_TYPE: &str = "unified";

/// Counters and histograms of one server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    model_name: String,
    prompt_tokens: IntCounterVec,
    generation_tokens: IntCounterVec,
    cached_tokens: IntCounterVec,
    num_requests: IntCounterVec,
    num_so_requests: IntCounterVec,
    num_aborted_requests: IntCounterVec,
    time_to_first_token: HistogramVec,
    inter_token_latency: HistogramVec,
    time_per_output_token: HistogramVec,
    e2e_request_latency: HistogramVec,
    prompt_tokens_histogram: HistogramVec,
    uncached_prompt_tokens_histogram: HistogramVec,
    generation_tokens_histogram: HistogramVec,
    scheduler_times: SchedulerTimes,
    pub http_requests: IntCounterVec,
    pub http_responses: IntCounterVec,
    pub http_active: IntGaugeVec,
}

/// Creates metrics and registers them.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn counter(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> prometheus::Result<HistogramVec> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let metric = HistogramVec::new(opts, labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

impl Metrics {
    /// All metrics at zero, for the model with this name.
    ///
    /// # Errors
    /// Never, as long as the names in this file are valid and unique.
    pub fn new(model_name: impl Into<String>) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let make = Maker(&registry);
        let streaming = [LABELS[0], LABELS[1], "is_streaming"];
        let source = [LABELS[0], LABELS[1], "cache_source"];
        let (endpoint, status) = (["endpoint", "method"], ["endpoint", "method", "status_code"]);
        let metrics = Self {
            model_name: model_name.into(),
            prompt_tokens: make.counter(
                "sglang:prompt_tokens_total",
                "Number of prefill tokens processed.",
                &streaming,
            )?,
            generation_tokens: make.counter(
                "sglang:generation_tokens_total",
                "Number of generation tokens processed.",
                &streaming,
            )?,
            cached_tokens: make.counter(
                "sglang:cached_tokens_total",
                "Number of cached prompt tokens by source (device/host/storage).",
                &source,
            )?,
            num_requests: make.counter(
                "sglang:num_requests_total",
                "Number of requests processed.",
                &streaming,
            )?,
            num_so_requests: make.counter(
                "sglang:num_so_requests_total",
                "Number of structured output requests processed.",
                &LABELS,
            )?,
            num_aborted_requests: make.counter(
                "sglang:num_aborted_requests_total",
                "Number of requests aborted.",
                &LABELS,
            )?,
            time_to_first_token: make.histogram(
                "sglang:time_to_first_token_seconds",
                "Histogram of time to first token in seconds.",
                &streaming,
                &TIME_TO_FIRST_TOKEN,
            )?,
            inter_token_latency: make.histogram(
                "sglang:inter_token_latency_seconds",
                "Histogram of inter-token latency in seconds.",
                &LABELS,
                &INTER_TOKEN,
            )?,
            time_per_output_token: make.histogram(
                "sglang:request_time_per_output_token_seconds",
                "Per-request TPOT in seconds: (finished_time - first_token_time) / (completion_tokens - 1).",
                &streaming,
                &INTER_TOKEN,
            )?,
            e2e_request_latency: make.histogram(
                "sglang:e2e_request_latency_seconds",
                "Histogram of End-to-end request latency in seconds",
                &streaming,
                &LATENCY,
            )?,
            prompt_tokens_histogram: make.histogram(
                "sglang:prompt_tokens_histogram",
                "Histogram of prompt token length.",
                &LABELS,
                &TOKENS,
            )?,
            uncached_prompt_tokens_histogram: make.histogram(
                "sglang:uncached_prompt_tokens_histogram",
                "Histogram of uncached (compute) prompt token length.",
                &LABELS,
                &TOKENS,
            )?,
            generation_tokens_histogram: make.histogram(
                "sglang:generation_tokens_histogram",
                "Histogram of generation token length.",
                &LABELS,
                &TOKENS,
            )?,
            scheduler_times: SchedulerTimes::new(&make)?,
            http_requests: make.counter(
                "sglang:http_requests_total",
                "Total number of HTTP requests by endpoint and method",
                &endpoint,
            )?,
            http_responses: make.counter(
                "sglang:http_responses_total",
                "Total number of HTTP responses by endpoint and status code",
                &status,
            )?,
            http_active: make.gauge(
                "sglang:http_requests_active",
                "Number of currently active HTTP requests",
                &endpoint,
            )?,
            registry,
        };
        Ok(metrics)
    }

    /// Records an output that is not applied yet: `new_tokens` of a request, or its vector, with the scheduler's
    /// `times`.
    pub fn observe_output(&self, state: &ReqState, new_tokens: usize, times: Option<&ReqTimeStats>) {
        if let Some(times) = times {
            self.scheduler_times.observe(&self.model_name, state.output().times.as_ref(), times);
        }
        self.observe_tokens(state, new_tokens, times);
    }

    /// Records new tokens of a request, with the scheduler's `times`.
    fn observe_tokens(&self, state: &ReqState, new_tokens: usize, times: Option<&ReqTimeStats>) {
        let labels = [ENGINE_TYPE, self.model_name.as_str()];
        match state.note_output(new_tokens, times) {
            TokenTiming::None => {}
            TokenTiming::First(seconds) => {
                self.time_to_first_token.with_label_values(&streaming(&labels, state)).observe(seconds);
            }
            TokenTiming::Next(seconds) => {
                let one = seconds / new_tokens as f64;
                let histogram = self.inter_token_latency.with_label_values(&labels);
                (0..new_tokens).for_each(|_| histogram.observe(one));
            }
        }
    }

    /// Records that a request has ended.
    pub fn observe_finished(&self, state: &ReqState) {
        let output = state.output();
        let Some(finish) = &output.finish else { return };
        let labels = [ENGINE_TYPE, self.model_name.as_str()];
        if matches!(finish.reason, FinishReason::Abort { .. }) {
            self.num_aborted_requests.with_label_values(&labels).inc();
        }
        if finish.by_abort_message {
            return;
        }
        let streaming = streaming(&labels, state);
        let counts = &output.counts;
        self.prompt_tokens.with_label_values(&streaming).inc_by(counts.prompt_tokens);
        self.generation_tokens.with_label_values(&streaming).inc_by(counts.completion_tokens);
        if counts.cached_tokens > 0 {
            let source = [labels[0], labels[1], "device"];
            self.cached_tokens.with_label_values(&source).inc_by(counts.cached_tokens);
        }
        self.num_requests.with_label_values(&streaming).inc();
        if crate::requests::sampling::has_grammar(&state.request.sampling_params) {
            self.num_so_requests.with_label_values(&labels).inc();
        }
        self.e2e_request_latency.with_label_values(&streaming).observe(finish.e2e_latency);
        if let (Some(decoding), more @ 1..) =
            (state.timing.decoding_seconds(), counts.completion_tokens.saturating_sub(1))
        {
            self.time_per_output_token.with_label_values(&streaming).observe(decoding / more as f64);
        }
        self.prompt_tokens_histogram.with_label_values(&labels).observe(counts.prompt_tokens as f64);
        let uncached = counts.prompt_tokens.saturating_sub(counts.cached_tokens);
        self.uncached_prompt_tokens_histogram.with_label_values(&labels).observe(uncached as f64);
        self.generation_tokens_histogram.with_label_values(&labels).observe(counts.completion_tokens as f64);
    }

    /// All metrics as text. `state` is the scheduler's live state and `info` what it reported at start. Without a state
    /// the scheduler's metrics are left out.
    ///
    /// # Errors
    /// Never, as long as the names in this folder are valid and unique.
    pub fn text(
        &self,
        state: Option<&serde_json::Value>,
        info: &serde_json::Value,
    ) -> prometheus::Result<String> {
        let mut families = self.registry.gather();
        if let Some(state) = state {
            families.extend(scheduler::gather(state, info, &self.model_name)?);
        }
        let mut out = Vec::new();
        TextEncoder::new().encode(&families, &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }
}

fn streaming<'a>(labels: &[&'a str; 2], state: &ReqState) -> [&'a str; 3] {
    [labels[0], labels[1], if state.request.stream { "true" } else { "false" }]
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use sglang_proto::messages::{Counts, GenerationOutput, StrOutput};

    use super::*;

    #[test]
    fn a_request_is_counted_once_with_its_tokens_and_times() {
        let metrics = Metrics::new("m").unwrap();
        let state = ReqState::new(crate::state::test_request("a"), Instant::now());
        metrics.observe_tokens(&state, 0, None);
        metrics.observe_tokens(&state, 1, None);
        metrics.observe_tokens(&state, 3, None);
        let counts = Counts { prompt_tokens: 7, cached_tokens: 5, completion_tokens: 4, ..Counts::default() };
        let last = GenerationOutput {
            output_ids: vec![1, 2, 3, 4].into(),
            output_offset: Some(0),
            counts,
            finished_reason: Some(FinishReason::Length { length: 4 }),
            ..GenerationOutput::default()
        };
        state.apply(StrOutput { output: last, ..StrOutput::default() });
        metrics.observe_finished(&state);
        let text = metrics.text(None, &serde_json::Value::Null).unwrap();
        let labels = "engine_type=\"unified\",is_streaming=\"false\",model_name=\"m\"";
        for line in [
            format!("sglang:prompt_tokens_total{{{labels}}} 7"),
            format!("sglang:generation_tokens_total{{{labels}}} 4"),
            format!("sglang:num_requests_total{{{labels}}} 1"),
            format!("sglang:time_to_first_token_seconds_count{{{labels}}} 1"),
            format!("sglang:request_time_per_output_token_seconds_count{{{labels}}} 1"),
            "sglang:cached_tokens_total{cache_source=\"device\",engine_type=\"unified\",model_name=\"m\"} 5"
                .to_owned(),
            "sglang:inter_token_latency_seconds_count{engine_type=\"unified\",model_name=\"m\"} 3".to_owned(),
            "sglang:uncached_prompt_tokens_histogram_sum{engine_type=\"unified\",model_name=\"m\"} 2"
                .to_owned(),
            "# TYPE sglang:e2e_request_latency_seconds histogram".to_owned(),
        ] {
            assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
        }
        assert!(!text.contains("num_aborted_requests_total{"));
    }

    #[test]
    fn an_aborted_request_is_counted_as_such() {
        let metrics = Metrics::new("m").unwrap();
        let state = ReqState::new(crate::state::test_request("a"), Instant::now());
        state.fail(FinishReason::aborted("Aborted"));
        metrics.observe_finished(&state);
        let text = metrics.text(None, &serde_json::Value::Null).unwrap();
        assert!(
            text.contains("sglang:num_aborted_requests_total{engine_type=\"unified\",model_name=\"m\"} 1")
        );
        assert!(!text.contains("sglang:num_requests_total{"));
    }
}
