//! What the loop tells of itself: log lines, counters and the published state.

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

/// How old the published state may be while the loop is busy; taking it costs a walk over the queue.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);

/// Watches the loop. It has the loop's clock, too.
///
/// Nothing here must survive a restart: all figures are of this process and start at zero.
pub struct Monitor {
    progress: Arc<Progress>,
    clock: Instant,
    log: BatchLog,
    counters: StepCounters,
    /// How long the model was busy, for the idle share in the state.
    model_busy: Duration,
    published: Instant,
    /// Output tokens of the published figures.
    published_tokens: u64,
}

impl Monitor {
    /// Publishes into `progress` and logs every `decode_log_interval` decode steps. The clock starts now.
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

    /// Seconds since the loop was made: the planner's clock.
    pub fn now(&self) -> f64 {
        self.clock.elapsed().as_secs_f64()
    }

    /// The moment at which the planner's clock says `seconds`; `None` when it is too far away to be counted.
    pub fn moment(&self, seconds: f64) -> Option<Instant> {
        self.clock.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
    }

    /// Tells where the loop is.
    pub fn enter(&self, phase: LoopPhase) {
        self.progress.enter(phase);
    }

    /// The log of batches.
    pub fn log(&mut self) -> &mut BatchLog {
        &mut self.log
    }

    /// Requests were retracted.
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

    /// The model has run a step.
    pub fn ran(&mut self, outcome: &StepOutcome) {
        self.model_busy += outcome.busy();
        self.counters.count(outcome.step, outcome.started, outcome.ended);
    }

    /// The result of a step that took the model `busy` has been taken in.
    pub fn step_done(&mut self, busy: Duration, planner: &Planner) {
        self.log.done(busy, || planner.stats().num_pending_tokens);
        self.progress.step_done();
    }

    /// The loop has had nothing to do.
    pub fn idle(&mut self) {
        self.log.idle();
        self.counters.idle();
    }

    /// Whether the published state is too old.
    pub fn is_due(&self) -> bool {
        self.published.elapsed() > PUBLISH_EVERY
    }

    /// Lets others see the state as it is now.
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
