//! Compiling grammars without ever holding the scheduler up (reference: `BaseGrammarBackend` and `GrammarManager`).

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, bounded};

use crate::compiled::CompiledGrammar;
use crate::compiler_pool::Pool;
use crate::environment::TokenEnvironment;
use crate::error::{GrammarError, TokenEnvironmentError};
use crate::json::JsonOptions;
use crate::spec::{GrammarKind, GrammarSpec};

/// What compiling ends with.
pub type CompileResult = Result<Arc<CompiledGrammar>, GrammarError>;

/// Limits of a [`GrammarCompiler`].
#[derive(Clone, Debug)]
pub struct CompilerConfig {
    /// Threads that compile.
    pub workers: usize,
    /// Grammars that may wait for a thread; more are refused.
    pub max_waiting: usize,
    /// Longest time from the request to the result; a grammar that takes longer is refused.
    pub timeout: Duration,
    /// Largest grammar text in bytes.
    pub max_bytes: usize,
    /// Compiled (and refused) grammars that are remembered.
    pub cache_entries: usize,
    /// How JSON is written.
    pub json: JsonOptions,
    /// Work (regular-expression nodes) that building one grammar's lexer may take; about 50 000 per millisecond.
    pub lexer_fuel: u64,
    /// Work that one mask may take in the lexer; about 14 000 per millisecond.
    pub mask_lexer_fuel: u64,
    /// Work (parser items) that one mask may take; about 20 000 per millisecond.
    pub mask_parser_items: usize,
    /// Most lexer states of one request; each takes one to two kilobytes.
    pub max_lexer_states: usize,
    /// Most symbols in the rules of one grammar.
    pub max_grammar_symbols: usize,
}

impl Default for CompilerConfig {
    fn default() -> Self {
        Self {
            workers: 2,
            max_waiting: 256,
            timeout: Duration::from_secs(10),
            max_bytes: 1 << 20,
            cache_entries: 256,
            json: JsonOptions::default(),
            lexer_fuel: 1_000_000,
            mask_lexer_fuel: 200_000,
            mask_parser_items: 50_000,
            max_lexer_states: 50_000,
            max_grammar_symbols: 500_000,
        }
    }
}

/// Counters of a [`GrammarCompiler`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompilerStats {
    /// Grammars being compiled or waiting.
    pub in_flight: usize,
    /// Grammars remembered, refused ones included.
    pub cached: usize,
    /// Requests served from memory.
    pub hits: u64,
    /// Requests that had to be compiled.
    pub misses: u64,
    /// Grammars that took too long.
    pub timeouts: u64,
}

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
