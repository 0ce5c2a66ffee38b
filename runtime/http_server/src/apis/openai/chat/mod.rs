//! `/v1/chat/completions`.

pub mod response;
pub mod routes;
pub mod stream;
