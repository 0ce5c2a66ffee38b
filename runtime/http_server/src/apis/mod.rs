//! The APIs of the server, with one folder per dialect. No dialect imports another one; shared code is in
//! [`crate::chat`], [`crate::completion`], [`crate::answer`], [`crate::preparation`] and [`crate::http`].

pub mod anthropic;
pub mod native;
pub mod ollama;
pub mod openai;
pub mod responses;
