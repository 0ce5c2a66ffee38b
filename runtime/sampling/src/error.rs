//! Errors in a request's sampling parameters.

/// The sampling parameters of a request are invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SamplingError {
    /// A key of `logit_bias` is not a token id of the vocabulary.
    #[error("logit_bias key {key:?} is not a token id in [0, {}]", vocab_size.saturating_sub(1))]
    LogitBiasKey {
        /// The key as sent.
        key: String,
        /// Number of ids in the vocabulary.
        vocab_size: u32,
    },
    /// The vocabulary of the model is empty.
    #[error("vocab_size must be at least 1, got 0")]
    EmptyVocabulary,
}
