//! The parameters that only embedding requests have.

/// The parameters of an embedding request beyond those of all requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbeddingParams {
    /// Segment of each token; `None` if all are 0.
    pub token_type_ids: Option<Vec<i64>>,
    /// Requested size of the vector.
    pub dimensions: Option<i64>,
    /// Whether to return the hidden state before the head.
    pub return_pooled_hidden_states: bool,
}
