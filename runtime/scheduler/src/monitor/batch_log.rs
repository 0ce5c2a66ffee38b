//! The two lines that tell what the scheduler is doing, in the reference's words: one per prefill step, one every
//! `--decode-log-interval` decode steps.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sglang_planner::BatchReport;
use sglang_proto::forward::ForwardMode;

/// Counts tokens between lines to print throughputs. A step is noted when it is planned and printed when its result
/// is back, since only then its time is known.
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
    /// A log that prints every `decode_log_interval` decode steps.
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

    /// Notes a planned step.
    pub fn planned(&mut self, mode: ForwardMode, report: BatchReport) {
        self.planned.push_back((mode, report));
    }

    /// The oldest planned step has taken the model `busy`; prints when it is due. `pending_tokens` wait for prefill.
    pub fn done(&mut self, busy: Duration, pending_tokens: impl FnOnce() -> usize) {
        match self.planned.pop_front() {
            Some((ForwardMode::Decode, report)) => self.decode(&report),
            Some((_, report)) => prefill(&report, busy, pending_tokens()),
            None => {}
        }
    }

    /// Tokens per second of the last line about decoding; 0 before it.
    pub fn last_gen_throughput(&self) -> f64 {
        self.last_gen_throughput
    }

    /// The loop was idle: the next throughput must not count the time.
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

/// Tokens per second since `since`, which becomes now.
fn rate(tokens: u64, since: &mut Instant) -> f64 {
    let now = Instant::now();
    let seconds = now.duration_since(std::mem::replace(since, now)).as_secs_f64();
    tokens as f64 / seconds.max(1e-6)
}
