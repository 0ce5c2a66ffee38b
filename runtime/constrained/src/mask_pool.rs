//! Threads that compute masks while the model runs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, unbounded};

/// Stack size of the threads: derivatives of deep expressions recurse.
pub(crate) const STACK_BYTES: usize = 64 << 20;

type Job = Box<dyn FnOnce() + Send>;

/// A small thread pool for masks. When it is dropped, the threads finish the jobs that they have begun.
#[derive(Debug)]
pub struct MaskPool {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl MaskPool {
    /// Starts `threads` threads (at least one).
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let (jobs, queue) = unbounded::<Job>();
        let threads = (0..threads.max(1))
            .map(|i| {
                let queue = queue.clone();
                std::thread::Builder::new().name(format!("grammar-mask-{i}")).stack_size(STACK_BYTES).spawn(
                    move || {
                        for job in queue {
                            // A job reports its own failure; its panic must not end the thread.
                            let _ = catch_unwind(AssertUnwindSafe(job));
                        }
                    },
                )
            })
            .collect::<std::io::Result<Vec<_>>>()?;
        Ok(Self { jobs: Some(jobs), threads })
    }

    /// Runs `job` on a thread of the pool, or on this thread if the pool has ended.
    pub(crate) fn run(&self, job: Job) {
        match &self.jobs {
            Some(jobs) => {
                if let Err(refused) = jobs.send(job) {
                    (refused.0)();
                }
            }
            None => job(),
        }
    }
}

impl Drop for MaskPool {
    fn drop(&mut self) {
        self.jobs = None;
        let me = std::thread::current().id();
        for thread in self.threads.drain(..) {
            // The pool's last owner may be one of its own jobs.
            if thread.thread().id() != me {
                let _ = thread.join();
            }
        }
    }
}
