//! `/v1/completions`.

pub mod logprobs;
pub mod request;
pub mod response;
pub mod routes;
pub mod stream;
