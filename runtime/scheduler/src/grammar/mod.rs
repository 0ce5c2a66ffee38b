//! Requests with a grammar wait here until it is compiled, and then go to the planner (reference:
//! `constrained/grammar_manager.py`).
//!
//! The backend (a trie of the vocabulary, and threads) is created on a separate thread when the first such request
//! arrives, so that a server without grammars pays nothing and the loop never waits.

mod backend;
mod factory;
mod manager;

pub use backend::{GrammarBackend, StartBackend};
pub use manager::{GrammarManager, GrammarNews, Outcome};
