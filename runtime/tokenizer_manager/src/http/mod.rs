//! The HTTP side: one file per family of routes, and what they share.

pub mod anthropic;
pub mod auth;
pub mod chat;
pub mod completions;
pub mod control;
pub mod cors;
pub mod errors;
pub mod extract;
pub mod generate;
pub mod health;
pub mod info;
pub mod loads;
pub mod ollama;
pub mod operations;
pub mod parsers;
pub mod reply;
pub mod responses;
pub mod routes;
pub mod server;
pub mod sessions;
pub mod sse;
mod tokenize;
pub mod unsupported;
pub mod vertex;
