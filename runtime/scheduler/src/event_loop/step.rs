//! One iteration: plans and submits a batch, processes a result, and sends outputs.

use std::time::Instant;

use sglang_proto::worker::WorkerError;

use super::EventLoop;
use crate::SchedulerError;
use crate::progress::LoopPhase;
use crate::step::StepInfo;
use crate::worker_thread::StepOutcome;

impl EventLoop<'_> {
    /// Plans and submits a batch, and processes the oldest result if it is due. Returns `false` if there was nothing to
    /// do.
    pub(super) fn step(&mut self) -> Result<bool, SchedulerError> {
        let began = self.profiler.now();
        let plan = self.planner.plan(self.monitor.now());
        if let Some(retraction) = &plan.retraction {
            self.monitor.retracted(retraction);
        }
        let planned = plan.batch.is_some();
        if let Some(batch) = plan.batch {
            let step = StepInfo::of(&batch);
            self.profiler.span("schedule", began, Some(step));
            let began = self.profiler.now();
            self.monitor.log().planned(batch.mode, plan.report.unwrap_or_default());
            self.worker.submit(batch)?;
            self.profiler.span("submit", began, Some(step));
        }
        // Refusals and aborts have events without a batch, which must not wait for the model.
        self.send_events();
        let in_flight = self.planner.num_in_flight();
        let ahead = usize::from(self.planner.config().enable_overlap);
        if in_flight > 0 && (!planned || in_flight > ahead) {
            self.take_result()?;
        } else if !planned {
            return Ok(false);
        }
        Ok(true)
    }

    fn take_result(&mut self) -> Result<(), SchedulerError> {
        self.monitor.enter(LoopPhase::Forward);
        let began = self.profiler.now();
        let outcome = self.worker.wait()?;
        self.monitor.enter(LoopPhase::Scheduling);
        let (step, busy) = (outcome.step, outcome.busy());
        self.profiler.span("wait", began, Some(step));
        self.monitor.ran(&outcome);
        self.profiler.step(step, outcome.started, outcome.ended, outcome.result.as_ref().ok());
        let began = self.profiler.now();
        self.apply(outcome)?;
        self.profiler.span("process_result", began, Some(step));
        self.monitor.step_done(busy, &self.planner);
        let began = self.profiler.now();
        self.send_events();
        self.profiler.span("outputs", began, Some(step));
        self.profiler.advance();
        self.advance_flush();
        if self.monitor.is_due() {
            self.publish();
        }
        Ok(())
    }

    fn apply(&mut self, outcome: StepOutcome) -> Result<(), SchedulerError> {
        self.planner.set_now(self.monitor.now());
        match outcome.result {
            Ok(result) => self.planner.on_result(result, self.outputs.tail())?,
            Err(error @ WorkerError::Fatal(_)) => return Err(error.into()),
            Err(error) => {
                let forward_id = outcome.step.forward_id;
                tracing::error!("Step {forward_id} failed: {error}");
                self.planner.on_failure(forward_id, &error.to_string())?;
            }
        }
        for fault in self.planner.take_faults() {
            tracing::error!("Scheduler fault: {fault}");
        }
        Ok(())
    }

    /// Sends the planner's events.
    pub(super) fn send_events(&mut self) {
        let events = self.planner.take_events();
        if events.is_empty() {
            return;
        }
        self.sessions.observe(&events, Instant::now());
        let versions = self.weights.versions_mut();
        self.outputs.send(events, versions, self.monitor.now(), &self.links);
    }
}
