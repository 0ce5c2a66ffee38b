//! The scheduler loop: receive, plan, submit, take results, send. With overlap the model runs one batch while the next
//! is planned (reference: `event_loop_normal` and `event_loop_overlap` of `managers/scheduler.py`, which differ here
//! only in how many batches may be under way).

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;
use sglang_sched::{OutputEvent, Scheduler};
use sglang_tokenizer::Tokenizer;

use crate::batch_log::BatchLog;
use crate::flush::PendingFlush;
use crate::grammar::{GrammarManager, StartBackend};
use crate::hold_back::HoldBack;
use crate::links::Links;
use crate::outputs::assemble;
use crate::progress::{LoopPhase, Progress};
use crate::snapshot;
use crate::tail::TokenizerTail;
use crate::worker_thread::{StepOutcome, WorkerThread};
use crate::{EngineError, EngineSettings};

/// Why the loop ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopEnd {
    /// The tokenizer manager, the launcher or a signal asked for it.
    Shutdown,
}

/// Everything the loop works with.
pub struct EventLoop<'a> {
    pub(crate) scheduler: Scheduler,
    pub(crate) links: Links,
    pub(crate) settings: EngineSettings,
    pub(crate) hold_back: HoldBack,
    pub(crate) flushes: Vec<PendingFlush>,
    pub(crate) grammars: GrammarManager,
    worker: WorkerThread,
    tail: TokenizerTail<'a>,
    progress: Arc<Progress>,
    log: BatchLog,
    clock: Instant,
    /// Seconds the model was busy, for the idle share in the state.
    model_busy: Duration,
    published: Instant,
}

/// How old the published state may be while the loop is busy; taking it costs a walk over the queue.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);

impl<'a> EventLoop<'a> {
    /// A loop that has not started.
    pub fn new(
        scheduler: Scheduler,
        worker: WorkerThread,
        links: Links,
        settings: EngineSettings,
        progress: Arc<Progress>,
        tokenizer: Option<&'a Tokenizer>,
    ) -> Self {
        let grammars = GrammarManager::new(None, links.inject.clone());
        Self {
            scheduler,
            grammars,
            links,
            hold_back: HoldBack::default(),
            flushes: Vec::new(),
            worker,
            tail: TokenizerTail::new(tokenizer),
            progress,
            log: BatchLog::new(settings.decode_log_interval),
            settings,
            clock: Instant::now(),
            model_busy: Duration::ZERO,
            published: Instant::now(),
        }
    }

    /// Serves grammars with what `start` makes; without it they are refused.
    pub fn with_grammars(mut self, start: Option<StartBackend>) -> Self {
        self.grammars = GrammarManager::new(start, self.links.inject.clone());
        self
    }

    /// Seconds since the loop was made: the scheduler's clock.
    pub(crate) fn now(&self) -> f64 {
        self.clock.elapsed().as_secs_f64()
    }

    /// Runs until it is told to end.
    ///
    /// # Errors
    /// When the model fails for good or does not come back from a step.
    pub fn run(&mut self) -> Result<LoopEnd, EngineError> {
        self.publish();
        loop {
            while let Ok(incoming) = self.links.incoming.try_recv() {
                if self.handle(incoming) {
                    return Ok(LoopEnd::Shutdown);
                }
            }
            if !self.step()? && self.wait_for_work() {
                return Ok(LoopEnd::Shutdown);
            }
        }
    }

    /// Plans and submits a batch, and takes the oldest result when one is due. `false` when there was nothing to do.
    fn step(&mut self) -> Result<bool, EngineError> {
        let plan = self.scheduler.plan(self.now());
        if let Some(retraction) = &plan.retraction {
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
        let planned = plan.batch.is_some();
        if let Some(batch) = plan.batch {
            self.log.planned(batch.mode, plan.report.unwrap_or_default());
            self.worker.submit(batch)?;
        }
        // A refusal or an abort has an event without a batch; it must not wait for the model.
        self.send_events();
        let in_flight = self.scheduler.num_in_flight();
        let ahead = usize::from(self.scheduler.config().enable_overlap);
        if in_flight > 0 && (!planned || in_flight > ahead) {
            self.take_result()?;
        } else if !planned {
            return Ok(false);
        }
        Ok(true)
    }

    fn take_result(&mut self) -> Result<(), EngineError> {
        self.progress.enter(LoopPhase::Forward);
        let outcome = self.worker.wait(self.settings.watchdog_timeout)?;
        self.progress.enter(LoopPhase::Scheduling);
        let busy = outcome.ended.duration_since(outcome.started);
        self.model_busy += busy;
        self.apply(outcome)?;
        self.log.done(busy, || self.scheduler.stats().num_pending_tokens);
        self.progress.step_done();
        self.send_events();
        self.finish_flushes();
        if self.published.elapsed() > PUBLISH_EVERY {
            self.publish();
        }
        Ok(())
    }

    fn apply(&mut self, outcome: StepOutcome) -> Result<(), EngineError> {
        match outcome.result {
            Ok(result) => self.scheduler.on_result(result, &mut self.tail)?,
            Err(error @ sglang_proto::worker::WorkerError::Fatal(_)) => return Err(error.into()),
            Err(error) => {
                tracing::error!("Step {} failed: {error}", outcome.forward_id);
                self.scheduler.on_failure(outcome.forward_id, &error.to_string())?;
            }
        }
        for fault in self.scheduler.take_faults() {
            tracing::error!("Scheduler fault: {fault}");
        }
        Ok(())
    }

    /// Sends what the scheduler has to say.
    pub(crate) fn send_events(&mut self) {
        let events: Vec<OutputEvent> = self.scheduler.take_events();
        if events.is_empty() {
            return;
        }
        let events = self.hold_back.filter(events, &mut self.tail);
        let outbox = assemble(events, &self.settings.weight_version);
        if let Some(tokens) = outbox.tokens {
            let link = if self.settings.skip_tokenizer_init {
                &self.links.tokenizer
            } else {
                &self.links.detokenizer
            };
            if let Err(error) = link.send(tokens) {
                tracing::error!("Cannot send outputs: {error}");
            }
        }
        if let Some(embeddings) = outbox.embeddings
            && let Err(error) = self.links.tokenizer.send(embeddings)
        {
            tracing::error!("Cannot send embeddings: {error}");
        }
        for abort in outbox.aborts {
            if let Err(error) = self.links.tokenizer.send(abort) {
                tracing::error!("Cannot send an abort: {error}");
            }
        }
    }

    /// Sleeps until a message comes. `true` when it says to end.
    fn wait_for_work(&mut self) -> bool {
        self.finish_flushes();
        self.publish();
        self.progress.enter(LoopPhase::Idle);
        let incoming = match self.flushes.iter().map(|f| f.deadline).min() {
            None => self.links.incoming.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(deadline) => self.links.incoming.recv_deadline(deadline),
        };
        self.progress.enter(LoopPhase::Scheduling);
        self.log.idle();
        match incoming {
            Ok(incoming) => self.handle(incoming),
            Err(RecvTimeoutError::Timeout) => {
                self.finish_flushes();
                false
            }
            Err(RecvTimeoutError::Disconnected) => true,
        }
    }

    fn publish(&mut self) {
        self.published = Instant::now();
        self.progress.publish(snapshot::to_json(
            &self.scheduler.stats(),
            self.model_busy,
            self.clock.elapsed(),
        ));
    }
}
