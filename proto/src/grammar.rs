//! Interface of grammars: the scheduler process compiles them, and the worker applies them (reference:
//! `constrained/base_grammar_backend.py`). `runtime/constrained` implements it.

use std::fmt::Debug;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Position of a request's output in its grammar. The worker stores it with the request's sampling state.
pub trait GrammarState: Send + Debug {
    /// The mask of the next token: bit `id % 32` of word `id / 32` is set if `id` may come next. `None` if every token
    /// is allowed.
    ///
    /// # Errors
    /// Why the grammar cannot continue; the request ends.
    fn allowed(&mut self) -> Result<Option<&[u32]>, String>;

    /// Advances by the sampled token.
    ///
    /// # Errors
    /// The mask does not allow the token; the request ends.
    fn accept(&mut self, token: u32) -> Result<(), String>;

    /// Whether the output has ended: an end-of-sequence id was accepted.
    fn is_terminated(&self) -> bool;
}

/// A compiled grammar. A request gets a new state from it each time it enters the worker.
pub trait GrammarFactory: Send + Sync + Debug {
    /// The state after `output_ids`, which are non-empty when a retracted or recovered request resumes.
    ///
    /// # Errors
    /// The output does not follow the grammar.
    fn start(&self, output_ids: &[u32]) -> Result<Box<dyn GrammarState>, String>;
}

/// A shared [`GrammarFactory`]. Two handles are equal if they share the same one.
#[derive(Clone, Debug)]
pub struct GrammarHandle(Arc<dyn GrammarFactory>);

impl GrammarHandle {
    /// Creates a handle of `factory`.
    pub fn new(factory: Arc<dyn GrammarFactory>) -> Self {
        Self(factory)
    }

    /// Calls [`GrammarFactory::start`].
    ///
    /// # Errors
    /// See [`GrammarFactory::start`].
    pub fn start(&self, output_ids: &[u32]) -> Result<Box<dyn GrammarState>, String> {
        self.0.start(output_ids)
    }
}

impl PartialEq for GrammarHandle {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.0), Arc::as_ptr(&other.0))
    }
}

/// How the grammar ends a request after a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrammarEnd {
    /// The token ended the grammar. The request stops even with `ignore_eos`.
    Terminated,
    /// The grammar cannot continue, for this reason.
    Failed(String),
}
