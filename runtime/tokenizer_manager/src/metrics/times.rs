//! How long requests wait and prefill in the scheduler, as reported with their outputs.

use prometheus::HistogramVec;
use sglang_proto::messages::ReqTimeStats;

use super::buckets::{QUEUE_TIME, stage_latency};
use super::{ENGINE_TYPE, LABELS, Maker};

/// Labels of the scheduler's metrics; there is one rank of each kind.
const RANKS: [&str; 3] = ["moe_ep_rank", "pp_rank", "tp_rank"];

/// Histograms of a request's time in the scheduler.
#[derive(Debug)]
pub(super) struct SchedulerTimes {
    queue_time: HistogramVec,
    per_stage_req_latency: HistogramVec,
}

impl SchedulerTimes {
    pub(super) fn new(make: &Maker<'_>) -> prometheus::Result<Self> {
        let labels = [&LABELS[..], &RANKS].concat();
        Ok(Self {
            queue_time: make.histogram(
                "sglang:queue_time_seconds",
                "Histogram of queueing time in seconds.",
                &labels,
                &QUEUE_TIME,
            )?,
            per_stage_req_latency: make.histogram(
                "sglang:per_stage_req_latency_seconds",
                "The latency of each stage of requests.",
                &[&labels[..], &["stage"]].concat(),
                &stage_latency(),
            )?,
        })
    }

    /// Records each stage once, when it is first reported as finished. `before` is the previous report.
    pub(super) fn observe(&self, model_name: &str, before: Option<&ReqTimeStats>, times: &ReqTimeStats) {
        let labels = [ENGINE_TYPE, model_name, "0", "0", "0"];
        let stage = |stage: &str, seconds: f64| {
            let labels = [&labels[..], &[stage]].concat();
            self.per_stage_req_latency.with_label_values(&labels).observe(seconds);
        };
        let is_new = |moment: fn(&ReqTimeStats) -> f64| {
            moment(times) > 0.0 && before.is_none_or(|before| moment(before) <= 0.0)
        };
        if is_new(|times| times.wait_queue_entry_time) {
            stage("request_process", times.wait_queue_entry_time - times.scheduler_recv_time);
        }
        if is_new(|times| times.forward_entry_time) {
            let wait = times.forward_entry_time - times.wait_queue_entry_time;
            self.queue_time.with_label_values(&labels).observe(wait);
        }
        if is_new(|times| times.prefill_finished_time) {
            times.chunked_prefill_s.iter().for_each(|seconds| stage("chunked_prefill", *seconds));
            stage("prefill_forward", times.prefill_finished_time - times.forward_entry_time);
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Encoder, Registry, TextEncoder};

    use super::*;

    #[test]
    fn every_stage_is_counted_once_whatever_is_told_again() {
        let registry = Registry::new();
        let metrics = SchedulerTimes::new(&Maker(&registry)).unwrap();
        let times = ReqTimeStats {
            scheduler_recv_time: 100.0,
            wait_queue_entry_time: 100.25,
            forward_entry_time: 100.75,
            prefill_finished_time: 102.75,
            queue_duration_s: 0.5,
            chunked_prefill_s: vec![0.5, 0.75],
        };
        metrics.observe("m", None, &times);
        // It was retracted and has waited again.
        metrics.observe("m", Some(&times), &ReqTimeStats { queue_duration_s: 9.0, ..times.clone() });
        // It was refused and never ran.
        let refused = ReqTimeStats { scheduler_recv_time: 200.0, ..Default::default() };
        metrics.observe("m", None, &refused);
        let mut out = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let labels = "engine_type=\"unified\",model_name=\"m\",moe_ep_rank=\"0\",pp_rank=\"0\"";
        let stage = |stage: &str| format!("{{{labels},stage=\"{stage}\",tp_rank=\"0\"}}");
        for (name, labels, count, sum) in [
            ("queue_time_seconds", format!("{{{labels},tp_rank=\"0\"}}"), 1, 0.5),
            ("per_stage_req_latency_seconds", stage("request_process"), 1, 0.25),
            ("per_stage_req_latency_seconds", stage("chunked_prefill"), 2, 1.25),
            ("per_stage_req_latency_seconds", stage("prefill_forward"), 1, 2.0),
        ] {
            for line in
                [format!("sglang:{name}_count{labels} {count}"), format!("sglang:{name}_sum{labels} {sum}")]
            {
                assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
            }
        }
    }
}
