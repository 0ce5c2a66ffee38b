//! The reference's two log lines about batches: one per prefill step, and one every `--decode-log-interval` decode
//! steps.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sglang_planner::BatchReport;
use sglang_proto::forward::ForwardMode;

/// Counts tokens between log lines to compute throughputs. A step is recorded when it is planned and logged when its
/// result is back, because only then its duration is known.
#[derive(Debug)]
pub struct BatchLog {
    decode_log_interval: u64,
    decode_steps: u64,
    last_decode: Instant,
    generated: u64,
    last_gen_throughput: f64,
    planned: VecDeque<(ForwardMode, BatchReport)>,
}

impl BatchLog {
    /// A log that writes a line every `decode_log_interval` decode steps.
    pub fn new(decode_log_interval: u64) -> Self {
        Self {
            decode_log_interval: decode_log_interval.max(1),
            decode_steps: 0,
            last_decode: Instant::now(),
            generated: 0,
            last_gen_throughput: 0.0,
            planned: VecDeque::new(),
        }
    }

    /// Records a planned step.
    pub fn planned(&mut self, mode: ForwardMode, report: BatchReport) {
        self.planned.push_back((mode, report));
    }

    /// Records that the oldest planned step took the model `busy`, and logs if a line is due. `pending_tokens` is the
    /// number of tokens waiting for prefill.
    pub fn done(&mut self, busy: Duration, pending_tokens: impl FnOnce() -> usize) {
        match self.planned.pop_front() {
            Some((ForwardMode::Decode, report)) => self.decode(&report),
            Some((_, report)) => prefill(&report, busy, pending_tokens()),
            None => {}
        }
    }

    /// Tokens per second in the last decode line; 0 before the first.
    pub fn last_gen_throughput(&self) -> f64 {
        self.last_gen_throughput
    }

    /// Records that the loop was idle, so that the next throughput does not include that time.
    pub fn idle(&mut self) {
        self.last_decode = Instant::now();
        self.generated = 0;
    }

    fn decode(&mut self, report: &BatchReport) {
        self.decode_steps += 1;
        self.generated += report.num_decode_reqs as u64;
        if !self.decode_steps.is_multiple_of(self.decode_log_interval) {
            return;
        }
        let throughput = rate(std::mem::take(&mut self.generated), &mut self.last_decode);
        self.last_gen_throughput = throughput;
        tracing::info!(
            "Decode batch, #running-req: {}, #token: {}, token usage: {:.2}, cpu graph: False, gen throughput \
             (token/s): {throughput:.2}, #queue-req: {}",
            report.num_decode_reqs,
            report.num_used_tokens,
            report.token_usage,
            report.num_queue_reqs,
        );
    }
}

fn prefill(report: &BatchReport, busy: Duration, pending_tokens: usize) {
    tracing::info!(
        "Prefill batch, #new-seq: {}, #new-token: {}, #cached-token: {}, token usage: {:.2}, #running-req: {}, \
         #queue-req: {}, #pending-token: {pending_tokens}, cpu graph: False, input throughput (token/s): {:.2}",
        report.num_new_seqs,
        report.num_new_tokens,
        report.num_cached_tokens,
        report.token_usage,
        report.num_running_reqs + report.num_decode_reqs,
        report.num_queue_reqs,
        report.num_new_tokens as f64 / busy.as_secs_f64().max(1e-6),
    );
}

/// Tokens per second since `since`; sets `since` to now.
fn rate(tokens: u64, since: &mut Instant) -> f64 {
    let now = Instant::now();
    let seconds = now.duration_since(std::mem::replace(since, now)).as_secs_f64();
    tokens as f64 / seconds.max(1e-6)
}
