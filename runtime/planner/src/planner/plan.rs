//! Plans the next step.

use sglang_proto::forward::ForwardBatch;

use super::Planner;
use super::batch::BatchBuilder;
use crate::req::ReqState;
use crate::{BatchReport, RetractionReport};

/// The next step. Without a batch there is nothing to run now: if a batch is in flight, pass in its result and plan
/// again; otherwise wait for a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The batch to run.
    pub batch: Option<ForwardBatch>,
    /// Statistics of the batch, for the log line.
    pub report: Option<BatchReport>,
    /// Set if requests were retracted to make room.
    pub retraction: Option<RetractionReport>,
}

/// Outcome of planning a prefill or a decode step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Planned {
    /// The batch has work.
    Work,
    /// There is nothing to do.
    Nothing,
    /// Memory has to be taken from a request in flight, which is only possible when its result is back.
    NeedsResult,
}

impl Planner {
    /// Plans the next step at time `now`. With overlap, it may be called while one batch is in flight, otherwise only
    /// while none is. Called too early, it returns an empty plan.
    pub fn plan(&mut self, now: f64) -> Plan {
        self.now = now;
        self.end_overdue();
        let mut plan = Plan::default();
        if self.pause.is_some() || self.in_flight.len() > usize::from(self.config.enable_overlap) {
            return plan;
        }
        let mut builder = BatchBuilder::new(self.totals.steps);
        self.fill(&mut builder, &mut plan.retraction);
        if builder.is_empty()
            && self.in_flight.is_empty()
            && self.running.is_empty()
            && !self.waiting.is_empty()
        {
            // The last running request was just retracted or ended: try again with an empty pool.
            self.fill(&mut builder, &mut plan.retraction);
        }
        if !builder.is_empty() {
            let (batch, report) = self.launch(builder);
            plan.batch = Some(batch);
            plan.report = Some(report);
        } else if self.in_flight.is_empty() {
            self.on_idle();
        }
        plan
    }

    /// Plans prefill first, unless decoding requests just waited for a step.
    fn fill(&mut self, builder: &mut BatchBuilder, retraction: &mut Option<RetractionReport>) {
        if self.decode_owed {
            let planned = self.plan_decode(builder, retraction);
            self.decode_owed = planned == Planned::NeedsResult;
            if planned != Planned::Nothing {
                return;
            }
        }
        if self.plan_prefill(builder) == Planned::Nothing {
            self.plan_decode(builder, retraction);
        }
    }

    /// Nothing runs and nothing can start: resets estimates, and ends requests that were lost.
    fn on_idle(&mut self) {
        if self.running.is_empty() && self.chunked.is_none() {
            self.ratio.reset();
        }
        if self.waiting.is_empty() && !self.ledger.is_empty() {
            self.answer_lost();
        }
    }

    /// Requests that can decode in the next step.
    pub(super) fn decodable(&self) -> Vec<usize> {
        let wants = |id: &usize| {
            self.reqs.get(*id).is_some_and(|r| r.state == ReqState::Running && !r.finishes_in_flight())
        };
        self.running.iter().copied().filter(wants).collect()
    }
}
