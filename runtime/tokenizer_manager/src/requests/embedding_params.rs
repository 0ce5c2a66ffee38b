//! What only embedding requests have.

/// What an embedding request has besides what all requests have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbeddingParams {
    /// Segment of each token; `None` when all are 0.
    pub token_type_ids: Option<Vec<i64>>,
    /// Wanted size of the vector.
    pub dimensions: Option<i64>,
    /// Whether the hidden state in front of the head is wanted.
    pub return_pooled_hidden_states: bool,
}
