//! How a grammar travels with a request: the scheduler process compiles it, the worker follows it (reference:
//! `constrained/base_grammar_backend.py`). Only the contract is here; `runtime/constrained` does the parsing.

use std::fmt::Debug;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One request's place in its grammar, owned by the worker next to the request's sampling state.
pub trait GrammarState: Send + Debug {
    /// The mask of the next token: bit `id % 32` of word `id / 32` is set when `id` may come next. `None` while every
    /// token is allowed.
    ///
    /// # Errors
    /// Why the grammar cannot go on; the request ends.
    fn allowed(&mut self) -> Result<Option<&[u32]>, String>;

    /// Reads the sampled token.
    ///
    /// # Errors
    /// The token is not one that the mask allowed; the request ends.
    fn accept(&mut self, token: u32) -> Result<(), String>;

    /// Whether the output has ended: an end-of-sequence id was accepted.
    fn is_terminated(&self) -> bool;
}

/// A compiled grammar, from which a request gets a fresh state each time it enters the worker.
pub trait GrammarFactory: Send + Sync + Debug {
    /// The state after `output_ids`, which are not empty when a retracted or recovered request resumes.
    ///
    /// # Errors
    /// The output does not follow the grammar.
    fn start(&self, output_ids: &[u32]) -> Result<Box<dyn GrammarState>, String>;
}

/// A shared [`GrammarFactory`]; two handles are equal when they share it.
#[derive(Clone, Debug)]
pub struct GrammarHandle(Arc<dyn GrammarFactory>);

impl GrammarHandle {
    /// A handle on `factory`.
    pub fn new(factory: Arc<dyn GrammarFactory>) -> Self {
        Self(factory)
    }

    /// As [`GrammarFactory::start`].
    ///
    /// # Errors
    /// As [`GrammarFactory::start`].
    pub fn start(&self, output_ids: &[u32]) -> Result<Box<dyn GrammarState>, String> {
        self.0.start(output_ids)
    }
}

impl PartialEq for GrammarHandle {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.0), Arc::as_ptr(&other.0))
    }
}

/// What a token did to its request's grammar, when the request ends with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrammarEnd {
    /// The token ended the grammar: the request stops with it, whatever `ignore_eos` says.
    Terminated,
    /// The grammar cannot go on, for this reason.
    Failed(String),
}
