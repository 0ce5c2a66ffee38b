//! The tokenizer manager: the process that speaks HTTP. It reads requests, renders and tokenizes them, sends them to
//! the scheduler, and hands text that comes back from the detokenizer to the clients that wait for it.
//!
//! A request goes through the modules in this order: [`http`] (route, key, body) → [`openai`] and [`chat`] (for those
//! routes) → [`requests`] (checks, batches, ids) → [`manager`] (to the scheduler) → [`state`] (what comes back) →
//! [`response`] or [`openai`] (what the client sees).

pub mod anthropic;
pub mod app;
pub mod call_trace;
pub mod chat;
mod codec;
pub mod http;
pub mod lora;
pub mod manager;
pub mod metrics;
pub mod model_name;
pub mod ollama;
pub mod openai;
pub mod openapi;
pub mod parsers;
pub mod request_log;
pub mod requests;
pub mod response;
pub mod responses;
mod run;
pub mod served;
pub mod state;
pub mod text;

pub use codec::ModelCodec;
pub use run::run;

#[cfg(test)]
extern crate self as sglang_tokenizer_manager;
#[cfg(test)]
#[path = "../tests/http/common/byte_codec.rs"]
mod test_codec;
