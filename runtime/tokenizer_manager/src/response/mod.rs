//! Answers of the native API.

pub mod generate;
pub mod logprobs;
pub mod meta_info;
