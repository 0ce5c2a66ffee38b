//! Structured output: turns grammars into masks of the tokens that may come next (reference: `srt/constrained/`).
//!
//! A request's [`GrammarSpec`] is compiled once by the [`GrammarCompiler`] (a bounded thread pool with a time limit and
//! a cache) into a [`CompiledGrammar`], from which each request gets its own [`Matcher`]. A matcher reads the tokens of
//! its request and writes the bitmask of the next one. [`AsyncMatcher`] computes that mask on a helper thread while the
//! model runs, and [`ReasonerGrammar`] applies the grammar only once the model has stopped thinking.
//!
//! `llguidance` does the parsing (an Earley parser over a lexer of regular-expression derivatives). This crate
//! translates the reference's languages for it: JSON schemas, regular expressions, xgrammar's EBNF and structural tags.
//!
//! Requests cannot see each other's state: matchers share only read-only data (the vocabulary and the grammar's rules),
//! never the state of a lexer or parser.

mod async_matcher;
mod bitmask;
mod builder;
mod cache;
mod compiled;
mod compiler;
mod compiler_config;
mod compiler_pool;
mod ebnf;
mod environment;
mod error;
pub mod helper;
mod json;
mod lark;
mod library_text;
mod mask_pool;
mod matcher;
mod python_json;
mod reasoner;
mod regex;
mod schema;
mod slices;
mod spec;
mod strict;
mod structural_tag;
mod translate;
mod trim;

pub use async_matcher::AsyncMatcher;
pub use bitmask::get as mask_allows;
pub use compiled::CompiledGrammar;
pub use compiler::{CompileHandle, GrammarCompiler};
pub use compiler_config::{CompileResult, CompilerConfig, CompilerStats};
pub use environment::TokenEnvironment;
pub use error::{GrammarError, MatchError, TokenEnvironmentError};
pub use json::JsonOptions;
pub use mask_pool::MaskPool;
pub use matcher::Matcher;
pub use reasoner::ReasonerGrammar;
pub use spec::{ANY_JSON, GrammarKind, GrammarSpec};
