//! `/v1/embeddings`, `/v1/classify` and `/v1/score`.

pub mod classify;
pub mod embed;
pub mod routes;
pub mod score;
