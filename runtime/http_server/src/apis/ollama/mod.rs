//! Ollama's API. Chats become chat completions, prompts become native requests, and answers are converted to Ollama's
//! form (reference: `entrypoints/ollama`).

pub mod chat;
pub mod embed;
pub mod embed_routes;
pub mod error;
pub mod fields;
pub mod generate;
mod history;
pub mod model_routes;
pub mod models;
pub mod options;
pub mod reply;
pub mod response;
pub mod routes;
pub mod stream;
