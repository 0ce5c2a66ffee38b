//! The scheduler loop: receive, plan, submit, take results, send. With overlap the model runs one batch while the next
//! is planned (reference: `event_loop_normal` and `event_loop_overlap` of `managers/scheduler.py`, which differ here
//! only in how many batches may be under way).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;
use sglang_sched::{OutputEvent, Scheduler};
use sglang_tokenizer::Tokenizer;

use crate::adapters::Adapters;
use crate::batch_log::BatchLog;
use crate::flush::PendingFlush;
use crate::grammar::{GrammarManager, StartBackend};
use crate::hold_back::HoldBack;
use crate::links::Links;
use crate::memory::ReleasedMemory;
use crate::outputs::{assemble, unix_time_of};
use crate::profiler::trace::StepInfo;
use crate::profiler::{Profiler, step_info};
use crate::progress::{LoopPhase, Progress};
use crate::sessions::SessionController;
use crate::snapshot::{self, LoopFigures};
use crate::step_counters::StepCounters;
use crate::tail::TokenizerTail;
use crate::weight_versions::WeightVersions;
use crate::weights::WeightUpdate;
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
    pub(crate) sessions: SessionController,
    pub(crate) bos_token_id: Option<u32>,
    pub(crate) profiler: Profiler,
    /// Number of the step that is planned next.
    pub(crate) next_step: u64,
    /// Steps whose results are not back.
    submitted: VecDeque<StepInfo>,
    pub(crate) worker: WorkerThread,
    pub(crate) adapters: Adapters,
    pub(crate) weight_update: Option<WeightUpdate>,
    pub(crate) memory: ReleasedMemory,
    /// Checksums that `/weights_checker` was told to keep.
    pub(crate) weight_snapshot: Option<BTreeMap<String, String>>,
    /// Path and load format of the weights that are served.
    pub(crate) served_checkpoint: (String, String),
    pub(crate) versions: WeightVersions,
    tail: TokenizerTail<'a>,
    progress: Arc<Progress>,
    log: BatchLog,
    clock: Instant,
    /// Seconds the model was busy, for the idle share in the state.
    model_busy: Duration,
    counters: StepCounters,
    published: Instant,
    /// Output tokens of the published figures.
    published_tokens: u64,
}

/// How old the published state may be while the loop is busy; taking it costs a walk over the queue.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);

impl<'a> EventLoop<'a> {
    /// A loop that has not started.
    pub fn new(
        mut scheduler: Scheduler,
        worker: WorkerThread,
        links: Links,
        settings: EngineSettings,
        progress: Arc<Progress>,
        tokenizer: Option<&'a Tokenizer>,
    ) -> Self {
        let grammars = GrammarManager::new(None, links.inject.clone());
        let adapters = Adapters::new(&settings.adapters);
        for lora in settings.adapters.iter().filter(|lora| lora.is_pinned()) {
            scheduler.pin_adapter(&lora.lora_id, true);
        }
        Self {
            scheduler,
            grammars,
            links,
            hold_back: HoldBack::default(),
            flushes: Vec::new(),
            sessions: SessionController::default(),
            bos_token_id: tokenizer.and_then(Tokenizer::bos_token_id),
            profiler: Profiler::default(),
            next_step: 0,
            submitted: VecDeque::new(),
            worker,
            adapters,
            weight_update: None,
            memory: ReleasedMemory::default(),
            weight_snapshot: None,
            served_checkpoint: (settings.model_path.clone(), settings.load_format.clone()),
            versions: WeightVersions::new(settings.weight_version.clone()),
            tail: TokenizerTail::new(tokenizer),
            progress,
            log: BatchLog::new(settings.decode_log_interval),
            settings,
            clock: Instant::now(),
            model_busy: Duration::ZERO,
            counters: StepCounters::default(),
            published: Instant::now(),
            published_tokens: 0,
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
                let began = self.profiler.now();
                if self.handle(incoming) {
                    return Ok(LoopEnd::Shutdown);
                }
                self.profiler.span("receive", began, None);
            }
            self.finish_weight_update()?;
            self.finish_release();
            if !self.step()? && self.wait_for_work() {
                return Ok(LoopEnd::Shutdown);
            }
        }
    }

    /// Plans and submits a batch, and takes the oldest result when one is due. `false` when there was nothing to do.
    fn step(&mut self) -> Result<bool, EngineError> {
        let began = self.profiler.now();
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
            let info = step_info(&batch);
            self.profiler.span("schedule", began, Some(info));
            let began = self.profiler.now();
            self.log.planned(batch.mode, plan.report.unwrap_or_default());
            self.next_step = info.forward_id + 1;
            self.submitted.push_back(info);
            self.worker.submit(batch)?;
            self.profiler.span("submit", began, Some(info));
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
        let began = self.profiler.now();
        let outcome = self.worker.wait(self.settings.watchdog_timeout)?;
        self.progress.enter(LoopPhase::Scheduling);
        let busy = outcome.ended.duration_since(outcome.started);
        self.model_busy += busy;
        let info = self.submitted.pop_front();
        self.profiler.span("wait", began, info);
        if let Some(info) = info {
            self.counters.count(info, outcome.started, outcome.ended);
            self.profiler.step(info, outcome.started, outcome.ended, outcome.result.as_ref().ok());
        }
        let began = self.profiler.now();
        self.apply(outcome)?;
        self.profiler.span("process_result", began, info);
        self.log.done(busy, || self.scheduler.stats().num_pending_tokens);
        self.progress.step_done();
        let began = self.profiler.now();
        self.send_events();
        self.profiler.span("outputs", began, info);
        if let Some(finished) = self.profiler.take_finished() {
            self.write_trace(finished, None);
        }
        self.finish_flushes();
        if self.published.elapsed() > PUBLISH_EVERY {
            self.publish();
        }
        Ok(())
    }

    fn apply(&mut self, outcome: StepOutcome) -> Result<(), EngineError> {
        self.scheduler.set_now(self.now());
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
        self.sessions.observe(&events, Instant::now());
        let events = self.hold_back.filter(events, &mut self.tail);
        let unix_offset = self.settings.enable_metrics.then(|| unix_time_of(self.now()));
        let outbox = assemble(events, &mut self.versions, unix_offset);
        for tokens in outbox.tokens {
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
        let began = self.profiler.now();
        let timeout = self.scheduler.next_timeout().and_then(|at| Duration::try_from_secs_f64(at).ok());
        // A little later, so that it is over when the loop looks.
        let timeout = timeout.map(|at| self.clock + at + Duration::from_millis(1));
        let deadlines = self.flushes.iter().map(|f| f.deadline);
        let deadlines = deadlines.chain(self.sessions.next_deadline()).chain(timeout);
        let incoming = match deadlines.min() {
            None => self.links.incoming.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(deadline) => self.links.incoming.recv_deadline(deadline),
        };
        self.progress.enter(LoopPhase::Scheduling);
        self.profiler.span("idle", began, None);
        self.log.idle();
        self.counters.idle();
        match incoming {
            Ok(incoming) => self.handle(incoming),
            Err(RecvTimeoutError::Timeout) => {
                self.finish_flushes();
                self.sessions.reap(Instant::now());
                false
            }
            Err(RecvTimeoutError::Disconnected) => true,
        }
    }

    /// Lets others see the state as it is now.
    pub(crate) fn publish(&mut self) {
        let stats = self.scheduler.stats();
        let made = stats.total_output_tokens.saturating_sub(self.published_tokens);
        let seconds = self.published.elapsed().as_secs_f64();
        let figures = LoopFigures {
            model_busy: self.model_busy,
            counters: self.counters.to_json(),
            elapsed: self.clock.elapsed(),
            gen_throughput: made as f64 / seconds.max(1e-3),
            last_gen_throughput: self.log.last_gen_throughput(),
            num_grammar_queue_reqs: self.grammars.len(),
            num_sessions: self.sessions.len(),
            released_memory: self.memory.names(),
        };
        self.published = Instant::now();
        self.published_tokens = stats.total_output_tokens;
        self.progress.publish(snapshot::to_json(&stats, &figures));
    }
}
