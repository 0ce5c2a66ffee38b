//! What can be wrong with a request's sampling state.

/// A request whose sampling parameters cannot be used.
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
    /// The model has no vocabulary to choose from.
    #[error("vocab_size must be at least 1, got 0")]
    EmptyVocabulary,
}
