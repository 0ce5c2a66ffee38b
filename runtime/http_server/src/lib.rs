//! The HTTP server of the tokenizer manager's process (reference: `entrypoints/http_server.py`): its routes in every
//! dialect, over the requests and links of [`sglang_tokenizer_manager`].
//!
//! A request goes through the modules in this order: [`server`] (route, key) → [`apis`] (the dialect's route; its body by
//! [`http`]) → [`chat`] and [`preparation`] (for dialects with chats) → the tokenizer manager → [`answer`] (what comes
//! back) → [`apis`] (what the client sees).

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
