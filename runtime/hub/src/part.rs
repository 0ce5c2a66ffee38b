//! What of a model a process reads.

/// What of a model is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// All that a server reads, weights as `--load-format` says.
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
