//! Compiles grammars without delaying the scheduler (reference: `BaseGrammarBackend` and `GrammarManager`).

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, bounded};

use crate::compiler_config::{CompileResult, CompilerConfig, CompilerStats};
use crate::compiler_pool::Pool;
use crate::environment::TokenEnvironment;
use crate::error::{GrammarError, TokenEnvironmentError};
use crate::spec::{GrammarKind, GrammarSpec};

/// Compiles grammars on its own threads. Equal grammars are compiled once; results, including refusals, are cached.
/// Dropping the compiler ends its threads and answers what is in flight with [`GrammarError::Closed`].
pub struct GrammarCompiler {
    pool: Arc<Pool>,
}

impl std::fmt::Debug for GrammarCompiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrammarCompiler").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl GrammarCompiler {
    /// Starts the threads of a compiler for one vocabulary.
    ///
    /// # Errors
    /// If the library does not support the vocabulary, or a thread cannot be started.
    pub fn new(env: TokenEnvironment, config: CompilerConfig) -> Result<Self, TokenEnvironmentError> {
        Ok(Self { pool: Pool::start(env, config)? })
    }

    /// Compiles `spec` and calls `done` exactly once with the result: immediately if it is cached or refused outright,
    /// else later on another thread. `done` should only pass the result on.
    pub fn compile_with(&self, spec: GrammarSpec, done: impl FnOnce(CompileResult) + Send + 'static) {
        self.pool.submit(spec, Box::new(done));
    }

    /// Compiles `spec`; the handle gives the result.
    pub fn compile(&self, spec: GrammarSpec) -> CompileHandle {
        let (sender, result) = bounded(1);
        let kind = spec.kind();
        self.compile_with(spec, move |outcome| {
            // If the handle was dropped, nobody wants the result.
            let _ = sender.send(outcome);
        });
        CompileHandle { result, kind }
    }

    /// The cached result, if any.
    pub fn cached(&self, spec: &GrammarSpec) -> Option<CompileResult> {
        self.pool.cached(spec)
    }

    /// Empties the cache; requests that use a grammar keep it.
    pub fn clear(&self) {
        self.pool.clear();
    }

    /// The counters.
    pub fn stats(&self) -> CompilerStats {
        self.pool.stats()
    }
}

impl Drop for GrammarCompiler {
    fn drop(&mut self) {
        self.pool.close();
    }
}

/// A grammar that is being compiled. Dropping the handle abandons the result.
#[derive(Debug)]
pub struct CompileHandle {
    result: Receiver<CompileResult>,
    kind: GrammarKind,
}

impl CompileHandle {
    /// The result, if ready. It is returned once.
    pub fn poll(&self) -> Option<CompileResult> {
        match self.result.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(GrammarError::Closed { kind: self.kind })),
        }
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// The reason why the grammar was refused.
    pub fn wait(self) -> CompileResult {
        self.result.recv().unwrap_or(Err(GrammarError::Closed { kind: self.kind }))
    }

    /// Waits for the result for at most `limit`; `None` if it is not ready by then.
    pub fn wait_timeout(&self, limit: Duration) -> Option<CompileResult> {
        match self.result.recv_timeout(limit) {
            Ok(outcome) => Some(outcome),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(GrammarError::Closed { kind: self.kind })),
        }
    }
}
