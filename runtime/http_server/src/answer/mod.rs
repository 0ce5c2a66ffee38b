//! The answers to requests, in the form that all dialects convert to their own.

pub mod choice;
pub mod embedding;
pub mod event;
pub mod format;
pub mod generate;
pub mod logprobs;
pub mod meta_info;
pub mod steps;
pub mod token_logprobs;
