//! Runs traffic in virtual time.

use std::collections::VecDeque;

use ahash::AHashMap;
use sglang_proto::forward::ForwardBatch;
use sglang_proto::messages::FinishReason;

use super::{Arrival, NoText, SimWorker};
use crate::{Planner, PlannerConfig, PlannerError};

/// How long a step takes: a fixed part and a part per token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostModel {
    /// Seconds per step.
    pub step: f64,
    /// Seconds per new token of a step.
    pub token: f64,
    /// Seconds per position that the step's requests attend to.
    pub attended: f64,
}

impl Default for CostModel {
    /// Roughly an 8B model on one large GPU.
    fn default() -> Self {
        Self { step: 8e-3, token: 25e-6, attended: 20e-9 }
    }
}

impl CostModel {
    /// Seconds that a batch takes.
    pub fn seconds(&self, batch: &ForwardBatch) -> f64 {
        let attended: u64 = batch
            .prefix_lens
            .iter()
            .zip(&batch.extend_lens)
            .map(|(p, e)| u64::from(*p) + u64::from(*e))
            .sum();
        self.step + self.token * batch.num_tokens() as f64 + self.attended * attended as f64
    }
}

/// Results of a run. Times are virtual seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SimReport {
    /// Requests that ended with all their output.
    pub completed: usize,
    /// Requests that were aborted or refused.
    pub aborted: usize,
    /// Number of output tokens.
    pub output_tokens: u64,
    /// Number of steps.
    pub steps: u64,
    /// Time from the first arrival to the last end.
    pub seconds: f64,
    /// Fraction of prompt tokens that came from the cache.
    pub hit_rate: f64,
    /// Number of retractions and preemptions.
    pub retractions: u64,
    /// Time from arrival to the first token, sorted.
    pub waits: Vec<f64>,
}

impl SimReport {
    /// Output tokens per second.
    pub fn throughput(&self) -> f64 {
        self.output_tokens as f64 / self.seconds.max(1e-9)
    }

    /// The `q`-quantile of the waits.
    pub fn wait_quantile(&self, q: f64) -> f64 {
        let at = (self.waits.len().saturating_sub(1) as f64 * q).round() as usize;
        self.waits.get(at).copied().unwrap_or(0.0)
    }
}

/// Runs the traffic through a planner with this configuration.
///
/// # Errors
/// The configuration is invalid.
pub fn simulate(
    config: PlannerConfig,
    arrivals: &[Arrival],
    cost: CostModel,
) -> Result<SimReport, PlannerError> {
    let mut worker = SimWorker::new(&config);
    let mut planner = Planner::new(config)?;
    let mut report = SimReport::default();
    let mut arrived_at = AHashMap::new();
    let mut next = arrivals.iter().peekable();
    // Batches in flight, with their time of completion.
    let mut running: VecDeque<(ForwardBatch, f64)> = VecDeque::new();
    let mut now = 0.0;
    loop {
        while let Some(arrival) = next.next_if(|arrival| arrival.at <= now) {
            arrived_at.insert(arrival.request.rid.as_str(), arrival.at);
            planner.add_request(arrival.request.clone(), arrival.at)?;
        }
        if let Some(batch) = planner.plan(now).batch {
            let start = running.back().map_or(now, |(_, done)| *done);
            let done = start + cost.seconds(&batch);
            running.push_back((batch, done));
            if running.len() == 1 && planner.config().enable_overlap {
                continue;
            }
        }
        let Some((batch, done)) = running.pop_front() else {
            match next.peek() {
                Some(arrival) => now = arrival.at,
                None => break,
            }
            continue;
        };
        now = done;
        match worker.run(&batch) {
            Ok(result) => planner.on_result(result, &mut NoText)?,
            Err(why) => planner.on_failure(batch.forward_id, &why.to_string())?,
        }
        for event in planner.take_events() {
            if event.first {
                report.waits.push(now - arrived_at.get(event.rid()).copied().unwrap_or(now));
            }
            report.output_tokens += event.output_ids.len() as u64;
            match event.finish_reason {
                Some(FinishReason::Abort { .. }) => report.aborted += 1,
                Some(_) => report.completed += 1,
                None => {}
            }
        }
    }
    let stats = planner.stats();
    report.aborted += planner.take_events().iter().filter(|event| event.finish_reason.is_some()).count();
    report.steps = stats.total_steps;
    report.hit_rate = stats.cache_hit_rate;
    report.retractions = stats.total_retractions;
    report.seconds = now;
    report.waits.sort_by(f64::total_cmp);
    Ok(report)
}
