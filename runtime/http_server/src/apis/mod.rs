//! The APIs that the server speaks, one folder per dialect. None imports another one: what they share is in [`crate::chat`],
//! [`crate::completion`], [`crate::answer`], [`crate::preparation`] and [`crate::http`].

pub mod anthropic;
pub mod native;
pub mod ollama;
pub mod openai;
pub mod responses;
