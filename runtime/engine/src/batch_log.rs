//! The two lines that tell what the scheduler is doing, in the reference's words: one per prefill step, one every
//! `--decode-log-interval` decode steps.

use std::time::Instant;

use sglang_proto::forward::ForwardMode;
use sglang_sched::BatchReport;

/// Counts tokens between lines to print throughputs.
#[derive(Debug)]
pub struct BatchLog {
    decode_log_interval: u64,
    decode_steps: u64,
    last_prefill: Instant,
    last_decode: Instant,
    generated: u64,
}

impl BatchLog {
    /// A log that prints every `decode_log_interval` decode steps.
    pub fn new(decode_log_interval: u64) -> Self {
        let now = Instant::now();
        Self {
            decode_log_interval: decode_log_interval.max(1),
            decode_steps: 0,
            last_prefill: now,
            last_decode: now,
            generated: 0,
        }
    }

    /// Notes a planned step; prints when it is due.
    pub fn step(&mut self, mode: ForwardMode, report: &BatchReport, pending_tokens: usize) {
        if mode == ForwardMode::Decode {
            self.decode(report);
        } else {
            self.prefill(report, pending_tokens);
        }
    }

    /// The loop was idle: the next throughput must not count the time.
    pub fn idle(&mut self) {
        let now = Instant::now();
        self.last_prefill = now;
        self.last_decode = now;
        self.generated = 0;
    }

    fn prefill(&mut self, report: &BatchReport, pending_tokens: usize) {
        let throughput = rate(report.num_new_tokens as u64, &mut self.last_prefill);
        tracing::info!(
            "Prefill batch, #new-seq: {}, #new-token: {}, #cached-token: {}, token usage: {:.2}, #running-req: {}, \
             #queue-req: {}, #pending-token: {pending_tokens}, cpu graph: False, input throughput (token/s): {throughput:.2}",
            report.num_new_seqs,
            report.num_new_tokens,
            report.num_cached_tokens,
            report.token_usage,
            report.num_running_reqs + report.num_decode_reqs,
            report.num_queue_reqs,
        );
    }

    fn decode(&mut self, report: &BatchReport) {
        self.decode_steps += 1;
        self.generated += report.num_decode_reqs as u64;
        if !self.decode_steps.is_multiple_of(self.decode_log_interval) {
            return;
        }
        let throughput = rate(std::mem::take(&mut self.generated), &mut self.last_decode);
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

/// Tokens per second since `since`, which becomes now.
fn rate(tokens: u64, since: &mut Instant) -> f64 {
    let now = Instant::now();
    let seconds = now.duration_since(std::mem::replace(since, now)).as_secs_f64();
    tokens as f64 / seconds.max(1e-6)
}
