//! Errors, worded for the person who sent the grammar.

use std::time::Duration;

use crate::spec::GrammarKind;

/// Why a grammar was refused. The text begins like the reference's and says where the mistake is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// The grammar itself is wrong, too large, or uses something that is not supported.
    #[error("Failed to compile {kind} grammar: {message}")]
    Invalid {
        /// The grammar's language.
        kind: GrammarKind,
        /// What is wrong, and where.
        message: String,
    },
    /// Compiling took longer than the time limit.
    #[error("Failed to compile {kind} grammar: Grammar preprocessing timed out after {} ms", limit.as_millis())]
    TimedOut {
        /// The grammar's language.
        kind: GrammarKind,
        /// The limit.
        limit: Duration,
    },
    /// Too many grammars are already waiting.
    #[error(
        "Failed to compile {kind} grammar: {waiting} grammars are waiting to be compiled already, try again later"
    )]
    Busy {
        /// The grammar's language.
        kind: GrammarKind,
        /// Length of the queue.
        waiting: usize,
    },
    /// No process can be started to try the grammar in.
    #[error("Failed to compile {kind} grammar: no helper process can be started, try again later")]
    Unavailable {
        /// The grammar's language.
        kind: GrammarKind,
    },
    /// The compiler has been shut down.
    #[error("Failed to compile {kind} grammar: the server is shutting down")]
    Closed {
        /// The grammar's language.
        kind: GrammarKind,
    },
}

/// Why a matcher cannot continue. Only the request that owns it is affected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// The token is not one that the mask allowed.
    #[error("Tokens not accepted: {token} (after {accepted} accepted tokens)")]
    NotAccepted {
        /// The rejected id.
        token: u32,
        /// Number of tokens accepted before it.
        accepted: usize,
    },
    /// A rollback of more tokens than were accepted.
    #[error("cannot take back {wanted} tokens, only {accepted} were accepted")]
    Rollback {
        /// Number of tokens to undo.
        wanted: usize,
        /// Number of tokens accepted.
        accepted: usize,
    },
    /// The buffer for the mask is too small for the vocabulary.
    #[error("the mask needs {needed} words of 32 bits, got {len}")]
    MaskTooSmall {
        /// Words that the vocabulary needs.
        needed: usize,
        /// Words in the buffer.
        len: usize,
    },
    /// The parser failed or reached a limit on its work.
    #[error("the grammar's parser stopped: {0}")]
    Parser(String),
}

/// Why a vocabulary cannot be used for grammars.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenEnvironmentError {
    /// There are no tokens.
    #[error("the vocabulary is empty")]
    Empty,
    /// The id is outside the vocabulary.
    #[error("{what} {id} is outside the vocabulary of {vocab_size} tokens")]
    OutOfRange {
        /// What the id is for.
        what: &'static str,
        /// The id.
        id: u32,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
    /// There is no end-of-sequence id, so no grammar could end.
    #[error("no end-of-sequence id is known; grammars need at least one to end the output")]
    NoEos,
    /// There are more tokens than the trie can hold.
    #[error("the vocabulary has {0} tokens; at most 2097152 are supported")]
    TooLarge(usize),
    /// One token is longer than the trie can hold.
    #[error("token {id} has {len} bytes; at most 1024 are supported")]
    TokenTooLong {
        /// The token's id.
        id: u32,
        /// The length of its text in bytes.
        len: usize,
    },
    /// The library rejected the vocabulary.
    #[error("the vocabulary cannot be used for grammars: {0}")]
    Library(String),
}
