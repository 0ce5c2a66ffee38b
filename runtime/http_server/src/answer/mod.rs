//! Answers of the native API.

pub mod embedding;
pub mod generate;
pub mod logprobs;
pub mod meta_info;
