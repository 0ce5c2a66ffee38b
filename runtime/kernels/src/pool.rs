//! A fork-join pool for work that lasts microseconds.
//!
//! After a job, workers spin for a moment, so that the next kernel of a forward pass finds them awake. Then they sleep:
//! an idle pool uses no processor time.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{KernelError, Result};

/// How long a thread looks for work before it sleeps.
const SPIN: Duration = Duration::from_micros(40);

/// Low bits of the state: number of threads inside the current job.
const ACTIVE: u64 = 0xffff;
/// Set while workers may still enter the job.
const OPEN: u64 = 1 << 16;
/// Added to the state for every new job.
const EPOCH: u64 = 1 << 32;

/// A task of a job, by its index.
type Task = dyn Fn(usize) + Sync;

/// The current job. The lifetime of the task is erased; [`ThreadPool::run`] returns only after every thread has left
/// the job.
#[derive(Clone, Copy)]
struct Job {
    task: *const Task,
    tasks: usize,
}

struct Shared {
    /// Epoch, [`OPEN`] and the number of threads inside.
    state: AtomicU64,
    /// Written only while the state is closed and no thread is inside.
    job: UnsafeCell<Option<Job>>,
    next: AtomicUsize,
    failed: AtomicBool,
    failure: Mutex<Option<String>>,
    sleepers: AtomicUsize,
    caller_waits: AtomicBool,
    shutdown: AtomicBool,
    lock: Mutex<()>,
    wake_workers: Condvar,
    wake_caller: Condvar,
}

// SAFETY: `job` is the only field that is not `Sync`. The thread that holds the run lock writes it while the state is
// closed and empty. Threads read it after they entered the job through an acquiring exchange on `state`, which follows
// the write.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer inside a job points to a `Sync` closure.
unsafe impl Send for Shared {}

thread_local! {
    /// Whether this thread is inside a task. A nested job runs on this thread alone.
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
}

/// Threads that run the tasks of one job at a time. The calling thread takes part.
pub struct ThreadPool {
    shared: Arc<Shared>,
    run_lock: Mutex<()>,
    workers: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ThreadPool").field("threads", &self.threads()).finish_non_exhaustive()
    }
}

impl ThreadPool {
    /// A pool of `threads` threads, including the caller of [`ThreadPool::run`]; 0 means 1.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub fn new(threads: usize) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(None),
            next: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
            sleepers: AtomicUsize::new(0),
            caller_waits: AtomicBool::new(false),
            shutdown: AtomicBool::new(false),
            lock: Mutex::new(()),
            wake_workers: Condvar::new(),
            wake_caller: Condvar::new(),
        });
        // Created before the threads, so that dropping it ends those already running if a later one fails to start.
        let mut pool = Self { shared, run_lock: Mutex::new(()), workers: Vec::new() };
        for index in 1..threads.clamp(1, ACTIVE as usize) {
            let shared = Arc::clone(&pool.shared);
            let worker = std::thread::Builder::new()
                .name(format!("kernel-{index}"))
                .spawn(move || shared.work())
                .map_err(|e| KernelError::Spawn(e.to_string()))?;
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    /// Number of threads, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `task(0)` to `task(tasks - 1)`, each once, in any order and on any thread, and returns when all are done.
    /// Called inside a task, it runs everything on the calling thread.
    ///
    /// # Errors
    /// A task panicked. Tasks that had not begun by then are skipped.
    pub fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) -> Result<()> {
        if tasks <= 1 || self.workers.is_empty() || IN_TASK.get() {
            return catch_unwind(AssertUnwindSafe(|| (0..tasks).for_each(task)))
                .map_err(|payload| KernelError::Task(message(payload.as_ref())));
        }
        let _running = guard(&self.run_lock);
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes. Only threads inside the job use the pointer, and this function waits below
        // until the job is closed and empty.
        let erased: &'static Task =
            unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static Task>(task) };
        // SAFETY: the run lock is held and the state is closed and empty, so no other thread reads the job.
        unsafe { *shared.job.get() = Some(Job { task: erased, tasks }) };
        shared.next.store(0, Ordering::Relaxed);
        shared.failed.store(false, Ordering::Relaxed);
        let epoch = (shared.state.load(Ordering::Relaxed) & !(OPEN | ACTIVE)).wrapping_add(EPOCH);
        shared.state.store(epoch | OPEN, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if shared.sleepers.load(Ordering::SeqCst) > 0 {
            let _lock = guard(&shared.lock);
            shared.wake_workers.notify_all();
        }
        shared.take_tasks(Job { task: erased, tasks });
        shared.state.fetch_and(!OPEN, Ordering::AcqRel);
        shared.wait_until_empty();
        match guard(&shared.failure).take() {
            Some(message) => Err(KernelError::Task(message)),
            None => Ok(()),
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.shutdown.store(true, Ordering::SeqCst);
        {
            let _lock = guard(&self.shared.lock);
            self.shared.wake_workers.notify_all();
        }
        for worker in self.workers.drain(..) {
            // Workers catch the panics of tasks. If joining fails all the same, nothing can be done about it.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn work(&self) {
        let mut seen = 0;
        loop {
            let Some(state) = self.next_job(seen) else { return };
            seen = state & !(OPEN | ACTIVE);
            if self.state.compare_exchange(state, state + 1, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                // Another thread entered, or the caller closed the job: try again.
                seen = seen.wrapping_sub(EPOCH);
                continue;
            }
            // SAFETY: this thread counts as inside the open job, so the caller does not change it.
            if let Some(job) = unsafe { *self.job.get() } {
                self.take_tasks(job);
            }
            let left = self.state.fetch_sub(1, Ordering::AcqRel) - 1;
            fence(Ordering::SeqCst);
            if left & (ACTIVE | OPEN) == 0 && self.caller_waits.load(Ordering::SeqCst) {
                let _lock = guard(&self.lock);
                self.wake_caller.notify_one();
            }
        }
    }

    /// Waits for an open job other than `seen`; `None` when the pool ends.
    fn next_job(&self, seen: u64) -> Option<u64> {
        let ready = || {
            let state = self.state.load(Ordering::Acquire);
            (state & OPEN != 0 && state & !(OPEN | ACTIVE) != seen).then_some(state)
        };
        if let Some(state) = spin(ready) {
            return Some(state);
        }
        let mut lock = guard(&self.lock);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let found = loop {
            if self.shutdown.load(Ordering::SeqCst) {
                break None;
            }
            if let Some(state) = ready() {
                break Some(state);
            }
            lock = self.wake_workers.wait(lock).unwrap_or_else(PoisonError::into_inner);
        };
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        found
    }

    fn take_tasks(&self, job: Job) {
        // SAFETY: the pointer is valid while any thread is inside the job, which this one is.
        let task = unsafe { &*job.task };
        IN_TASK.set(true);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            while !self.failed.load(Ordering::Relaxed) {
                let index = self.next.fetch_add(1, Ordering::Relaxed);
                if index >= job.tasks {
                    break;
                }
                task(index);
            }
        }));
        IN_TASK.set(false);
        if let Err(payload) = outcome {
            self.failed.store(true, Ordering::Relaxed);
            guard(&self.failure).get_or_insert_with(|| message(payload.as_ref()));
        }
    }

    fn wait_until_empty(&self) {
        let empty = || (self.state.load(Ordering::Acquire) & ACTIVE == 0).then_some(());
        if spin(empty).is_some() {
            return;
        }
        let mut lock = guard(&self.lock);
        self.caller_waits.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        while empty().is_none() {
            lock = self.wake_caller.wait(lock).unwrap_or_else(PoisonError::into_inner);
        }
        self.caller_waits.store(false, Ordering::SeqCst);
    }
}

/// Polls `ready` for [`SPIN`].
fn spin<T>(ready: impl Fn() -> Option<T>) -> Option<T> {
    let begin = Instant::now();
    loop {
        for _ in 0..64 {
            if let Some(value) = ready() {
                return Some(value);
            }
            std::hint::spin_loop();
        }
        if begin.elapsed() > SPIN {
            return None;
        }
    }
}

/// Locks a mutex, poisoned or not: a panic cannot leave its data inconsistent.
fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The text of a panic.
fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "no message".to_owned()
    }
}
