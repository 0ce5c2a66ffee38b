//! The scheduler loop: receives messages, plans and submits batches, processes results, and sends outputs. With
//! overlap, it plans a batch while the model runs the previous one (reference: `event_loop_normal` and
//! `event_loop_overlap` in `managers/scheduler.py`; here they only differ in the number of batches in flight).

mod dispatch;
mod requests;
mod step;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::AHashMap;
use crossbeam_channel::RecvTimeoutError;
use sglang_planner::Planner;
use sglang_process::heartbeat::Heartbeat;
use sglang_proto::messages::{AnyMessage, Attempt};
use sglang_tokenizer::Tokenizer;

use crate::adapters::Adapters;
use crate::background::Reporter;
use crate::flush::{self, Flush};
use crate::grammar::{GrammarManager, StartBackend};
use crate::links::{self, Incoming, Links};
use crate::monitor::{ComponentFigures, Monitor};
use crate::outputs::Outputs;
use crate::profiler::Profiler;
use crate::progress::{LoopPhase, Progress};
use crate::seeds::Seeds;
use crate::sessions::SessionController;
use crate::weights::{self, Weights};
use crate::worker_thread::WorkerThread;
use crate::{SchedulerError, SchedulerSettings};

/// Why the loop ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopEnd {
    /// The tokenizer manager, the launcher or a signal requested it.
    Shutdown,
}

/// The loop with its planner, model and links, and one component for each other task. A component handles its own
/// messages and only accesses what it is given. The documentation of its type says which of its state must survive a
/// restart.
pub struct EventLoop<'a> {
    planner: Planner,
    worker: WorkerThread,
    links: Links,
    adapters: Adapters,
    sessions: SessionController,
    grammars: GrammarManager,
    weights: Weights,
    flush: Flush,
    profiler: Profiler,
    outputs: Outputs<'a>,
    monitor: Monitor,
    seeds: Seeds,
    heartbeat: Heartbeat,
    /// Attempts of requests that have not reached the planner.
    attempts: AHashMap<String, Attempt>,
}

impl<'a> EventLoop<'a> {
    /// Creates the loop; [`EventLoop::run`] starts it.
    pub fn new(
        mut planner: Planner,
        worker: WorkerThread,
        links: Links,
        settings: SchedulerSettings,
        progress: Arc<Progress>,
        tokenizer: Option<&'a Tokenizer>,
    ) -> Self {
        for lora in settings.adapters.iter().filter(|lora| lora.is_pinned()) {
            planner.pin_adapter(&lora.lora_id, true);
        }
        let read_adapter = links.reporter(|read| Incoming::Adapter(Box::new(read)));
        let to_tokenizer = links.tokenizer.clone();
        let heartbeat = Heartbeat::of_thread("event loop");
        let written_trace = Reporter::new(move |done| links::answer(&to_tokenizer, done));
        Self {
            planner,
            worker: worker.within(settings.watchdog_timeout).beating(heartbeat),
            adapters: Adapters::new(&settings.adapters, read_adapter),
            sessions: SessionController::new(tokenizer.and_then(Tokenizer::bos_token_id)),
            grammars: GrammarManager::new(None, links.reporter(Incoming::Grammar)),
            weights: Weights::new(&settings, links.reporter(Incoming::Weights)),
            flush: Flush::default(),
            profiler: Profiler::new(written_trace),
            outputs: Outputs::new(&settings, tokenizer),
            monitor: Monitor::new(progress, settings.decode_log_interval),
            seeds: Seeds::new(settings.random_seed),
            heartbeat,
            attempts: AHashMap::new(),
            links,
        }
    }

    /// Enables grammars with the backend that `start` creates. Without it, requests with a grammar are refused.
    #[must_use]
    pub fn with_grammars(mut self, start: Option<StartBackend>) -> Self {
        self.grammars = GrammarManager::new(start, self.links.reporter(Incoming::Grammar));
        self
    }

    /// Runs until an end is requested.
    ///
    /// # Errors
    /// The model fails permanently, or does not return from a step in time.
    pub fn run(&mut self) -> Result<LoopEnd, SchedulerError> {
        self.publish();
        loop {
            self.heartbeat.beat();
            while let Ok(incoming) = self.links.incoming.try_recv() {
                let began = self.profiler.now();
                if self.handle(incoming) {
                    return Ok(LoopEnd::Shutdown);
                }
                self.profiler.span("receive", began, None);
            }
            self.advance_weights()?;
            if !self.step()? && self.wait_for_work() {
                return Ok(LoopEnd::Shutdown);
            }
        }
    }

    /// Performs a pending weight update or memory release if possible.
    fn advance_weights(&mut self) -> Result<(), SchedulerError> {
        let answers = self.weights.advance(&mut weights::Access {
            planner: &mut self.planner,
            worker: &self.worker,
            grammars_wait: !self.grammars.is_empty(),
        })?;
        for answer in answers {
            self.answer(Some(answer));
        }
        Ok(())
    }

    /// Performs a pending flush of the caches if possible.
    fn advance_flush(&mut self) {
        let on = &mut flush::Access { planner: &mut self.planner, grammars: &self.grammars };
        let answer = self.flush.advance(on);
        self.answer(answer);
    }

    /// Waits for an input or a deadline. Returns `true` if the loop must end.
    fn wait_for_work(&mut self) -> bool {
        self.advance_flush();
        self.publish();
        self.monitor.enter(LoopPhase::Idle);
        let began = self.profiler.now();
        let incoming = self.receive_until(self.next_deadline());
        self.monitor.enter(LoopPhase::Scheduling);
        self.profiler.span("idle", began, None);
        self.monitor.idle();
        match incoming {
            Ok(incoming) => self.handle(incoming),
            Err(RecvTimeoutError::Timeout) => {
                self.advance_flush();
                self.sessions.reap(Instant::now());
                false
            }
            Err(RecvTimeoutError::Disconnected) => true,
        }
    }

    /// Sleeps until an input arrives or `deadline` has passed, with heartbeats meanwhile.
    fn receive_until(&self, deadline: Option<Instant>) -> Result<Incoming, RecvTimeoutError> {
        loop {
            self.heartbeat.beat();
            let beat = self.heartbeat.period().map(|period| Instant::now() + period);
            let incoming = match deadline.into_iter().chain(beat).min() {
                None => self.links.incoming.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(until) => self.links.incoming.recv_deadline(until),
            };
            let is_over = deadline.is_some_and(|deadline| deadline <= Instant::now());
            match incoming {
                Err(RecvTimeoutError::Timeout) if !is_over => {}
                incoming => return incoming,
            }
        }
    }

    /// When an idle loop must wake up.
    fn next_deadline(&self) -> Option<Instant> {
        let timeout = self.planner.next_timeout().and_then(|at| self.monitor.moment(at));
        // A little later, so that the timeout has passed when the loop wakes up.
        let timeout = timeout.map(|at| at + Duration::from_millis(1));
        let deadlines = [self.flush.deadline(), self.sessions.next_deadline(), timeout];
        deadlines.into_iter().flatten().min()
    }

    /// Sends an answer, if there is one. Publishes the state first, because the caller may query it right after the
    /// answer.
    fn answer(&mut self, answer: Option<impl Into<AnyMessage>>) {
        if let Some(answer) = answer {
            self.publish();
            self.links.answer(answer);
        }
    }

    /// Publishes the current state.
    fn publish(&mut self) {
        let components = ComponentFigures {
            num_grammar_queue_reqs: self.grammars.len(),
            num_sessions: self.sessions.len(),
            released_memory: self.weights.released_names(),
        };
        self.monitor.publish(&self.planner, components);
    }
}
