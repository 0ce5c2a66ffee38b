//! The API of Ollama: its requests become native ones (reference: `entrypoints/ollama`).

pub mod request;
pub mod response;
pub mod stream;
