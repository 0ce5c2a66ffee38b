//! Limits, counters and result type of a [`crate::GrammarCompiler`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::compiled::CompiledGrammar;
use crate::error::GrammarError;
use crate::json::JsonOptions;

/// The result of compiling a grammar.
pub type CompileResult = Result<Arc<CompiledGrammar>, GrammarError>;

/// Limits of a [`crate::GrammarCompiler`].
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct CompilerConfig {
    /// The program that tries each new grammar first (`sglang-grammar-helper`); without it grammars are compiled right
    /// away, and one that overflows the stack ends this process.
    #[serde(skip)]
    pub helper: Option<PathBuf>,
    /// Number of compiling threads.
    pub workers: usize,
    /// How many grammars may wait for a thread; further ones are refused.
    pub max_waiting: usize,
    /// Longest time from submission to result; a grammar that takes longer is refused.
    pub timeout: Duration,
    /// Largest grammar text in bytes.
    pub max_bytes: usize,
    /// Number of cached results, refusals included.
    pub cache_entries: usize,
    /// How JSON is written.
    pub json: JsonOptions,
    /// Work (regular-expression nodes) for building the lexer of one grammar; about 50 000 per millisecond.
    pub lexer_fuel: u64,
    /// Work in the lexer for one mask; about 14 000 per millisecond.
    pub mask_lexer_fuel: u64,
    /// Work in the parser (items) for one mask; about 20 000 per millisecond.
    pub mask_parser_items: usize,
    /// Most lexer states of one request, at one to two kilobytes each.
    pub max_lexer_states: usize,
    /// Most symbols in the rules of one grammar.
    pub max_grammar_symbols: usize,
}

impl Default for CompilerConfig {
    fn default() -> Self {
        Self {
            helper: None,
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
    /// Grammars that are being compiled or wait for a thread.
    pub in_flight: usize,
    /// Cached results, refusals included.
    pub cached: usize,
    /// Requests answered from the cache.
    pub hits: u64,
    /// Requests that had to be compiled.
    pub misses: u64,
    /// Grammars that took too long.
    pub timeouts: u64,
}
