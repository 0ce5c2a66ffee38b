//! What comes back for a request, in the form from which every dialect writes its answer.

pub mod choice;
pub mod embedding;
pub mod event;
pub mod format;
pub mod generate;
pub mod logprobs;
pub mod meta_info;
pub mod steps;
pub mod token_logprobs;
