//! Turns a request body into the tokenized requests for the scheduler: reads it and reports schema errors
//! ([`generate`], [`validation`], [`contract`]), splits it into single requests ([`normalize`]), tokenizes these and
//! checks limits ([`tokenize`]).

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

/// A well-formed request that is invalid or unsupported: a 400 with this text on every route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(pub String);
