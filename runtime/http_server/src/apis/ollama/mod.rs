//! The API of Ollama. Chats become chat completions, prompts native requests, and answers are told in Ollama's words
//! (reference: `entrypoints/ollama`).

pub mod chat;
pub mod embed;
pub mod error;
pub mod fields;
pub mod generate;
mod history;
pub mod models;
pub mod options;
pub mod reply;
pub mod response;
pub mod stream;
