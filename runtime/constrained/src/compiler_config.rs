//! Limits and counters of a [`crate::GrammarCompiler`], and what it gives.

use std::sync::Arc;
use std::time::Duration;

use crate::compiled::CompiledGrammar;
use crate::error::GrammarError;
use crate::json::JsonOptions;

/// What compiling ends with.
pub type CompileResult = Result<Arc<CompiledGrammar>, GrammarError>;

/// Limits of a [`crate::GrammarCompiler`].
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

/// Counters of a [`crate::GrammarCompiler`].
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
