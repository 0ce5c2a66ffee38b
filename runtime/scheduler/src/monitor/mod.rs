//! Monitors the loop: log lines, counters and the published state.

mod batch_log;
mod snapshot;
mod step_counters;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sglang_planner::{Planner, RetractionReport};

use crate::progress::{LoopPhase, Progress};
use crate::worker_thread::StepOutcome;
use batch_log::BatchLog;
pub use snapshot::ComponentFigures;
use snapshot::LoopFigures;
use step_counters::StepCounters;

/// Interval of publishing the state while the loop is busy; each time iterates over the queue.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);

/// Monitors the loop. Also has the loop's clock.
///
/// No state must survive a restart: all figures belong to this process and start at zero.
pub struct Monitor {
    progress: Arc<Progress>,
    clock: Instant,
    log: BatchLog,
    counters: StepCounters,
    /// Time in which the model was busy, for the idle fraction in the state.
    model_busy: Duration,
    published: Instant,
    /// Output tokens at the time of the last publication.
    published_tokens: u64,
}

impl Monitor {
    /// Publishes to `progress` and logs every `decode_log_interval` decode steps. The clock starts now.
    pub fn new(progress: Arc<Progress>, decode_log_interval: u64) -> Self {
        let clock = Instant::now();
        Self {
            progress,
            clock,
            log: BatchLog::new(decode_log_interval),
            counters: StepCounters::default(),
            model_busy: Duration::ZERO,
            published: clock,
            published_tokens: 0,
        }
    }

    /// Seconds since the loop was created, which is the planner's clock.
    pub fn now(&self) -> f64 {
        self.clock.elapsed().as_secs_f64()
    }

    /// The instant at which the planner's clock shows `seconds`; `None` if it is too far away to represent.
    pub fn moment(&self, seconds: f64) -> Option<Instant> {
        self.clock.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
    }

    /// Records the phase of the loop.
    pub fn enter(&self, phase: LoopPhase) {
        self.progress.enter(phase);
    }

    /// The log of batches.
    pub fn log(&mut self) -> &mut BatchLog {
        &mut self.log
    }

    /// Logs a retraction.
    pub fn retracted(&self, retraction: &RetractionReport) {
        tracing::warn!(
            "KV cache pool is full. Retract requests. #retracted_reqs: {}, #aborted_retracted_reqs: {}, \
             #new_tokens_gained: {}, #new_token_ratio: {:.4} -> {:.4}",
            retraction.num_retracted_reqs,
            retraction.num_aborted_reqs,
            retraction.num_tokens_gained,
            retraction.old_ratio,
            retraction.new_ratio,
        );
    }

    /// Records a step that the model has run.
    pub fn ran(&mut self, outcome: &StepOutcome) {
        self.model_busy += outcome.busy();
        self.counters.count(outcome.step, outcome.started, outcome.ended);
    }

    /// Records that the result of a step was processed; the model was `busy` this long.
    pub fn step_done(&mut self, busy: Duration, planner: &Planner) {
        self.log.done(busy, || planner.stats().num_pending_tokens);
        self.progress.step_done();
    }

    /// Records that the loop was idle.
    pub fn idle(&mut self) {
        self.log.idle();
        self.counters.idle();
    }

    /// Whether the state must be published again.
    pub fn is_due(&self) -> bool {
        self.published.elapsed() > PUBLISH_EVERY
    }

    /// Publishes the current state.
    pub fn publish(&mut self, planner: &Planner, components: ComponentFigures) {
        let stats = planner.stats();
        let made = stats.total_output_tokens.saturating_sub(self.published_tokens);
        let seconds = self.published.elapsed().as_secs_f64();
        let figures = LoopFigures {
            model_busy: self.model_busy,
            counters: self.counters.to_json(),
            elapsed: self.clock.elapsed(),
            gen_throughput: made as f64 / seconds.max(1e-3),
            last_gen_throughput: self.log.last_gen_throughput(),
        };
        self.published = Instant::now();
        self.published_tokens = stats.total_output_tokens;
        self.progress.publish(snapshot::to_json(&stats, &figures, &components));
    }
}
