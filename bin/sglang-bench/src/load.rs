//! Sends a workload with given arrival times, limited in concurrency and time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::backend::Backend;
use crate::client::{Outcome, send};
use crate::interrupt::Interrupt;
use crate::limit::Limit;
use crate::progress::{Counts, Progress};
use crate::target::Target;
use crate::workload::Job;

/// How to send a workload.
#[derive(Clone, Debug)]
pub struct Plan {
    pub target: Target,
    pub backend: Backend,
    pub max_concurrency: Option<usize>,
    /// When to give up on unfinished requests.
    pub deadline: Instant,
    pub interrupt: Interrupt,
    /// Whether to hide progress.
    pub quiet: bool,
}

/// The results of a run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub outcomes: Vec<Outcome>,
    /// Duration in seconds.
    pub duration: f64,
    /// Requests that were cut off because the user stopped the run.
    pub unfinished: usize,
    pub interrupted: bool,
}

impl Run {
    /// Appends a later run as if it had followed immediately.
    pub fn append(&mut self, later: Run) {
        let offset = self.duration;
        self.outcomes.extend(later.outcomes.into_iter().map(|mut outcome| {
            outcome.start += offset;
            outcome.arrivals.iter_mut().for_each(|(time, _)| *time += offset);
            outcome
        }));
        self.duration += later.duration;
        self.unfinished += later.unfinished;
        self.interrupted |= later.interrupted;
    }
}

impl Plan {
    /// Sends jobs up to the limit, each with the body that `body` returns, and waits for all answers.
    pub async fn send_all(
        &self,
        jobs: impl Iterator<Item = Job>,
        limit: Limit,
        body: impl Fn(&Job) -> Value,
    ) -> Run {
        let mut jobs = jobs.take(limit.count.unwrap_or(usize::MAX)).peekable();
        let most = self.max_concurrency.unwrap_or(usize::MAX);
        let tokens = Arc::new(AtomicU64::new(0));
        let mut progress = Progress::start(limit.count, limit.time, self.quiet);
        let mut counts = Counts::default();
        let mut run = Run::default();
        let mut tasks = JoinSet::new();
        let start = Instant::now();
        let last = limit.time.map(|time| start + time);
        let mut late = false;
        loop {
            let is_open = tasks.len() < most && last.is_none_or(|last| Instant::now() < last);
            let due = jobs
                .peek()
                .filter(|_| is_open)
                .map(|job| start + Duration::try_from_secs_f64(job.arrival).unwrap_or(Duration::MAX / 4));
            let due = due.filter(|due| last.is_none_or(|last| *due < last));
            if due.is_none() && tasks.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                () = self.interrupt.wait() => {
                    run.interrupted = true;
                    break;
                }
                () = sleep_until(self.deadline.into()) => {
                    late = true;
                    break;
                }
                () = sleep_until(due.unwrap_or(self.deadline).into()), if due.is_some() => {
                    let Some(job) = jobs.next() else { continue };
                    let (target, backend, tokens) = (self.target.clone(), self.backend, Arc::clone(&tokens));
                    let (body, prompt_len, output_len) = (body(&job), job.prompt_len, job.output_len);
                    tasks.spawn(async move {
                        send(&target, backend, &body, prompt_len, output_len, start, &tokens).await
                    });
                }
                Some(joined) = tasks.join_next(), if !tasks.is_empty() => {
                    let outcome = joined.unwrap_or_else(|_| failed("the request's task stopped"));
                    counts.done += 1;
                    counts.failed += usize::from(outcome.error.is_some());
                    run.outcomes.push(outcome);
                }
                () = sleep_until(progress.next().into()) => {
                    counts.running = tasks.len();
                    counts.tokens = tokens.load(Ordering::Relaxed);
                    progress.show(counts);
                }
            }
        }
        run.duration = start.elapsed().as_secs_f64();
        let open = tasks.len();
        tasks.abort_all();
        if late {
            // A requested number of requests counts completely.
            let unsent = if limit.count.is_some() { jobs.count() } else { 0 };
            let lost = failed("not finished within --timeout");
            run.outcomes.extend(std::iter::repeat_n(lost, open + unsent));
        } else {
            run.unfinished = open;
        }
        run
    }
}

fn failed(why: &str) -> Outcome {
    Outcome { error: Some(why.to_owned()), ..Outcome::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_run_follows_at_once() {
        let outcome = |start| Outcome { start, arrivals: vec![(start + 1.0, 2)], ..Outcome::default() };
        let run = |start| Run { outcomes: vec![outcome(start)], duration: 5.0, ..Run::default() };
        let mut whole = run(1.0);
        whole.append(Run { unfinished: 3, interrupted: true, ..run(2.0) });
        assert_eq!(whole.outcomes[1], outcome(7.0));
        assert_eq!((whole.duration, whole.unfinished, whole.interrupted), (10.0, 3, true));
    }
}
