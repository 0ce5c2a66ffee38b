//! Requests with a grammar wait here until it is compiled; only then does the planner hear of them (reference:
//! `constrained/grammar_manager.py`).
//!
//! What compiles (a trie of the vocabulary, threads) is made when the first such request comes, on a thread of its own,
//! so that a server without grammars pays nothing and the loop never waits.

mod backend;
mod factory;
mod manager;

pub use backend::{GrammarBackend, StartBackend};
pub use manager::{GrammarManager, GrammarNews, Outcome};
