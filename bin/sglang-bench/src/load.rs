//! Sending a workload: arrivals, a bound on concurrency and one on time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::backend::Backend;
use crate::client::{Outcome, send};
use crate::target::Target;
use crate::workload::Job;

/// How to send.
#[derive(Clone, Debug)]
pub struct Plan {
    pub target: Target,
    pub backend: Backend,
    pub max_concurrency: Option<usize>,
    /// When to give up on what is unfinished.
    pub deadline: Instant,
    pub progress: bool,
}

/// Outcomes in the order of the jobs, and the seconds the whole took.
#[derive(Debug)]
pub struct Run {
    pub outcomes: Vec<Outcome>,
    pub duration: f64,
}

impl Plan {
    /// Sends every job, with the body that `body` writes for it, and waits for all answers.
    pub async fn send_all(&self, jobs: &[Job], body: impl Fn(&Job) -> Value) -> Run {
        let slots = Arc::new(Semaphore::new(self.max_concurrency.unwrap_or(Semaphore::MAX_PERMITS)));
        // Bodies are written before the clock starts.
        let bodies: Vec<Value> = jobs.iter().map(body).collect();
        let bar = self.progress_bar(jobs.len());
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for (index, (job, body)) in jobs.iter().zip(bodies).enumerate() {
            let (target, backend, slots) = (self.target.clone(), self.backend, Arc::clone(&slots));
            let (prompt_len, output_len) = (job.prompt_len, job.output_len);
            let due = start + Duration::try_from_secs_f64(job.arrival).unwrap_or(Duration::MAX / 4);
            tasks.spawn(async move {
                tokio::time::sleep_until(due.into()).await;
                let _slot = slots.acquire().await;
                (index, send(&target, backend, &body, prompt_len, output_len, start).await)
            });
        }
        let mut outcomes: Vec<Option<Outcome>> = vec![None; jobs.len()];
        let collected = tokio::time::timeout_at(self.deadline.into(), async {
            while let Some(joined) = tasks.join_next().await {
                if let Ok((index, outcome)) = joined
                    && let Some(place) = outcomes.get_mut(index)
                {
                    *place = Some(outcome);
                }
                bar.inc(1);
            }
        });
        let timed_out = collected.await.is_err();
        tasks.abort_all();
        let duration = start.elapsed().as_secs_f64();
        bar.finish_and_clear();
        let lost = if timed_out { "not finished within --timeout" } else { "the request's task stopped" };
        let outcomes = outcomes.into_iter().map(|o| o.unwrap_or_else(|| failed(lost))).collect();
        Run { outcomes, duration }
    }

    fn progress_bar(&self, len: usize) -> ProgressBar {
        if !self.progress {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(len as u64);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:40} {pos}/{len} requests, {elapsed} ({per_sec})")
        {
            bar.set_style(style);
        }
        bar
    }
}

fn failed(why: &str) -> Outcome {
    Outcome { error: Some(why.to_owned()), ..Outcome::default() }
}
