//! The thread that owns the model: it runs batches in order and returns results.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use sglang_process::heartbeat::Heartbeat;
use sglang_proto::forward::{ForwardBatch, ForwardResult};
use sglang_proto::worker::{AdapterReader, ModelWorker, WeightStager, WorkerError};

use crate::background::panic_text;
use crate::step::StepInfo;

/// Capacity of the queue of jobs: the batch planned ahead, and a call.
const AHEAD: usize = 2;

/// The result of a step and its duration.
#[derive(Debug)]
pub struct StepOutcome {
    /// Summary of the batch.
    pub step: StepInfo,
    /// The model's result or error.
    pub result: Result<ForwardResult, WorkerError>,
    /// When the batch started to run.
    pub started: Instant,
    /// When it ended.
    pub ended: Instant,
}

impl StepOutcome {
    /// How long the model was busy with the step.
    pub fn busy(&self) -> Duration {
        self.ended.duration_since(self.started)
    }
}

/// A call to the worker between two batches.
type Call = Box<dyn FnOnce(&mut dyn ModelWorker) + Send>;

/// A job for the thread.
enum Job {
    Batch(Box<ForwardBatch>),
    Call(Call),
}

/// Handle of the model's thread.
pub struct WorkerThread {
    jobs: Option<Sender<Job>>,
    stager: Option<Arc<dyn WeightStager>>,
    adapter_reader: Option<Arc<dyn AdapterReader>>,
    outcomes: Receiver<StepOutcome>,
    /// Microseconds to wait before each batch.
    delay: Arc<AtomicU64>,
    /// Longest duration of a batch or a call.
    limit: Duration,
    /// Heartbeat of the thread that waits for this one.
    heartbeat: Heartbeat,
    thread: Option<JoinHandle<()>>,
}

impl WorkerThread {
    /// Moves `worker` to a new thread.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub fn spawn(mut worker: Box<dyn ModelWorker>) -> std::io::Result<Self> {
        let (stager, adapter_reader) = (worker.stager(), worker.adapter_reader());
        let (jobs, inbox) = bounded::<Job>(AHEAD);
        let (outbox, outcomes) = bounded::<StepOutcome>(AHEAD + 1);
        let delay = Arc::new(AtomicU64::new(0));
        let pace = delay.clone();
        let thread = std::thread::Builder::new().name("model".into()).spawn(move || {
            for job in inbox {
                let batch = match job {
                    Job::Batch(batch) => batch,
                    Job::Call(call) => {
                        call(worker.as_mut());
                        continue;
                    }
                };
                match pace.load(Ordering::Relaxed) {
                    0 => {}
                    micros => std::thread::sleep(Duration::from_micros(micros)),
                }
                let started = Instant::now();
                let step = StepInfo::of(&batch);
                let run = AssertUnwindSafe(|| worker.forward(&batch));
                // A panic of the model must become an error, not end the thread silently.
                let result = catch_unwind(run)
                    .unwrap_or_else(|cause| Err(WorkerError::Fatal(panic_text(cause.as_ref()))));
                let outcome = StepOutcome { step, result, started, ended: Instant::now() };
                if outbox.send(outcome).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self {
            jobs: Some(jobs),
            stager,
            adapter_reader,
            outcomes,
            delay,
            limit: Duration::MAX,
            heartbeat: Heartbeat::default(),
            thread: Some(thread),
        })
    }

    /// Sets the limit after which a batch or a call without result means that the thread is dead.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets the heartbeat of the thread that waits for this one, which continues while it waits: a long step does not
    /// mean that the loop hangs.
    #[must_use]
    pub fn beating(mut self, heartbeat: Heartbeat) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// Longest duration of a batch or a call.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Submits a batch. At most two may be in flight.
    ///
    /// # Errors
    /// The thread has ended.
    pub fn submit(&self, batch: ForwardBatch) -> Result<(), WorkerError> {
        self.send(Job::Batch(Box::new(batch)))
    }

    /// Runs `call` on the worker after the submitted batches, and waits for its result.
    ///
    /// # Errors
    /// The thread has ended, the call panics, or it does not return in time.
    pub fn call<R: Send + 'static>(
        &self,
        call: impl FnOnce(&mut dyn ModelWorker) -> R + Send + 'static,
    ) -> Result<R, WorkerError> {
        let (reply, answer) = bounded(1);
        self.send(Job::Call(Box::new(move |worker| {
            let result = catch_unwind(AssertUnwindSafe(|| call(worker)));
            // The caller may have timed out.
            let _ = reply.send(result.map_err(|cause| WorkerError::Fatal(panic_text(cause.as_ref()))));
        })))?;
        self.take(&answer)?
    }

    /// Delays each batch from now on.
    pub fn slow_down(&self, delay: Duration) {
        self.delay.store(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The reader of new weights for the worker.
    pub fn stager(&self) -> Option<Arc<dyn WeightStager>> {
        self.stager.clone()
    }

    /// The reader of adapters for the worker.
    pub fn adapter_reader(&self) -> Option<Arc<dyn AdapterReader>> {
        self.adapter_reader.clone()
    }

    fn send(&self, job: Job) -> Result<(), WorkerError> {
        self.jobs.as_ref().ok_or_else(gone)?.send(job).map_err(|_| gone())
    }

    /// Waits for the next result, in the order of submission.
    ///
    /// # Errors
    /// The thread has ended, or does not return in time.
    pub fn wait(&self) -> Result<StepOutcome, WorkerError> {
        self.take(&self.outcomes)
    }

    /// Receives the next item of `from`, within the limit.
    fn take<T>(&self, from: &Receiver<T>) -> Result<T, WorkerError> {
        let began = Instant::now();
        loop {
            self.heartbeat.beat();
            let left = self.limit.saturating_sub(began.elapsed());
            match from.recv_timeout(self.heartbeat.period().map_or(left, |period| period.min(left))) {
                Ok(taken) => return Ok(taken),
                Err(RecvTimeoutError::Timeout) if began.elapsed() < self.limit => {}
                Err(error) => return Err(gone_or_late(error, self.limit)),
            }
        }
    }
}

impl Drop for WorkerThread {
    fn drop(&mut self) {
        self.jobs = None;
        // Do not join a thread that is stuck in a step: it would block the end of the process.
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            // The thread catches panics itself, so the result of joining is not needed.
            let _ = thread.join();
        }
    }
}

fn gone() -> WorkerError {
    WorkerError::Fatal("the model thread has ended".into())
}

fn gone_or_late(error: RecvTimeoutError, limit: Duration) -> WorkerError {
    match error {
        RecvTimeoutError::Disconnected => gone(),
        RecvTimeoutError::Timeout => WorkerError::Fatal(format!(
            "a step has not come back within {} s (--watchdog-timeout)",
            limit.as_secs_f64()
        )),
    }
}
