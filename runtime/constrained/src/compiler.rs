//! Compiling grammars without ever holding the scheduler up (reference: `BaseGrammarBackend` and `GrammarManager`).

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, bounded};

use crate::compiler_config::{CompileResult, CompilerConfig, CompilerStats};
use crate::compiler_pool::Pool;
use crate::environment::TokenEnvironment;
use crate::error::{GrammarError, TokenEnvironmentError};
use crate::spec::{GrammarKind, GrammarSpec};

/// Compiles grammars on its own threads. Equal grammars are compiled once; results are remembered, refusals too.
/// Dropping it ends the threads; what is in flight is answered with [`GrammarError::Closed`].
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
    /// When the library cannot work with the vocabulary, or the system refuses a thread.
    pub fn new(env: TokenEnvironment, config: CompilerConfig) -> Result<Self, TokenEnvironmentError> {
        Ok(Self { pool: Pool::start(env, config)? })
    }

    /// Compiles `spec` and calls `done` with the result: at once when it is remembered (or refused outright), else
    /// later on another thread. `done` is called exactly once and should only pass the result on.
    pub fn compile_with(&self, spec: GrammarSpec, done: impl FnOnce(CompileResult) + Send + 'static) {
        self.pool.submit(spec, Box::new(done));
    }

    /// Compiles `spec`; the handle gives the result.
    pub fn compile(&self, spec: GrammarSpec) -> CompileHandle {
        let (sender, result) = bounded(1);
        let kind = spec.kind();
        self.compile_with(spec, move |outcome| {
            // A handle that was dropped does not want it any more.
            let _ = sender.send(outcome);
        });
        CompileHandle { result, kind }
    }

    /// The grammar if it is remembered.
    pub fn cached(&self, spec: &GrammarSpec) -> Option<CompileResult> {
        self.pool.cached(spec)
    }

    /// Forgets every grammar; requests that use one keep theirs.
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

/// A grammar that is being compiled. Dropping the handle gives up on the result.
#[derive(Debug)]
pub struct CompileHandle {
    result: Receiver<CompileResult>,
    kind: GrammarKind,
}

impl CompileHandle {
    /// The result if it is there. It is given once.
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
    /// Why the grammar was refused.
    pub fn wait(self) -> CompileResult {
        self.result.recv().unwrap_or(Err(GrammarError::Closed { kind: self.kind }))
    }

    /// Waits for the result, at most for `limit`; `None` when it is not there yet.
    pub fn wait_timeout(&self, limit: Duration) -> Option<CompileResult> {
        match self.result.recv_timeout(limit) {
            Ok(outcome) => Some(outcome),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(GrammarError::Closed { kind: self.kind })),
        }
    }
}
