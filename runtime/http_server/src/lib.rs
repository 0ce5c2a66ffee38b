//! The HTTP server in the tokenizer manager's process (reference: `entrypoints/http_server.py`): the routes of every
//! dialect, on top of the requests and links of [`sglang_tokenizer_manager`].
//!
//! A request passes through the modules in this order: [`server`] (route, key) → [`apis`] (the dialect's route, with
//! its body read by [`http`]) → [`chat`] and [`preparation`] (for dialects with chats) → the tokenizer manager →
//! [`answer`] (reads the output) → [`apis`] (writes the client's answer).

pub mod answer;
pub mod apis;
pub mod app;
pub mod chat;
pub mod completion;
pub mod environment;
pub mod http;
pub mod openapi;
pub mod parsers;
pub mod preparation;
pub mod request_fields;
pub mod response_store;
mod run;
pub mod served;
pub mod server;

pub use run::run;

#[cfg(test)]
#[path = "../../tokenizer_manager/tests/common/byte_codec.rs"]
mod test_codec;
