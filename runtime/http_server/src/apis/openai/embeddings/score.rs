//! The answer of `/v1/score` (reference: `serving_score.py`).

use serde::Serialize;

use crate::apis::openai::usage::UsageInfo;

/// The answer of `/v1/score`.
#[derive(Debug, Serialize)]
pub struct ScoringResponse {
    /// A list of numbers per item, in the order of its labels (or of the model's classes).
    pub scores: Vec<Vec<f64>>,
    /// Hidden states before the head, per item.
    pub pooled_hidden_states: Option<Vec<Option<Vec<f32>>>>,
    /// Log-probabilities of the labels, per item.
    pub token_logprobs: Option<Vec<Vec<f64>>>,
    /// The model's name as the client wrote it.
    pub model: String,
    /// Token counts.
    pub usage: UsageInfo,
    /// Always `scoring`.
    pub object: &'static str,
}
