//! OpenAI's API, except Responses.

pub mod chat;
pub mod choice;
pub mod completions;
pub mod embeddings;
pub mod models;
pub mod rerank;
pub mod tokenize;
pub mod usage;
