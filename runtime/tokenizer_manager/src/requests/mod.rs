//! From a request body to the tokenized requests that the scheduler gets: reading and schema errors ([`generate`],
//! [`validation`], [`contract`]), splitting into single requests ([`normalize`]), tokenizing and limits ([`tokenize`]).

pub mod call_arguments;
pub mod contract;
pub mod embedding;
mod embedding_params;
mod field_error;
mod field_schema;
pub mod generate;
mod mismatch;
pub mod normalize;
pub mod probe;
pub mod python;
pub mod sampling;
pub mod score;
pub mod tokenize;
mod tokenize_embedding;
pub mod validation;

pub use embedding_params::EmbeddingParams;
pub use generate::{GenerateReqInput, OneOrMany};
pub use normalize::{NormalizedRequest, Prompt, SingleReqInput};

/// A well-formed request that cannot be served: a 400 with this text on every route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(pub String);
