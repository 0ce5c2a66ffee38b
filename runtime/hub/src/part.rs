//! The parts of a model that a process reads.

/// The part of a model to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// All files that a server reads; `--load-format` selects the weights.
    Model {
        /// `--load-format`.
        load_format: String,
    },
    /// Configuration and weights.
    Weights {
        /// Format of the weights.
        load_format: String,
    },
    /// Tokenizer and chat template.
    Tokenizer,
}
