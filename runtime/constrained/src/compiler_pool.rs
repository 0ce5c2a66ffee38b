//! The compiler's threads, their queue and deadlines, and the cache of results.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use parking_lot::{Condvar, Mutex};

use crate::builder::Builder;
use crate::cache::Lru;
use crate::compiler_config::{CompileResult, CompilerConfig, CompilerStats};
use crate::environment::TokenEnvironment;
use crate::error::{GrammarError, TokenEnvironmentError};
use crate::helper::{Helper, HelperSource};
use crate::mask_pool::STACK_BYTES;
use crate::spec::GrammarSpec;

type Done = Box<dyn FnOnce(CompileResult) + Send>;

/// A thread that exceeds the time limit cannot be stopped; it ends by its own work limits. Up to this many extra
/// threads replace such threads meanwhile.
const MAX_STAND_INS: usize = 6;
/// A helper process that is idle for this long is ended; the next grammar starts another one.
const HELPER_IDLE: Duration = Duration::from_secs(60);

/// A grammar that is being compiled or waits for a thread.
struct InFlight {
    id: u64,
    deadline: Instant,
    /// A thread is working on it.
    started: bool,
    waiters: Vec<Done>,
}

struct State {
    cache: Lru<GrammarSpec, CompileResult>,
    in_flight: HashMap<GrammarSpec, InFlight>,
    next_id: u64,
    workers: usize,
    stats: CompilerStats,
    /// The sending end of the queue; `None` once the compiler is closed.
    queue: Option<Sender<(GrammarSpec, u64)>>,
}

pub(crate) struct Pool {
    config: CompilerConfig,
    builder: Builder,
    helpers: Option<HelperSource>,
    jobs: Receiver<(GrammarSpec, u64)>,
    state: Mutex<State>,
    /// Wakes the thread that watches deadlines.
    watch: Condvar,
}

impl Pool {
    pub(crate) fn start(
        env: TokenEnvironment,
        config: CompilerConfig,
    ) -> Result<Arc<Self>, TokenEnvironmentError> {
        let refused = |e: String| TokenEnvironmentError::Library(e);
        let builder = Builder::new(env, &config)?;
        let helpers = config.helper.as_deref().map(HelperSource::new);
        let (queue, jobs) = bounded(config.max_waiting.max(1));
        let workers = config.workers.max(1);
        let state = State {
            cache: Lru::new(config.cache_entries),
            in_flight: HashMap::new(),
            next_id: 0,
            workers: 0,
            stats: CompilerStats::default(),
            queue: Some(queue),
        };
        let pool = Arc::new(Self {
            config,
            builder,
            helpers,
            jobs,
            state: Mutex::new(state),
            watch: Condvar::new(),
        });
        for _ in 0..workers {
            pool.add_worker(&mut pool.state.lock()).map_err(|e| refused(e.to_string()))?;
        }
        let watcher = Arc::clone(&pool);
        std::thread::Builder::new()
            .name("grammar-watch".into())
            .spawn(move || watcher.watch())
            .map_err(|e| refused(e.to_string()))?;
        Ok(pool)
    }

    fn add_worker(self: &Arc<Self>, state: &mut State) -> std::io::Result<()> {
        let pool = Arc::clone(self);
        let thread = std::thread::Builder::new().name("grammar-compile".into()).stack_size(STACK_BYTES);
        thread.spawn(move || pool.work())?;
        state.workers += 1;
        Ok(())
    }

    pub(crate) fn submit(&self, spec: GrammarSpec, done: Done) {
        let outcome = self.enqueue(spec, done);
        // Called without the lock, because `done` may submit the next grammar.
        if let Some((done, result)) = outcome {
            done(result);
        }
    }

    /// Queues `spec`, or returns what to answer immediately.
    fn enqueue(&self, spec: GrammarSpec, done: Done) -> Option<(Done, CompileResult)> {
        let kind = spec.kind();
        let mut state = self.state.lock();
        if let Some(result) = state.cache.get(&spec).cloned() {
            state.stats.hits += 1;
            return Some((done, result));
        }
        state.stats.misses += 1;
        if spec.text().len() > self.config.max_bytes {
            let message = format!(
                "the grammar has {} bytes, at most {} are allowed",
                spec.text().len(),
                self.config.max_bytes
            );
            return Some((done, Err(GrammarError::Invalid { kind, message })));
        }
        if let Some(flight) = state.in_flight.get_mut(&spec) {
            flight.waiters.push(done);
            return None;
        }
        let id = state.next_id;
        state.next_id += 1;
        let Some(queue) = &state.queue else { return Some((done, Err(GrammarError::Closed { kind }))) };
        match queue.try_send((spec.clone(), id)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                let waiting = self.config.max_waiting;
                return Some((done, Err(GrammarError::Busy { kind, waiting })));
            }
            Err(TrySendError::Disconnected(_)) => {
                return Some((done, Err(GrammarError::Closed { kind })));
            }
        }
        let deadline = Instant::now() + self.config.timeout;
        state.in_flight.insert(spec, InFlight { id, deadline, started: false, waiters: vec![done] });
        self.watch.notify_all();
        None
    }

    /// The main loop of a compiling thread.
    fn work(self: Arc<Self>) {
        let mut helper = None;
        loop {
            let (spec, id) = match self.jobs.recv_timeout(HELPER_IDLE) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => {
                    helper = None;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            // A grammar that timed out in the queue has nobody waiting for it.
            let deadline = match self.state.lock().in_flight.get_mut(&spec) {
                Some(flight) if flight.id == id => {
                    flight.started = true;
                    Some(flight.deadline)
                }
                _ => None,
            };
            if let Some(deadline) = deadline {
                let result = self.compile(&spec, &mut helper, deadline);
                self.finish(spec, id, result);
            }
            let mut state = self.state.lock();
            if state.workers > self.config.workers.max(1) {
                state.workers -= 1;
                return;
            }
        }
        self.state.lock().workers -= 1;
    }

    /// Compiles `spec` after trying it in the helper.
    fn compile(&self, spec: &GrammarSpec, helper: &mut Option<Helper>, deadline: Instant) -> CompileResult {
        if let Some(helpers) = &self.helpers {
            helpers.check(helper, spec, self.builder.environment(), &self.config, deadline)?;
        }
        let built = self.builder.build(spec).map(Arc::new);
        built.map_err(|message| GrammarError::Invalid { kind: spec.kind(), message })
    }

    fn finish(&self, spec: GrammarSpec, id: u64, result: CompileResult) {
        if let Err(error) = &result {
            tracing::debug!(kind = %spec.kind(), %error, "grammar refused");
        }
        let waiters = {
            let mut state = self.state.lock();
            let current = state.in_flight.get(&spec).is_some_and(|flight| flight.id == id);
            let flight = if current { state.in_flight.remove(&spec) } else { None };
            // A late result is cached too, for the next request. A missing helper says nothing about the grammar.
            let lasting = !matches!(result, Err(GrammarError::Unavailable { .. }));
            if lasting && (current || result.is_ok()) {
                state.cache.insert(spec, result.clone());
            }
            flight.map(|flight| flight.waiters).unwrap_or_default()
        };
        for done in waiters {
            done(result.clone());
        }
    }

    /// The main loop of the watcher thread, which answers requests whose time is up.
    fn watch(self: Arc<Self>) {
        let mut state = self.state.lock();
        while state.queue.is_some() {
            let now = Instant::now();
            let next = state.in_flight.values().map(|flight| flight.deadline).min();
            match next {
                None => self.watch.wait(&mut state),
                Some(deadline) if deadline > now => {
                    self.watch.wait_for(&mut state, deadline - now);
                }
                Some(_) => {
                    let late = self.expire(&mut state, now);
                    parking_lot::MutexGuard::unlocked(&mut state, || {
                        for (done, result) in late {
                            done(result);
                        }
                    });
                }
            }
        }
    }

    fn expire(self: &Arc<Self>, state: &mut State, now: Instant) -> Vec<(Done, CompileResult)> {
        let late: Vec<GrammarSpec> = state
            .in_flight
            .iter()
            .filter(|(_, flight)| flight.deadline <= now)
            .map(|(spec, _)| spec.clone())
            .collect();
        let mut answers = Vec::new();
        for spec in late {
            let Some(flight) = state.in_flight.remove(&spec) else { continue };
            let limit: Duration = self.config.timeout;
            let error = GrammarError::TimedOut { kind: spec.kind(), limit };
            state.stats.timeouts += 1;
            tracing::warn!(kind = %spec.kind(), bytes = spec.text().len(), started = flight.started, "{error}");
            if flight.started {
                // Trying again would take as long, so refuse it from now on; another thread takes over the queue
                // meanwhile.
                state.cache.insert(spec, Err(error.clone()));
                if state.workers < self.config.workers.max(1) + MAX_STAND_INS
                    && let Err(e) = self.add_worker(state)
                {
                    tracing::error!("cannot start another thread to compile grammars: {e}");
                }
            }
            answers.extend(flight.waiters.into_iter().map(|done| (done, Err(error.clone()))));
        }
        answers
    }

    pub(crate) fn cached(&self, spec: &GrammarSpec) -> Option<CompileResult> {
        self.state.lock().cache.get(spec).cloned()
    }

    pub(crate) fn clear(&self) {
        self.state.lock().cache.clear();
    }

    pub(crate) fn stats(&self) -> CompilerStats {
        let state = self.state.lock();
        CompilerStats { in_flight: state.in_flight.len(), cached: state.cache.len(), ..state.stats }
    }

    /// Ends the threads and answers everything in flight.
    pub(crate) fn close(&self) {
        let flights: Vec<(GrammarSpec, InFlight)> = {
            let mut state = self.state.lock();
            state.queue = None;
            state.in_flight.drain().collect()
        };
        self.watch.notify_all();
        for (spec, flight) in flights {
            for done in flight.waiters {
                done(Err(GrammarError::Closed { kind: spec.kind() }));
            }
        }
    }
}
